package handler_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func wantReady(t *testing.T, w *testworld.World, s *testworld.Service, status int) {
	t.Helper()
	testworld.Eventually(t, 5*time.Second, "/readyz", func() error {
		if a := w.Program().Get(s.Internal + "/readyz"); a.StatusCode != status {
			return fmt.Errorf("got %d, want %d", a.StatusCode, status)
		}
		return nil
	})
}

func TestDrainingFinishesWhatWasBegun(t *testing.T) {
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
	testworld.Eventually(t, 5*time.Second, "new requests are refused", func() error {
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

func TestUnreadyBeforeRefusing(t *testing.T) {
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

func TestWhatTakesTooLongIsCutOff(t *testing.T) {
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
	if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "SHUTDOWN_TIMEOUT") || took > 3*time.Second {
		t.Errorf("got %v after %s, want an error that names SHUTDOWN_TIMEOUT", err, took)
	}
	if err := <-cut; err == nil {
		t.Error("the browser got an answer from a service that is gone")
	}
	w.Koubei.Release()
}
