package app_test

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// testUserOfTheDocs creates the user with the commands in docs/redis.md, and with the kinds of keys that the page lists, and
// runs all operations as this user. Redis must refuse nothing, not even optional commands.
func testUserOfTheDocs(t *testing.T, d deployment) {
	page, err := os.ReadFile("../../docs/redis.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)```sh by TestRedisModes\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("got %d blocks of commands, want one for Redis and one for Sentinel", len(blocks))
	}
	address, err := url.Parse(d.url)
	must(t, err)
	options := address.Query()
	address.User = url.UserPassword("koubei", "CHANGE-ME")
	if d.mode == app.Sentinel {
		for _, sentinel := range append([]string{address.Host}, options["addr"]...) {
			createUser(t, blocks[1][1], sentinel)
		}
		address.User = url.UserPassword("koubei", "SENTINELS-PASSWORD")
		options.Set("username", "koubei")
		options.Set("password", "CHANGE-ME")
	}
	for _, n := range d.nodes {
		createUser(t, blocks[0][1], n.Addr())
		must(t, n.Client.Do(t.Context(), append([]any{"ACL", "SETUSER", "koubei", "resetkeys"}, documentedKeys(string(page))...)...).Err())
	}
	address.RawQuery = options.Encode()
	d.url = address.String()
	underPrefix := func(c *app.Config) { c.Redis.Prefix = prefixOfTheDocs }
	testOperations(t, &d, min(1, len(d.nodes)-1), underPrefix)
	w := worldOn(t, &d, underPrefix, func(c *app.Config) { c.Session.CacheTTL = time.Minute })
	testCacheOn(t, w)
	if got := problemsOf(app.Check(t.Context(), w.Config)); len(got) > 0 {
		t.Errorf("check: got %+v, want no problem", got)
	}
	for _, n := range d.nodes {
		if refused := n.Client.Do(t.Context(), "ACL", "LOG").Val().([]any); len(refused) > 0 {
			t.Errorf("%s refused %v", n.Addr(), refused)
		}
	}
}

const prefixOfTheDocs = "koubei:2014072300007148:"

// documentedKeys returns a rule for each kind of key in the table of docs/redis.md.
func documentedKeys(page string) (rules []any) {
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+:)`").FindAllStringSubmatch(page, -1) {
		rules = append(rules, "~"+prefixOfTheDocs+m[1]+"*")
	}
	return rules
}

var cli = regexp.MustCompile(`redis-cli( -p \d+)?`)

// createUser runs a command of the docs against a server of the test.
func createUser(t *testing.T, command, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	out, err := exec.Command("bash", "-c", cli.ReplaceAllString(command, "redis-cli -h "+host+" -p "+port)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "OK" {
		t.Fatalf("%s\ngot %s, %v, want OK", command, out, err)
	}
}

// testCacheOn signs in and out with two replicas that cache sessions, and revokes.
func testCacheOn(t *testing.T, w *testworld.World) {
	t.Helper()
	other := w.Replica()
	checks := func(b *testworld.Browser, status int) func() error {
		return func() error {
			return errors.Join(want(b.Get(w.Internal+"/auth/verify"), status), want(b.Get(other.Internal+"/auth/verify"), status))
		}
	}
	land := func() *testworld.Browser {
		b := w.Browser()
		must(t, want(b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), http.StatusSeeOther))
		testworld.Eventually(t, 30*time.Second, "the session is known everywhere", checks(b, http.StatusOK))
		return b
	}
	b := land()
	token := b.Cookie(w.Public, "koubei_session")
	must(t, want(b.Post(w.Public+"/logout", nil), http.StatusSeeOther))
	b.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: token, Path: "/"})
	testworld.Eventually(t, 30*time.Second, "the sign-out is known everywhere", checks(b, http.StatusUnauthorized))
	b = land()
	if n, err := app.Revoke(t.Context(), w.Config, testworld.Provider.OperatorID); n != 1 || err != nil {
		t.Errorf("revoked %d, %v, want 1", n, err)
	}
	testworld.Eventually(t, 30*time.Second, "the revocation is known everywhere", checks(b, http.StatusUnauthorized))
}
