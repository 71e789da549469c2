package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

func TestOldestPartnerIsRemovedAfter32(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("p0")
	for i := 1; i < 32; i++ {
		w.add(token, fmt.Sprintf("p%d", i))
	}
	if s := w.find(token); len(s.Entries) != 32 || s.Entries[31].PartnerID != "p0" {
		t.Fatalf("got %s, want all 32, the oldest last", partners(s))
	}
	w.add(token, "p0") // renewed, it moves to the first place and removes no other
	if s := w.find(token); len(s.Entries) != 32 || s.Newest().PartnerID != "p0" || s.Entries[31].PartnerID != "p1" {
		t.Errorf("got %s, want p0 first and p1 last", partners(s))
	}
	s := w.add(token, "p32")
	if _, ok := s.Partner("p1"); ok || len(s.Entries) != 32 || s.Newest().PartnerID != "p32" {
		t.Errorf("got %s, want p1 gone", partners(s))
	}
	w.add(token, "") // the entry without a partner counts like any other
	if s := w.find(token); len(s.Entries) != 32 || s.Newest().PartnerID != "" {
		t.Errorf("got %s, want the entry without a partner first", partners(s))
	}
}

func TestEntriesHaveOwnTypeShopsAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	w.clock.Turn(time.Hour)
	g := w.grant("two")
	g.Operator.Type, g.ShopIDs = "MER_STAFF", "shop"
	_, err := w.AddPartner(t.Context(), token, g, w.code())
	w.must(err)
	s := w.find(token)
	one, _ := s.Partner("one")
	two, _ := s.Partner("two")
	if one.OperatorType != "PROVIDER" || one.ShopIDs != "" || two.OperatorType != "MER_STAFF" || two.ShopIDs != "shop" {
		t.Errorf("got %+v and %+v", one, two)
	}
	if d := two.ExpiresAt.Sub(one.ExpiresAt); d < 59*time.Minute || d > 61*time.Minute || !s.Ends().Equal(two.ExpiresAt) {
		t.Errorf("got ends %s apart, want an hour", d)
	}
}

func TestAddPartnerRefusesAnotherOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	for name, change := range map[string]func(*operator.Grant){
		"operator":    func(g *operator.Grant) { g.Operator.ID = "another" },
		"application": func(g *operator.Grant) { g.AppID = "another" },
	} {
		g := w.grant("two")
		change(&g)
		if _, err := w.AddPartner(t.Context(), token, g, w.code()); !errors.Is(err, session.ErrNone) {
			t.Errorf("another %s: got %v, want none", name, err)
		}
	}
	if got := partners(w.find(token)); got != "one" {
		t.Errorf("got %s", got)
	}
}

func TestRedisHoldsNoPlainSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, s := w.start("one")
	for _, key := range w.redis.Client.Keys(t.Context(), "*session*").Val() {
		value := w.redis.Client.Get(t.Context(), key).Val()
		if strings.Contains(key+value, string(token)) || strings.Contains(key+value, "the-secret-code") {
			t.Errorf("%s = %s", key, value)
		}
		if !json.Valid([]byte(value)) {
			t.Errorf("%s is no JSON", value)
		}
	}
	if got, err := w.Code(s.Newest()); err != nil || got != "the-secret-code-1" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, verb := range []string{"%v", "%s", "%q", "%#v", "%+v"} {
		if got := fmt.Sprintf(verb, token); strings.Contains(got, string(token)) {
			t.Errorf("%s prints the token", verb)
		}
	}
}

func TestEveryKeyExpires(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{2 * time.Hour, 0} {
		w := newWorld(t, func(o *session.Options) { o.Idle = idle })
		token, _ := w.start("one")
		w.add(token, "two")
		w.clock.Turn(time.Hour)
		w.find(token)
		_, err := w.Revoke(t.Context(), "somebody")
		w.must(err)
		for _, key := range w.redis.Client.Keys(t.Context(), "*").Val() {
			most := 12 * time.Hour
			switch {
			case strings.Contains(key, ":session:") && idle > 0:
				most = idle
			case strings.Contains(key, ":revoked:"):
				most = 15 * time.Minute
			}
			if got := w.redis.Client.PTTL(t.Context(), key).Val(); got <= 0 || got > most {
				t.Errorf("idle %s: %s lives for %s, want at most %s", idle, key, got, most)
			}
		}
	}
}

func TestTooOldGrantStartsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	old := w.grant("two")
	old.ClaimedAt -= operator.LogicalTime((14 * time.Minute).Microseconds())
	if _, err := w.begin(old); err != nil {
		t.Errorf("14 minutes old: %v", err)
	}
	old.ClaimedAt -= operator.LogicalTime(time.Minute.Microseconds())
	if _, err := w.begin(old); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("15 minutes old: got %v: a revocation since may be forgotten", err)
	}
	if _, err := w.AddPartner(t.Context(), token, old, w.code()); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("15 minutes old, added: got %v", err)
	}
	if got := partners(w.find(token)); got != "one" {
		t.Errorf("got %s", got)
	}
}

func TestInvalidRecordIsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, s := w.start("one")
	key := "k:session:" + s.Hash()
	good := w.redis.Client.Get(t.Context(), key).Val()
	for _, raw := range []string{
		"", "{}", "junk", `{"v":1,"operator_id":"x","entries":[]}`,
		strings.Replace(good, `"v":1`, `"v":2`, 1), strings.Replace(good, `"v":1`, `"v":1,"app_id":2`, 1),
	} {
		w.must(w.redis.Client.Set(t.Context(), key, raw, time.Hour).Err())
		if _, err := w.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
			t.Errorf("%q: got %v, want none", raw, err)
		}
		if s, err := w.End(t.Context(), token); !errors.Is(err, session.ErrNone) {
			t.Errorf("%q, ended: got %+v, %v, want none", raw, s, err)
		}
		wantKeys(t, w, 0)
	}
	w.must(w.redis.Client.Set(t.Context(), key, good, time.Hour).Err())
	if s, err := w.End(t.Context(), token); err != nil || partners(s) != "one" || s.Hash() != token.Hash() {
		t.Errorf("got %+v, %v, want the last state", s, err)
	}
}

func wantKeys(t *testing.T, w *world, want int) {
	t.Helper()
	if keys := w.redis.Client.Keys(t.Context(), "k:session:*").Val(); len(keys) != want {
		t.Errorf("got %q, want %d sessions", keys, want)
	}
}

func TestStoredEndsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, s := w.start("one")
	w.must(w.redis.Client.Persist(t.Context(), "k:session:"+s.Hash()).Err())
	w.clock.Turn(2 * time.Hour)
	if _, err := w.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("idle: got %v, want none", err)
	}
}

// TestTheIndexDoesNotGrow: Redis's clock counts, not the clock of a replica that is ahead.
func TestTheIndexDoesNotGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	index := "k:operator:" + operatorID
	for name, ended := range map[string]time.Duration{"long ago": 2 * time.Hour, "a while ago": 30 * time.Minute} {
		score := float64(time.Now().Add(-ended).UnixMilli())
		w.must(w.redis.Client.ZAdd(t.Context(), index, redis.Z{Score: score, Member: name}).Err())
	}
	first, _ := w.start("one")
	w.clock.Turn(11 * time.Hour)
	second, _ := w.start("one")
	w.wantIndexed(3) // without those that ended long ago
	for _, token := range []session.Token{first, second} {
		_, err := w.End(t.Context(), token)
		w.must(err)
	}
	w.wantIndexed(1)
}

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.start("one")
	two, gone := w.start("two")
	w.must(w.redis.Client.Del(t.Context(), "k:session:"+gone.Hash()).Err()) // idle for too long
	if live, err := w.List(t.Context(), operatorID); err != nil || len(live) != 1 {
		t.Errorf("got %d, %v, want 1", len(live), err)
	}
	if live, err := w.List(t.Context(), "nobody"); err != nil || len(live) != 0 {
		t.Errorf("got %d, %v, want none", len(live), err)
	}
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	w.wantGone(one)
	w.wantGone(two)
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 0 {
		t.Errorf("again: got %d, %v, want none", n, err)
	}
	// Koubei confirms the operator again, and no revocation prevents the session.
	w.start("one")
}

// TestAnOutageIsNotASignOut also covers requests with several tokens, and outages in which only the write fails.
func TestAnOutageIsNotASignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.start("one")
	two, _ := w.start("two")
	if s, err := w.Choose(t.Context(), []session.Token{one, two}); err != nil || s.OperatorID != operatorID {
		t.Fatalf("got %v", err)
	}
	g := w.grant("three")
	w.tap.fail("get")
	if _, err := w.Choose(t.Context(), []session.Token{one, two}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("two tokens: got %v, want unavailable", err)
	}
	if _, err := w.AddPartner(t.Context(), one, g, w.code()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the read fails: got %v, want unavailable", err)
	}
	w.tap.fail("eval:operator")
	if _, err := w.AddPartner(t.Context(), one, g, w.code()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the write fails: got %v, want unavailable", err)
	}
	w.tap.do.Store(nil)
	if got := partners(w.find(one)); got != "one" {
		t.Errorf("got %s", got)
	}
}

// frozen returns a world whose clock stands still until the test turns it.
func frozen(t *testing.T) (*world, *time.Time) {
	t.Helper()
	now := time.Now().Truncate(time.Microsecond)
	return newWorld(t, func(o *session.Options) { o.Now = func() time.Time { return now } }), &now
}

// TestIdleTime renews after exactly a tenth of it, and ends after exactly all of it.
func TestIdleTime(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Hour
	w, now := frozen(t)
	token, _ := w.start("one")
	for _, row := range []struct {
		turn     time.Duration
		renewals int32
	}{{idle/10 - 1, 0}, {1, 1}, {idle/10 - 1, 0}, {idle - idle/10, 1}, {0, 0}, {idle - 1, 1}} {
		*now = now.Add(row.turn)
		renewals := w.tap.count("eval:session")
		s, err := w.Find(t.Context(), token)
		if err != nil || renewals.Load() != row.renewals {
			t.Fatalf("after %s: got %d renewals, %v, want %d", row.turn, renewals.Load(), err, row.renewals)
		}
		if row.renewals == 1 && !s.LastRead.Equal(*now) {
			t.Errorf("got the last read at %s, want %s", s.LastRead, *now)
		}
	}
	*now = now.Add(idle - 1)
	s, err := w.AddPartner(t.Context(), token, w.grant("two"), w.code())
	if err != nil || !s.LastRead.Equal(*now) {
		t.Errorf("a landing renews: got %s, %v", s.LastRead, err)
	}
	*now = now.Add(idle - 1)
	w.find(token)
	*now = now.Add(idle)
	if _, err := w.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("after the idle time: got %v, want none", err)
	}
}

func TestWithoutIdleTimeNothingIsRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *session.Options) { o.Idle = 0 })
	token, _ := w.start("one")
	w.clock.Turn(11 * time.Hour)
	renewals := w.tap.count("eval:session")
	if w.find(token); renewals.Load() != 0 {
		t.Errorf("got %d renewals", renewals.Load())
	}
}

func TestEntriesEndOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *session.Options) { o.Idle = 0 })
	token, _ := w.start("one")
	w.clock.Turn(time.Hour)
	w.add(token, "two")
	w.clock.Turn(time.Hour)
	w.add(token, "two") // replaces the entry
	if got := partners(w.find(token)); got != "two one" {
		t.Errorf("got %q, want one entry for each partner", got)
	}
	w.clock.Turn(10*time.Hour + time.Minute)
	for range 2 { // the second read finds the decoded record
		if got := partners(w.find(token)); got != "two" {
			t.Errorf("got %q, want the entry that has not ended", got)
		}
	}
	if s := w.add(token, "three"); partners(s) != "three two" {
		t.Errorf("got %q, want no ended entry", partners(s))
	}
}

// TestGrantOlderThanTheLifetimeStartsNoSession, not even at exactly that age.
func TestGrantOlderThanTheLifetimeStartsNoSession(t *testing.T) {
	t.Parallel()
	w, now := frozen(t)
	g := w.grant("one")
	for age, want := range map[time.Duration]error{12*time.Hour - time.Second: nil, 12 * time.Hour: session.ErrNone, 13 * time.Hour: session.ErrNone} {
		g.ExchangedAt = now.Add(-age)
		if _, err := w.begin(g); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", age, err, want)
		}
	}
	wantKeys(t, w, 1)
}

func TestEntriesOfASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, s := w.start("one")
	code := operator.HashCode(s.AppID, "the-secret-code-1")
	if e, ok := s.OfCode(code); !ok || e.PartnerID != "one" {
		t.Errorf("of its code: got %+v, %t", e, ok)
	}
	if e, ok := s.OfCode("another"); ok {
		t.Errorf("of another code: got %+v", e)
	}
	if e, ok := s.Partner("one"); !ok || e.PartnerID != "one" {
		t.Errorf("of its partner: got %+v, %t", e, ok)
	}
	if e, ok := s.Partner("two"); ok {
		t.Errorf("of another partner: got %+v", e)
	}
	version := s.Newest().Version()
	if again := w.find(token).Newest().Version(); version == "" || again != version {
		t.Errorf("read again: got the version %q, want %q", again, version)
	}
	if later := w.add(token, "one").Newest().Version(); later == version {
		t.Error("a landing did not change the version")
	}
	if code, err := w.Code(session.Entry{}); !errors.Is(err, session.ErrSeal) {
		t.Errorf("got the code %q, %v, want an error", code, err)
	}
}

// TestUnknownOutcomeOfAStart: the session may exist, and the caller needs its name.
func TestUnknownOutcomeOfAStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.grant("one")
	w.tap.lose("eval:session")
	s, err := w.begin(g)
	if !errors.Is(err, store.ErrUnavailable) || s.Session.Hash() != s.Token.Hash() {
		t.Fatalf("got %+v, %v, want unavailable and the session's name", s, err)
	}
	for _, name := range []string{"get", "eval:revoked"} {
		w.tap.fail(name)
		if err := w.Withdraw(t.Context(), s.Session.Hash()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s fails: got %v, want unavailable", name, err)
		}
	}
	w.tap.do.Store(nil)
	w.must(w.Withdraw(t.Context(), s.Session.Hash()))
	if got := partners(w.find(s.Token)); got != "one" {
		t.Errorf("got %q, want the session: it is not revoked", got)
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.begin(w.grant("one"))
	w.must(err)
	w.tap.fail("eval:session")
	if err := w.Undo(t.Context(), s); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the write fails: got %v, want unavailable", err)
	}
	w.tap.do.Store(nil)
	if got := partners(w.find(s.Token)); got != "one" {
		t.Errorf("the write fails: got %q, want the session", got)
	}
	w.must(w.Undo(t.Context(), s))
	w.wantGone(s.Token)

	s, err = w.begin(w.grant("one"))
	w.must(err)
	w.add(s.Token, "two")
	w.must(w.Undo(t.Context(), s))
	if got := partners(w.find(s.Token)); got != "two one" {
		t.Errorf("another landing has joined: got %q, want the session", got)
	}
	w.wantIndexed(1)
}

// TestUnchangedRecordsAreNotDecodedAgain: decoding a record with 32 partners allocates hundreds of objects.
func TestUnchangedRecordsAreNotDecodedAgain(t *testing.T) {
	w := newWorld(t)
	token, _ := w.start("p0")
	for i := range 31 {
		w.add(token, fmt.Sprint("p", i+1))
	}
	if n := testing.AllocsPerRun(100, func() { w.find(token) }); n > 200 {
		t.Errorf("got %.0f allocations per read, want at most 200", n)
	}
}

func TestEndIfOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.code()
	hash := operator.HashCode("2021000000000000", code)
	s, err := w.Start(t.Context(), w.grant("one"), code, nil)
	w.must(err)
	for range 2 { // the second time there is none
		w.must(w.EndIfOnly(t.Context(), s.Token, hash))
		w.wantGone(s.Token)
	}
	s, err = w.Start(t.Context(), w.grant("one"), code, nil)
	w.must(err)
	w.add(s.Token, "two")
	w.must(w.EndIfOnly(t.Context(), s.Token, hash))
	w.find(s.Token) // it has the entry of another code
	w.redis.Kill()
	if err := w.EndIfOnly(t.Context(), s.Token, hash); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without Redis: got %v, want unavailable", err)
	}
}
