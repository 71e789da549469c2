package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// TestAnUnknownMasterIsAnOutage: Sentinels that do not know the master reply nil, which does not mean that a session is
// absent.
func TestAnUnknownMasterIsAnOutage(t *testing.T) {
	t.Parallel()
	sentinel := startSentinel(t, time.Second)
	w := worldOn(t, sentinel, func(c *app.Config) { c.Web.AdminToken = strings.Repeat("a", 32) })
	b := w.Browser()
	if err := landedFor(b, w, b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider); err != nil {
		t.Fatal(err)
	}
	cookie := b.Cookie(w.Public, "koubei_session")
	for _, s := range sentinel.sentinels {
		must(t, s.Remove(t.Context(), "koubei").Err())
	}
	for _, n := range sentinel.nodes {
		n.Client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal")
	}
	b.Header.Set("Accept", "application/json")
	code := w.Koubei.Issue(testworld.Merchant)
	for _, row := range []struct {
		name string
		ask  func() testworld.Answer
	}{
		{"check", func() testworld.Answer { return b.Get(w.Internal + "/auth/verify") }},
		{"session", func() testworld.Answer { a, _ := b.Session(w.Service, ""); return a }},
		{"landing", func() testworld.Answer { return b.Land(w.Landing(code)) }},
		{"sign-out", func() testworld.Answer { return b.Post(w.Public+"/logout", nil) }},
		{"list", func() testworld.Answer { return admin(t, w, http.MethodGet) }},
		{"revoke", func() testworld.Answer { return admin(t, w, http.MethodDelete) }},
	} {
		if a := row.ask(); a.StatusCode != http.StatusServiceUnavailable || a.Problem() != "store_unavailable" {
			t.Errorf("%s: got %d %s, want 503 store_unavailable", row.name, a.StatusCode, a.Problem())
		}
	}
	testworld.Eventually(t, 10*time.Second, "the replica is not ready", func() error {
		return want(b.Get(w.Internal+"/readyz"), http.StatusServiceUnavailable)
	})
	if got := b.Cookie(w.Public, "koubei_session"); got != cookie {
		t.Error("the sign-out took the cookie of a session that lives")
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Errorf("the code was sent %d times, want 0", n)
	}
}

func admin(t *testing.T, w *testworld.World, method string) testworld.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.Internal+"/admin/operators/"+testworld.Provider.OperatorID+"/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.Config.Web.AdminToken)
	a, err := w.Browser().Try(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOptionalCommandsAreRefused: they do not affect the result.
func TestOptionalCommandsAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		rules string
	}{
		{"arrivals", "~%[1]ssession:* ~%[1]scode:* ~%[1]soperator:* ~%[1]srevoked:* resetchannels &* +@all"},
		{"announcements", "~%[1]s* resetchannels +@all"},
		{"pruning", "~%[1]s* resetchannels &* +@all -zremrangebyscore -zrem"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, func(c *app.Config) {
				c.Session.CacheTTL = 5 * time.Second
				c.Redis.URL = withUser(t, c.Redis, fmt.Sprintf(row.rules, c.Redis.Prefix))
			})
			b := w.Browser()
			for _, person := range []struct{ name string }{{"first"}, {"second"}} {
				code := w.Koubei.Issue(testworld.Provider)
				if err := landedFor(b, w, b.Land(w.Landing(code)), testworld.Provider); err != nil {
					t.Fatalf("%s landing: %v", person.name, err)
				}
				if n := w.Koubei.CallsFor(code); n != 1 {
					t.Errorf("%s landing: the code was sent %d times, want 1", person.name, n)
				}
			}
			a := b.Land(w.Landing(w.Koubei.Issue(secondMerchant)))
			if err := landedFor(b, w, a, secondMerchant); err != nil {
				t.Errorf("second partner: %v", err)
			}
			if keys := w.Redis.Client.Keys(t.Context(), w.Config.Redis.Prefix+"session:*").Val(); len(keys) != 1 {
				t.Errorf("got %d sessions in Redis, want 1", len(keys))
			}
			if err := want(b.Post(w.Public+"/logout", nil), http.StatusSeeOther); err != nil {
				t.Errorf("sign-out: %v", err)
			}
			other := w.Browser()
			if err := landedFor(other, w, other.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider); err != nil {
				t.Error(err)
			}
			if n, err := app.Revoke(t.Context(), w.Config, testworld.Provider.OperatorID); n != 1 || err != nil {
				t.Errorf("revocation: got %d, %v, want 1", n, err)
			}
		})
	}
}

// withUser creates a user with these rules and returns the address with this user.
func withUser(t *testing.T, c app.Redis, rules string) string {
	t.Helper()
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(o)
	defer client.Close()
	args := []any{"ACL", "SETUSER", "app", "reset", "on", ">pw"}
	for rule := range strings.FieldsSeq(rules) {
		args = append(args, rule)
	}
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("app", "pw")
	return u.String()
}

// TestRevocationOnAFullRedis: Redis allows deletions while it refuses writes.
func TestRevocationOnAFullRedis(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := w.Browser()
	if err := landedFor(b, w, b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), testworld.Provider); err != nil {
		t.Fatal(err)
	}
	for _, set := range [][2]string{{"maxmemory-policy", "noeviction"}, {"maxmemory", "1"}} {
		if err := w.Redis.Client.ConfigSet(t.Context(), set[0], set[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	n, err := app.Revoke(t.Context(), w.Config, testworld.Provider.OperatorID)
	if n != 1 || err == nil {
		t.Errorf("got %d, %v; want one session ended, and the refused mark reported", n, err)
	}
	if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", a.StatusCode)
	}
}
