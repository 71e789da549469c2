package handler_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func wantReady(t *testing.T, w *testworld.World, s *testworld.Service, status int) {
	t.Helper()
	testworld.Eventually(t, 30*time.Second, "/readyz", func() error {
		if a := w.Program().Get(s.Internal + "/readyz"); a.StatusCode != status {
			return fmt.Errorf("got %d, want %d", a.StatusCode, status)
		}
		return nil
	})
}

func TestDrainingFinishesRequestsInProgress(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	wantReady(t, w, w.Service, http.StatusOK)
	b := w.Browser()
	link := arrive(t, b, w.Landing(w.Koubei.Issue(testworld.Provider))+"&return_to=/shop")
	w.Koubei.Next(koubeisim.SpendThenHold)
	landing := background(t, b, link)
	awaitHeld(t, w, 1)

	w.Signal()
	wantReady(t, w, w.Service, http.StatusServiceUnavailable)
	code := w.Koubei.Issue(testworld.Provider)
	var page testworld.Answer
	testworld.Eventually(t, 30*time.Second, "new requests are refused", func() error {
		if page = w.Browser().Get(w.Landing(code)); page.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("got %d", page.StatusCode)
		}
		return nil
	})
	checkErrorPage(t, page, code, "draining")
	if !strings.Contains(page.Body, "data-retry") && !strings.Contains(strings.ToLower(page.Body), "retry") {
		t.Error("the page doesn't try again by itself")
	}
	if a := w.Program().Get(w.Landing(code)); a.Problem() != "draining" || a.Header.Get("Retry-After") == "" {
		t.Errorf("JSON: got %d %q", a.StatusCode, a.Problem())
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Errorf("got %d calls for a landing that was refused", n)
	}
	if a := w.Program().Get(w.Internal + "/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("/healthz: got %d, want 200 while it lives", a.StatusCode)
	}

	w.Koubei.Release()
	if a := <-landing; a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/shop" {
		t.Errorf("the landing in flight: got %d to %q, want 303 to /shop", a.StatusCode, a.Header.Get("Location"))
	}
	if err := w.Stop(); err != nil {
		t.Errorf("got %v, want an end without an error", err)
	}
	other := w.Replica()
	if a, id := b.Session(other, ""); id.OperatorID != testworld.Provider.OperatorID {
		t.Errorf("on another replica: got %d, want the session", a.StatusCode)
	}
	if a := w.Browser().Land(testworld.On(other, w.Landing(code))); a.StatusCode != http.StatusSeeOther {
		t.Errorf("the refused landing, on another replica: got %d, want 303", a.StatusCode)
	}
}

// TestAShutdownLosesNoCode is a rolling update under load. There are more users than gateway slots, and the first attempts
// at the gateway hang.
func TestAShutdownLosesNoCode(t *testing.T) {
	t.Parallel()
	const users, slots = 110, 64
	w := testworld.New(t, limited(60, "127.0.0.0/8"), func(c *app.Config) {
		c.Web.MaxRequests, c.Alipay.Timeout, c.Alipay.AttemptTimeout = users, time.Minute, time.Minute
	})
	w.Koubei.Next(slices.Repeat([]koubeisim.Fault{koubeisim.Hold}, slots)...)
	browsers, codes, links, landings := make([]*testworld.Browser, users), make([]string, users), make([]string, users), make([]<-chan testworld.Answer, users)
	for i := range users {
		browsers[i], codes[i] = w.Browser(), w.Koubei.Issue(testworld.Provider)
		browsers[i].Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		links[i] = arrive(t, browsers[i], w.Landing(codes[i]))
	}
	for i := range users {
		landings[i] = background(t, browsers[i], links[i])
	}
	awaitHeld(t, w, slots)
	testworld.Eventually(t, 30*time.Second, "all users wait", func() error {
		if a := w.Program().Get(w.Public + "/signin"); a.Problem() != "overloaded" {
			return fmt.Errorf("got %d, want no place to be free", a.StatusCode)
		}
		return nil
	})

	begun := time.Now()
	w.Signal()
	testworld.Eventually(t, w.Config.Operations.ShutdownTimeout, "those that wait are refused", func() error {
		answered := 0
		for _, landing := range landings {
			answered += len(landing)
		}
		if answered < users-slots {
			return fmt.Errorf("%d are", answered)
		}
		return nil
	})
	w.Koubei.Release()
	statuses := map[int]int{}
	for i, landing := range landings {
		a := <-landing
		statuses[a.StatusCode]++
		switch calls := w.Koubei.CallsFor(codes[i]); a.StatusCode {
		case http.StatusServiceUnavailable:
			checkErrorPage(t, a, codes[i], "draining")
			if calls != 0 {
				t.Errorf("the code of a refused landing was sent %d times", calls)
			}
		case http.StatusSeeOther:
		default:
			t.Errorf("got %d, want the landing finished or refused", a.StatusCode)
		}
	}
	if statuses[http.StatusSeeOther] != slots || statuses[http.StatusServiceUnavailable] != users-slots {
		t.Errorf("got %v, want %d landings finished and all others refused", statuses, slots)
	}
	if err := w.Stop(); err != nil || time.Since(begun) > w.Config.Operations.ShutdownTimeout {
		t.Errorf("got %v after %s, want an end without an error in time", err, time.Since(begun))
	}
	other := w.Replica()
	for i, b := range browsers {
		if a := b.Land(testworld.On(other, w.Landing(codes[i]))); a.StatusCode != http.StatusSeeOther {
			t.Errorf("at another replica: got %d, want 303", a.StatusCode)
		}
		if _, id := b.Session(other, ""); id.OperatorID != testworld.Provider.OperatorID {
			t.Errorf("at another replica: got %q, want the session", id.OperatorID)
		}
	}
}

// TestNoClaimOutlastsTheShutdown: a replica that has less time left than a landing may take serves all other requests.
func TestNoClaimOutlastsTheShutdown(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		c.Operations.ShutdownDelay, c.Operations.ShutdownTimeout = 2*time.Second, 2*time.Second
	})
	b := land(t, w, testworld.Provider)
	w.Signal()
	wantReady(t, w, w.Service, http.StatusServiceUnavailable)
	code := w.Koubei.Issue(testworld.Provider)
	if a := w.Browser().Land(w.Landing(code)); a.StatusCode != http.StatusServiceUnavailable || !a.Close {
		t.Errorf("got %d, closing: %v, want 503 and an end", a.StatusCode, a.Close)
	} else {
		checkErrorPage(t, a, code, "draining")
	}
	if a := w.Program().Get(w.Landing(code)); a.Problem() != "draining" || a.Header.Get("Retry-After") == "" {
		t.Errorf("JSON: got %d %q", a.StatusCode, a.Problem())
	}
	if n := w.Koubei.CallsFor(code); n != 0 {
		t.Errorf("got %d calls for a landing that was refused", n)
	}
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
	if err := w.Stop(); err != nil {
		t.Errorf("got %v, want an end without an error", err)
	}
}

// TestAnUnfetchedResponseIsNoFailure: clients that fetch no response cannot make a shutdown fail.
func TestAnUnfetchedResponseIsNoFailure(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Operations.ShutdownTimeout = time.Second })
	for range 20 {
		connect(t, w.Public).send(t, strings.Repeat("GET /signin HTTP/1.1\r\nHost: x\r\n\r\n", 100))
		connect(t, w.Public).send(t, "POST /koubei/callback/switch HTTP/1.1\r\nHost: x\r\nContent-Length: 77\r\n\r\n")
	}
	if a := w.Program().Get(w.Public + "/signin"); a.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", a.StatusCode)
	}
	if err := w.Stop(); err != nil {
		t.Errorf("got %v, want an end without an error", err)
	}
}

func TestUnreadyBeforeRefusing(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Operations.ShutdownDelay = time.Second })
	begun := time.Now()
	w.Signal()
	wantReady(t, w, w.Service, http.StatusServiceUnavailable)
	a := w.Browser().Get(w.Public + "/signin")
	if took := time.Since(begun); took < 900*time.Millisecond && a.StatusCode != http.StatusOK {
		t.Errorf("got %d after %s, want it served during the delay", a.StatusCode, took)
	}
	if err := w.Stop(); err != nil || time.Since(begun) < time.Second {
		t.Errorf("got %v after %s, want the end after the delay", err, time.Since(begun))
	}
}

func TestShutdownTimeoutEndsSlowRequests(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) { c.Operations.ShutdownTimeout = 200 * time.Millisecond })
	b := w.Browser()
	link := arrive(t, b, w.Landing(w.Koubei.Issue(testworld.Provider)))
	w.Koubei.Next(koubeisim.SpendThenHold)
	cut := make(chan error, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodGet, link, nil)
		_, err := b.Try(r)
		cut <- err
	}()
	awaitHeld(t, w, 1)
	begun := time.Now()
	err := w.Stop()
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
		t.Errorf("got %v after %s, want the end of SHUTDOWN_TIMEOUT", err, took)
	}
	if err := <-cut; err == nil {
		t.Error("the browser got an answer from a service that is gone")
	}
	w.Koubei.Release()
}
