package handler_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func limited(rate int, proxies ...string) func(*app.Config) {
	return func(c *app.Config) {
		c.Landing.Rate = rate
		// The limiter counts by minutes of the real clock. Late in a minute the test waits for the next one.
		if now := time.Now(); now.Second() >= 35 {
			time.Sleep(time.Until(now.Truncate(time.Minute).Add(time.Minute)))
		}
		for _, p := range proxies {
			c.Web.TrustedProxies = append(c.Web.TrustedProxies, netip.MustParsePrefix(p))
		}
	}
}

// from returns a new program that claims to have an address.
func from(w *testworld.World, forwarded ...string) *testworld.Browser {
	p := w.Program()
	p.Header["X-Forwarded-For"] = forwarded
	return p
}

func TestOnlyClaimsCountTowardTheLimit(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(3))
	b := w.Browser()
	landed := []string{w.Landing(w.Koubei.Issue(testworld.Provider)), w.Landing(w.Koubei.Issue(testworld.Provider))}
	for _, link := range landed {
		if a := b.Land(link); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d", a.StatusCode)
		}
	}
	for range 5 { // hops, replays, refusals and prefetches claim no code
		w.Browser().Get(w.Landing(w.Koubei.Issue(testworld.Provider)))
		b.Get(landed[0])
		w.Program().Get(landed[1])
		b.Get(w.Public + w.Config.Web.CallbackPath + "?code=")
		b.Get(w.Landing(w.Koubei.Issue(testworld.Provider)) + "&return_to=//evil.example")
		r, _ := http.NewRequest(http.MethodHead, w.Landing(w.Koubei.Issue(testworld.Provider)), nil)
		b.Do(r)
	}
	if a := b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("the third claim: got %d, want 303", a.StatusCode)
	}
	code := w.Koubei.Issue(testworld.Provider)
	a := b.Land(w.Landing(code))
	after, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.StatusCode != http.StatusTooManyRequests || err != nil || after <= 0 {
		t.Fatalf("the fourth: got %d, Retry-After %q, want 429", a.StatusCode, a.Header.Get("Retry-After"))
	}
	checkErrorPage(t, a, code, "rate_limited")
	if p := w.Program().Get(w.Landing(code)); p.StatusCode != http.StatusTooManyRequests || p.Problem() != "rate_limited" {
		t.Errorf("JSON: got %d %q", p.StatusCode, p.Problem())
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Errorf("got %d calls, want none", n)
	}
	if a := b.Get(landed[0]); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a replay above the limit: got %d, want 303", a.StatusCode)
	}
	if a := w.Program().Get(landed[0]); a.Problem() != "code_used" {
		t.Errorf("a thief above the limit: got %d %q, want code_used", a.StatusCode, a.Problem())
	}
}

func TestConcurrentLandingsRespectTheLimit(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(3))
	var holds []koubeisim.Fault
	for range 12 {
		holds = append(holds, koubeisim.Hold)
	}
	w.Koubei.Next(holds...)
	results := make(chan int, 12)
	for range 12 {
		go func() {
			r, _ := http.NewRequest(http.MethodGet, w.Landing(w.Koubei.Issue(testworld.Provider)), nil)
			a, err := w.Program().Try(r)
			if err != nil {
				t.Error(err)
				a.Response = &http.Response{}
			}
			results <- a.StatusCode
		}()
	}
	for range 9 {
		if status := <-results; status != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429 for all above three", status)
		}
	}
	awaitHeld(t, w, 3)
	w.Koubei.Release()
	for range 3 {
		if status := <-results; status != http.StatusSeeOther {
			t.Errorf("got %d, want 303 for three", status)
		}
	}
}

func TestLimitOfZeroIsOff(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(0))
	for range 20 {
		if a := w.Program().Get(w.Landing(w.Koubei.Issue(testworld.Provider))); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d", a.StatusCode)
		}
	}
}

// TestWhoIsLimited: requests of the same client share a limit of one landing. Each row uses its own addresses.
func TestWhoIsLimited(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	trusted := []string{"127.0.0.0/8", "10.0.0.0/8"}
	replicas := map[int]*testworld.Service{}
	for _, tt := range []struct {
		name          string
		proxies       []string
		first, second []string
		same          bool
	}{
		{"X-Forwarded-For of an untrusted peer is ignored", nil, []string{"192.0.2.1"}, []string{"192.0.2.2"}, true},
		{"nor that of a proxy that is not listed", []string{"192.0.2.0/24"}, []string{"198.51.100.1"}, []string{"198.51.100.2"}, true},
		{"a proxy's is", trusted, []string{"192.0.2.1"}, []string{"192.0.2.2"}, false},
		{"the rightmost counts", trusted, []string{"203.0.113.9, 192.0.2.3"}, []string{"203.0.113.8, 192.0.2.3"}, true},
		{"in the last header", trusted, []string{"203.0.113.9", "192.0.2.4"}, []string{"203.0.113.8", "192.0.2.4"}, true},
		{"behind trusted proxies", trusted, []string{"192.0.2.5, 10.1.1.1"}, []string{"192.0.2.6, 10.1.1.1"}, false},
		{"entries before the trusted ones are ignored", trusted, []string{"203.0.113.9, 192.0.2.7, 10.1.1.1"}, []string{"203.0.113.8, 192.0.2.7, 10.1.1.2"}, true},
		{"junk is the proxy itself", trusted, []string{"junk"}, []string{"other junk"}, true},
		{"junk to the left is not reached", trusted, []string{"junk, 192.0.2.8"}, []string{"192.0.2.8"}, true},
		{"IPv6 by the first half", trusted, []string{"2001:db8:1:2::1"}, []string{"2001:db8:1:2:ffff::2"}, true},
		{"another IPv6 network", trusted, []string{"2001:db8:1:4::1"}, []string{"2001:db8:1:5::1"}, false},
		{"with a port", trusted, []string{"192.0.2.20:51234"}, []string{"192.0.2.20:51235"}, true},
		{"others with a port", trusted, []string{"192.0.2.21:51234"}, []string{"192.0.2.22:51234"}, false},
		{"IPv6 with a port", trusted, []string{"[2001:db8:1:6::1]:443"}, []string{"2001:db8:1:6::1"}, true},
		{"IPv6 in brackets", trusted, []string{"[2001:db8:1:7::1]"}, []string{"[2001:db8:1:8::1]"}, false},
		{"quoted", trusted, []string{`"[2001:db8:1:9::1]:443"`}, []string{`"192.0.2.23:80"`}, false},
		{"behind proxies with ports", trusted, []string{"192.0.2.24:1, 10.1.1.1:2"}, []string{"192.0.2.25:1, 10.1.1.1:2"}, false},
		{"empty entries", trusted, []string{"192.0.2.26,, "}, []string{"192.0.2.27,,"}, false},
		{"IPv4 in IPv6's clothes", trusted, []string{"::ffff:192.0.2.9"}, []string{"192.0.2.9"}, true},
		{"two IPv4 in IPv6's clothes", trusted, []string{"::ffff:192.0.2.10"}, []string{"::ffff:192.0.2.11"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			replica := replicas[len(tt.proxies)]
			if replica == nil {
				replica = w.Replica(limited(1, tt.proxies...)) // each has its own count
				replicas[len(tt.proxies)] = replica
				wantReady(t, w, replica, http.StatusOK)
			}
			link := func() string { return testworld.On(replica, w.Landing(w.Koubei.Issue(testworld.Provider))) }
			if a := from(w, tt.first...).Get(link()); a.StatusCode != http.StatusSeeOther {
				t.Fatalf("the first: got %d", a.StatusCode)
			}
			want := http.StatusSeeOther
			if tt.same {
				want = http.StatusTooManyRequests
			}
			if a := from(w, tt.second...).Get(link()); a.StatusCode != want {
				t.Errorf("from %s: got %d, want %d", strings.Join(tt.second, " and "), a.StatusCode, want)
			}
		})
	}
}

// TestWaitingForAnotherLandingIsNotCounted: reloads of a link during its landing claim nothing.
func TestWaitingForAnotherLandingIsNotCounted(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(2))
	b := w.Browser()
	link := arrive(t, b, w.Landing(w.Koubei.Issue(testworld.Provider)))
	w.Koubei.Next(koubeisim.Hold)
	landings := []<-chan testworld.Answer{background(t, b, link)}
	awaitHeld(t, w, 1)
	for range 5 {
		landings = append(landings, background(t, b, link))
	}
	testworld.Eventually(t, 30*time.Second, "the second claim of two", func() error {
		// This landing may be refused while the reloads are about to claim, until they have read the ledger.
		if a := w.Program().Get(w.Landing(w.Koubei.Issue(testworld.Merchant))); a.StatusCode != http.StatusSeeOther {
			return fmt.Errorf("got %d", a.StatusCode)
		}
		return nil
	})
	if a := w.Program().Get(w.Landing(w.Koubei.Issue(testworld.Merchant))); a.Problem() != "rate_limited" {
		t.Errorf("the third: got %d %q, want rate_limited", a.StatusCode, a.Problem())
	}
	w.Koubei.Release()
	for _, landing := range landings {
		if a := <-landing; a.StatusCode != http.StatusSeeOther {
			t.Errorf("a reload: got %d, want 303", a.StatusCode)
		}
	}
}

// TestOverTheLimitIsRefusedAtOnce: while the gateway is slow, landings over the limit do not wait.
func TestOverTheLimitIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	const slots, limit = 64, 48 // the maximum of one client
	w := testworld.New(t, limited(limit, "127.0.0.0/8"))
	w.Koubei.Next(slices.Repeat([]koubeisim.Fault{koubeisim.Hold}, slots)...)
	var landings []<-chan testworld.Answer
	for i := range slots {
		client := from(w, fmt.Sprintf("192.0.2.%d", i/limit))
		landings = append(landings, background(t, client, w.Landing(w.Koubei.Issue(testworld.Provider))))
	}
	awaitHeld(t, w, slots)
	for range 10 {
		if a := from(w, "192.0.2.0").Get(w.Landing(w.Koubei.Issue(testworld.Provider))); a.Problem() != "rate_limited" {
			t.Fatalf("got %d %q, want rate_limited", a.StatusCode, a.Problem())
		}
	}
	awaitHeld(t, w, slots) // none of the landings had to end for that
	w.Koubei.Release()
	for _, landing := range landings {
		if a := <-landing; a.StatusCode != http.StatusSeeOther {
			t.Errorf("got %d, want 303", a.StatusCode)
		}
	}
}
