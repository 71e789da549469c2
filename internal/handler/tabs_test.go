package handler_test

import (
	"net/http"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// atOnce lands for two people in two tabs of one new browser. Neither tab sees the other's session cookie.
func atOnce(t *testing.T, w *testworld.World, one, two koubeisim.Person) (*testworld.Browser, [2]testworld.Answer) {
	t.Helper()
	b := w.Browser()
	links := [2]string{w.Landing(w.Koubei.Issue(one)), w.Landing(w.Koubei.Issue(two))}
	hop := b.Get(links[0]) // both tabs have the arrival cookie of the first hop
	if hop.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d, want the hop", hop.StatusCode)
	}
	w.Koubei.Next(koubeisim.Hold, koubeisim.Hold)
	var answers [2]testworld.Answer
	done := make(chan error, 2)
	for i, link := range links {
		r, err := http.NewRequest(http.MethodGet, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			var err error
			answers[i], err = b.Try(r)
			done <- err
		}()
	}
	if err := w.Koubei.AwaitHeld(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	w.Koubei.Release()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return b, answers
}

func TestTwoTabsAtOnceInAFreshBrowserShareOneSession(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for range 5 {
		b, answers := atOnce(t, w, with("2088000000000001"), with("2088000000000002"))
		for _, a := range answers {
			if a.StatusCode != http.StatusSeeOther {
				t.Fatalf("got %d, want 303", a.StatusCode)
			}
		}
		if _, id := b.Session(w.Service, ""); len(id.Partners) != 2 {
			t.Fatalf("got partners %v, want both tabs'", partnerIDs(id))
		}
	}
	if keys := w.Redis.Client.Keys(t.Context(), "*:session:*").Val(); len(keys) != 5 {
		t.Errorf("got %d sessions, want one for each browser", len(keys))
	}
}

func TestTwoTabsAtOnceForTwoOperatorsAreAskedAbout(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b, answers := atOnce(t, w, testworld.Provider, testworld.Merchant)
	landed, asked := 0, 0
	for _, a := range answers {
		switch {
		case a.StatusCode == http.StatusSeeOther:
			landed++
		case a.StatusCode == http.StatusOK && strings.Contains(a.Body, `id="decision-yes"`):
			asked++
		}
	}
	if landed != 1 || asked != 1 {
		t.Errorf("got %d landed and %d asked, want one of each", landed, asked)
	}
	if a, _ := b.Session(w.Service, ""); a.StatusCode != http.StatusOK {
		t.Errorf("got %d, want the one that landed signed in", a.StatusCode)
	}
	if keys := w.Redis.Client.Keys(t.Context(), "*:session:*").Val(); len(keys) != 1 {
		t.Errorf("got %d sessions, want one", len(keys))
	}
}
