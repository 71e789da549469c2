package session_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/session"
)

// memoryWorld is one browser's memory cookie and an adjustable clock.
type memoryWorld struct {
	t   *testing.T
	now time.Time
	*session.Memory
}

func newMemory(t *testing.T, changes ...func(*session.MemoryOptions)) *memoryWorld {
	t.Helper()
	sealer, err := session.NewSealer([]byte(strings.Repeat("a", session.SealKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	w := &memoryWorld{t: t, now: time.Now()}
	o := session.MemoryOptions{
		Cookies: session.NewCookies(session.CookieOptions{Name: "s", SameSite: http.SameSiteLaxMode}),
		Sealer:  sealer, AppID: "app", Life: 30 * 24 * time.Hour, Now: func() time.Time { return w.now },
	}
	for _, change := range changes {
		change(&o)
	}
	w.Memory = session.NewMemory(o)
	return w
}

func sealedWith(t *testing.T, key string) func(*session.MemoryOptions) {
	return func(o *session.MemoryOptions) {
		sealer, err := session.NewSealer([]byte(strings.Repeat(key, session.SealKeySize)))
		if err != nil {
			t.Fatal(err)
		}
		o.Sealer = sealer
	}
}

// land remembers an operator and returns the cookie.
func (w *memoryWorld) land(id string, cookies ...string) string {
	w.t.Helper()
	c := w.Remember(request(cookies...), session.KnownOperator{OperatorID: id, At: w.now})
	if c == nil {
		w.t.Fatal("no cookie")
	}
	return c.Name + "=" + c.Value
}

func (w *memoryWorld) wants(what string, want []string, cookies ...string) {
	w.t.Helper()
	if got := w.Operators(request(cookies...)); !slices.Equal(got, want) {
		w.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestTheMemoryHasTheArrivalsAttributes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options session.CookieOptions
		want    string
	}{
		{session.CookieOptions{Name: "s", SameSite: http.SameSiteLaxMode}, "s_known=v; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode}, "__Host-s_known=v; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteNoneMode}, "__Host-s_known=v; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=None; Partitioned"},
		{session.CookieOptions{Name: "s", Secure: true, SameSite: http.SameSiteLaxMode, Domain: "isv.example"}, "__Secure-s_known=v; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
	} {
		w := newMemory(t, func(o *session.MemoryOptions) { o.Cookies = session.NewCookies(tt.options) })
		w.now = w.now.Truncate(time.Second)
		c := w.Remember(request(), session.KnownOperator{OperatorID: "one", At: w.now})
		c.Value = "v"
		if got := c.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
		for _, gone := range w.Forget() {
			if gone.Name != c.Name || gone.MaxAge >= 0 || gone.Domain != "" {
				t.Errorf("got %s, want %s taken away", gone, c.Name)
			}
		}
	}
}

func TestTheMemoryKeepsTheNewestEight(t *testing.T) {
	t.Parallel()
	w := newMemory(t)
	var cookie string
	var want []string
	for i := range 10 {
		id := fmt.Sprintf("%064d", i) // the longest id that the gateway may return
		cookie = w.land(id, cookie)   // several in the same second
		want = slices.Insert(want, 0, id)
	}
	w.wants("ten operators", want[:8], cookie)
	if len(cookie) > 2048 {
		t.Errorf("got a cookie of %d bytes", len(cookie))
	}
	if strings.Contains(cookie, want[0]) {
		t.Error("the cookie is readable")
	}
	again := want[5]
	w.now = w.now.Add(time.Minute)
	cookie = w.land(again, cookie)
	w.wants("one of them again", append([]string{again}, slices.DeleteFunc(want[:8], func(id string) bool { return id == again })...), cookie)
}

func TestEachOperatorIsRememberedSinceItsOwnLanding(t *testing.T) {
	t.Parallel()
	w := newMemory(t)
	cookie := w.land("one")
	w.now = w.now.Add(29 * 24 * time.Hour)
	cookie = w.land("two", cookie)
	w.wants("after 29 days", []string{"two", "one"}, cookie)
	w.now = w.now.Add(24 * time.Hour)
	w.wants("after 30 days", []string{"two"}, cookie)
	cookie = w.land("two", cookie)
	w.now = w.now.Add(29*24*time.Hour + time.Hour)
	w.wants("renewed", []string{"two"}, cookie)
	w.now = w.now.Add(24 * time.Hour)
	w.wants("after all", nil, cookie)
	// A landing of long ago is not remembered longer because it is added late.
	c := w.Remember(request(), session.KnownOperator{OperatorID: "one", At: w.now.Add(-29 * 24 * time.Hour)})
	if c == nil || c.MaxAge > 24*60*60 {
		t.Errorf("got %v, want a cookie for a day", c)
	}
}

func TestInvalidMemoriesAreIgnored(t *testing.T) {
	t.Parallel()
	w := newMemory(t)
	good := w.land("one")
	value := strings.TrimPrefix(good, "s_known=")
	lost, foreign := newMemory(t, sealedWith(t, "b")), newMemory(t, func(o *session.MemoryOptions) { o.AppID = "other" })
	sealer, err := session.NewSealer([]byte(strings.Repeat("a", session.SealKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(purpose session.Purpose, plain string) string {
		return "s_known=" + sealer.Seal(purpose, "app", []byte(plain))
	}
	long := func(spaces int) string { // beside one operator
		return sealed(session.SealMemory, `[{"id":"one","at":"2100-01-01T00:00:00Z"}`+strings.Repeat(" ", spaces)+"]")
	}
	const fits = 1508 - len(`[{"id":"one","at":"2100-01-01T00:00:00Z"}]`) // sealed, it has 2048 bytes
	for _, tt := range []struct {
		name    string
		cookies []string
		want    []string
	}{
		{"none", nil, nil},
		{"as long as allowed", []string{long(fits)}, []string{"one"}},
		{"too long", []string{long(fits + 1)}, nil},
		{"half of it of another form", []string{sealed(session.SealMemory, `[{"id":"one","at":"2100-01-01T00:00:00Z"},{"id":1}]`)}, nil},
		{"empty", []string{"s_known="}, nil},
		{"junk", []string{"s_known=junk"}, nil},
		{"long junk", []string{"s_known=" + strings.Repeat("A", 4000)}, nil},
		{"cut short", []string{good[:len(good)-4]}, nil},
		{"another name", []string{"s_known2=" + value, "t_known=" + value, "__Host-s_known=" + value}, nil},
		{"sealed with a key that was dropped", []string{lost.land("one")}, nil},
		{"another application's", []string{foreign.land("one")}, nil},
		{"sealed for another purpose", []string{sealed(session.SealPending, `[{"id":"one","at":"2100-01-01T00:00:00Z"}]`)}, nil},
		{"not JSON", []string{sealed(session.SealMemory, "one")}, nil},
		{"of a later version", []string{sealed(session.SealMemory, `{"v":2,"known":[]}`)}, nil},
		{"without an id", []string{sealed(session.SealMemory, `[{"at":"2100-01-01T00:00:00Z"}]`)}, nil},
		{"written where the clock is ahead", []string{sealed(session.SealMemory, `[{"id":"one","at":"2100-01-01T00:00:00Z"}]`)}, []string{"one"}},
		{"junk beside a good one", []string{"s_known=junk", good}, []string{"one"}},
		{"two of the name", []string{good, w.land("two")}, []string{"one", "two"}},
		{"the same twice", []string{good, good}, []string{"one"}},
	} {
		w.wants(tt.name, tt.want, tt.cookies...)
		if got := w.Present(request(tt.cookies...)); got != (len(tt.cookies) > 0 && tt.name != "another name") {
			t.Errorf("%s: got present %v", tt.name, got)
		}
		after := w.land("three", tt.cookies...)
		w.wants(tt.name+", then a landing", append([]string{"three"}, tt.want...), after)
	}
	w.now = w.now.Add(time.Minute)
	w.wants("the older one first", []string{"two", "one"}, good, w.land("two"))
	var flood []string
	for range 200 {
		flood = append(flood, good)
	}
	w.wants("a flood", []string{"one"}, flood...)
	rotated := newMemory(t, func(o *session.MemoryOptions) {
		keys := [][]byte{[]byte(strings.Repeat("c", session.SealKeySize)), []byte(strings.Repeat("a", session.SealKeySize))}
		if o.Sealer, err = session.NewSealer(keys...); err != nil {
			t.Fatal(err)
		}
	})
	rotated.wants("the key rotated", []string{"one"}, good)
}

func TestTheMemoryTurnedOff(t *testing.T) {
	t.Parallel()
	on := newMemory(t)
	off := newMemory(t, func(o *session.MemoryOptions) { o.Life = 0 })
	left := on.land("one")
	off.wants("left from before", nil, left)
	if c := off.Remember(request(left), session.KnownOperator{OperatorID: "two", At: off.now}); c != nil {
		t.Errorf("got %s, want no cookie", c)
	}
	if !off.Present(request(left)) {
		t.Error("what is left from before can't be cleared")
	}
}
