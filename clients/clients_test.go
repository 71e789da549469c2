// Package clients_test runs the clients of this folder, and koubeiauth, against the real service.
package clients_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/testworld"
)

// verdict is a client's result for an assertion.
type verdict struct {
	status   int
	operator string
}

type client struct {
	name   string
	keeps  bool // its process continues and caches the keys
	verify func(t *testing.T, assertion string) verdict
}

// verifiers returns all clients that verify assertions, for an issuer.
func verifiers(t *testing.T, issuer string) []client {
	t.Helper()
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	program, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	node := start(t, "node", []string{"KOUBEI_ISSUER=" + issuer, "PORT=0"}, "node", "server.mjs")
	pythonServer := start(t, "python", []string{"KOUBEI_ISSUER=" + issuer, "PORT=0"}, python, "server.py")
	goShop := start(t, ".", nil, program, "--issuer", issuer, "--listen", "127.0.0.1:0")
	all := []client{
		{"node server.mjs", true, viaHTTP(node + "/")},
		{"python server.py", true, viaHTTP(pythonServer + "/")},
		{"koubeiauth", true, viaHTTP(goShop + "/whoami")},
	}
	for _, p := range programs(t) {
		all = append(all, client{p.name, false, func(t *testing.T, assertion string) verdict {
			t.Helper()
			return p.verify(t, assertion, "KOUBEI_ISSUER="+issuer)
		}})
	}
	return all
}

// program verifies one assertion, without cached keys.
type program struct {
	name, dir string
	command   []string
}

// programs returns the programs of the clients.
func programs(t *testing.T) []program {
	t.Helper()
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	classes, err := javaClasses()
	if err != nil {
		t.Fatal(err)
	}
	return []program{
		{"node verify.mjs", "node", []string{"node", "verify.mjs"}},
		{"python verify.py", "python", []string{python, "verify.py"}},
		{"java Verify", "java", []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + jackson, "Verify"}},
		{"php verify.php", "php", []string{"php", "verify.php"}},
	}
}

// verify verifies an assertion in a new process.
func (p program) verify(t *testing.T, assertion string, env ...string) verdict {
	t.Helper()
	out, err := run(p.dir, assertion, append(env, "PYTHONDONTWRITEBYTECODE=1"), p.command[0], p.command[1:]...)
	var got struct {
		OperatorID string `json:"operatorId"`
		Python     string `json:"operator_id"`
		Status     int
	}
	if json.Unmarshal([]byte(out), &got) != nil || err != nil && got.Status == 0 {
		t.Errorf("%s: %v\n%s", p.name, err, out)
	}
	if err == nil {
		got.Status = http.StatusOK
	}
	return verdict{got.Status, got.OperatorID + got.Python}
}

// viaHTTP sends an assertion to a back end, as the proxy in front of it would.
func viaHTTP(address string) func(*testing.T, string) verdict {
	return func(t *testing.T, assertion string) verdict {
		t.Helper()
		header := http.Header{"X-Koubei-Operator-Id": {"2088000000000666"}}
		if assertion != "" {
			header.Set("X-Koubei-Assertion", assertion)
		}
		return ask(t, address, header)
	}
}

func ask(t *testing.T, address string, header http.Header) verdict {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := c.Do(r)
	if err != nil {
		t.Error(err)
		return verdict{}
	}
	defer a.Body.Close()
	var body struct {
		Node string `json:"operatorId"`
		Go   string `json:"operator_id"`
	}
	_ = json.NewDecoder(a.Body).Decode(&body) // koubeiauth's refusals are plain text
	return verdict{a.StatusCode, body.Node + body.Go}
}

// isv is a service with assertions, at an address that stays the same when it restarts.
type isv struct {
	*testworld.World
	browser *testworld.Browser
}

func newISV(t *testing.T, keys ...crypto.Signer) *isv {
	t.Helper()
	public := "127.0.0.1:" + strconv.Itoa(testworld.StablePort(t))
	w := testworld.New(t, func(c *app.Config) {
		c.Operations.PublicListen, c.Web.PublicURL = public, &url.URL{Scheme: "http", Host: public}
		c.Assertions = assertion.Config{Keys: keys, Audiences: []string{c.Web.PublicURL.String(), "reports"}, TTL: 10 * time.Minute} // longer than a test takes on a busy machine
	})
	b := w.Browser()
	if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("landing: got %d", a.StatusCode)
	}
	return &isv{w, b}
}

// rotate restarts the service with other keys.
func (i *isv) rotate(keys ...crypto.Signer) {
	i.T.Helper()
	if err := i.Stop(); err != nil {
		i.T.Fatal(err)
	}
	i.Service = i.Replica(func(c *app.Config) {
		c.Operations.PublicListen, c.Assertions.Keys = i.Config.Operations.PublicListen, keys
	})
}

// assertion returns the assertion that /auth/verify returns to a proxy.
func (i *isv) assertion(query string) string {
	i.T.Helper()
	a := i.browser.Get(i.Internal + "/auth/verify" + query)
	text := a.Header.Get("X-Koubei-Assertion")
	if a.StatusCode != http.StatusOK || text == "" {
		i.T.Fatalf("/auth/verify%s: got %d and the assertion %q", query, a.StatusCode, text)
	}
	return text
}

func keys(t *testing.T) (es256, eddsa crypto.Signer) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ec, ed
}

// changed returns an assertion with a changed payload and the old signature.
func changed(t *testing.T, assertion, from, to string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(payload), from) {
		t.Fatalf("%s is not in %s: %v", from, payload, err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), from, to, 1)))
	return strings.Join(parts, ".")
}

// A rotation as documented: the new key is published, then signs, then the old key is removed. Back ends that cache the
// keys continue without unnecessary fetches. A new process verifies with the keys as they are served.
func TestAssertionsThroughARotation(t *testing.T) {
	t.Parallel()
	first, second := keys(t)
	w := newISV(t, first)
	clients := verifiers(t, w.Config.Web.PublicURL.String())
	who := verdict{http.StatusOK, testworld.Provider.OperatorID}
	refused := verdict{status: http.StatusUnauthorized}
	check := func(step, assertion string, kept, fresh verdict) {
		t.Helper()
		var all sync.WaitGroup
		for _, c := range clients {
			want := fresh
			if c.keeps {
				want = kept
			}
			all.Go(func() {
				if got := c.verify(t, assertion); got != want {
					t.Errorf("%s: %s: got %v, want %v", step, c.name, got, want)
				}
			})
		}
		all.Wait()
	}

	w.rotate(first, second)
	good := w.assertion("")
	check("both published, the old one signs", good, who, who)
	check("nothing", "", refused, refused)
	check("no JWT", "x.y.z", refused, refused)
	check("another operator", changed(t, good, testworld.Provider.OperatorID, "2088000000000666"), refused, refused)
	check("another end", changed(t, good, `"exp":`, `"exp":1`), refused, refused)
	check("another signature", good[:len(good)-8]+"AAAAAAAA", refused, refused)
	check("another audience", w.assertion("?audience=reports"), refused, refused)

	w.rotate(second, first)
	check("after the rotation, the new one signs", w.assertion(""), who, who)
	check("after the rotation, signed before", good, who, who)

	w.rotate(second)
	check("the old one is withdrawn, the new one signs", w.assertion(""), who, who)
	check("the old one is withdrawn, signed before", good, who, refused)

	w.rotate(second)
	w.Clock.Turn(-20 * time.Minute)
	check("expired", w.assertion(""), refused, refused)
	w.Clock.Turn(20 * time.Minute)

	good = w.assertion("")
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	check("the service is away", good, who, verdict{status: http.StatusServiceUnavailable})
}

func TestAnotherAudienceByItsOwnName(t *testing.T) {
	t.Parallel()
	first, _ := keys(t)
	w := newISV(t, first)
	issuer := w.Config.Web.PublicURL.String()
	for _, p := range programs(t) {
		env := []string{"KOUBEI_ISSUER=" + issuer, "KOUBEI_AUDIENCE=reports"}
		if got := p.verify(t, w.assertion("?audience=reports"), env...); got.status != http.StatusOK {
			t.Errorf("%s: got %v", p.name, got)
		}
		if got := p.verify(t, w.assertion(""), env...); got.status != http.StatusUnauthorized {
			t.Errorf("%s: the first audience's: got %v", p.name, got)
		}
		if got := p.verify(t, w.assertion(""), "KOUBEI_ISSUER=http://127.0.0.1:1", "KOUBEI_AUDIENCE="+issuer,
			"KOUBEI_JWKS_URL="+w.Public+"/.well-known/jwks.json"); got.status != http.StatusUnauthorized {
			t.Errorf("%s: another issuer's: got %v", p.name, got)
		}
	}
}

// The same Go back end without a proxy: it sends the cookies to the service.
func TestAskingTheService(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	program, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	address := start(t, ".", nil, program, "--internal", w.Internal, "--listen", "127.0.0.1:0")
	provider, sales := w.Browser(), w.Browser()
	provider.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	sales.Land(w.Landing(w.Koubei.Issue(testworld.Sales)))
	other := testworld.Provider
	other.PartnerID = "2088000000000002"
	provider.Land(w.Landing(w.Koubei.Issue(other)))
	forged := http.Header{"X-Koubei-Operator-Id": {testworld.Provider.OperatorID}, "X-Koubei-Select-Partner": {testworld.Provider.PartnerID}}
	for _, tt := range []struct {
		name   string
		b      *testworld.Browser
		path   string
		status int
	}{
		{"signed in", provider, "/whoami", 200},
		{"not signed in", nil, "/whoami", 401},
		{"one of its partners", provider, "/merchants/" + testworld.Provider.PartnerID, 200},
		{"another of its partners", provider, "/merchants/" + other.PartnerID, 200},
		{"a stranger's partner", provider, "/merchants/2088000000000003", 403},
		{"another type", sales, "/merchants/" + testworld.Provider.PartnerID, 403},
		{"that type elsewhere", sales, "/whoami", 200},
	} {
		header := forged.Clone()
		want := verdict{status: tt.status}
		if tt.b != nil {
			header.Set("Cookie", "koubei_session="+tt.b.Cookie(w.Public, "koubei_session"))
		}
		if tt.status == http.StatusOK && tt.b == provider {
			want.operator = testworld.Provider.OperatorID
		} else if tt.status == http.StatusOK {
			want.operator = testworld.Sales.OperatorID
		}
		if got := ask(t, address+tt.path, header); got != want {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
	w.Redis.Kill()
	header := http.Header{"Cookie": {"koubei_session=" + provider.Cookie(w.Public, "koubei_session")}}
	if got := ask(t, address+"/whoami", header); got.status != http.StatusServiceUnavailable {
		t.Errorf("Redis away: got %v, want 503", got)
	}
}
