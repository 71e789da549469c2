package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestRollingRestart restarts two replicas behind nginx one after the other, several times, while users land, work and sign
// out. No request fails, and no code is exchanged twice.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const people, rounds = 6, 2
	c := newComposed(t, "CALLBACK_RATE=0", "SHUTDOWN_DELAY=2s")
	ctx, enough := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	var visits atomic.Int64
	failed := make(chan error, 1000)
	for n := range people {
		visitors.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := c.visit(n, i); err != nil {
					select {
					case failed <- err:
					default: // a thousand are enough
					}
				}
				visits.Add(1)
			}
		})
	}
	some := func() {
		t.Helper()
		before := visits.Load()
		testworld.Eventually(t, time.Minute, "people come and go", func() error {
			if n := visits.Load() - before; n < 2*people {
				return fmt.Errorf("%d visits", n)
			}
			return nil
		})
	}
	some()
	for range rounds {
		for _, m := range c.replicas {
			m.restart()
			some()
		}
	}
	enough()
	visitors.Wait()
	close(failed)
	n := 0
	for err := range failed {
		if n++; n <= 10 {
			t.Error(err)
		}
	}
	t.Logf("%d visits, %d failures during %d restarts", visits.Load(), n, rounds*len(c.replicas))
	if n > 0 {
		t.Errorf("%d visits failed, want none", n)
		t.Logf("nginx wrote:\n%.3000s", c.nginx.log(t))
	}
	if !askedNext.MatchString(c.nginx.log(t)) {
		t.Error("nginx never asked the next replica")
	}
	if asked, issued := c.exchanges(), c.issued.Load(); asked != issued {
		t.Errorf("the gateway was asked %d times for %d codes", asked, issued)
	}
}

// askedNext is a line of nginx's log about a request that the second replica answered.
var askedNext = regexp.MustCompile(` 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+ (502|503), \d+\n`)

// visit is one user who lands, works and signs out.
func (c *composed) visit(n, i int) error {
	g := c.guest()
	defer g.client.CloseIdleConnections()
	p := koubeisim.Person{OperatorID: fmt.Sprintf("2088%06d%06d", n, i), OperatorType: "MER", PartnerID: fmt.Sprintf("2088%06d%06d", n, i)}
	if err := g.land(p); err != nil {
		return err
	}
	for range 3 {
		if err := g.works(c.front+"/orders", p); err != nil {
			return err
		}
		if _, _, err := g.ask(http.MethodGet, c.front+"/koubei/session", http.StatusOK); err != nil {
			return err
		}
	}
	if _, _, err := g.ask(http.MethodPost, c.front+"/koubei/logout", http.StatusSeeOther); err != nil {
		return err
	}
	_, _, err := g.ask(http.MethodGet, c.front+"/koubei/session", http.StatusUnauthorized)
	return err
}

// restart stops the replica as an orchestrator does, and starts it again. During SHUTDOWN_DELAY the replica is not ready
// but still serves.
func (m *member) restart() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	testworld.Eventually(m.t, 1900*time.Millisecond, m.name+" is not ready any more", func() error { return m.says("/readyz", http.StatusServiceUnavailable) })
	if err := m.says("/healthz", http.StatusOK); err != nil {
		m.t.Error(err)
	}
	client := &http.Client{Timeout: 2 * time.Second}
	if a, err := client.Get(m.public + "/koubei/session"); err != nil || a.StatusCode != http.StatusUnauthorized {
		m.t.Errorf("%s, during SHUTDOWN_DELAY: got %v, %v, want 401", m.name, a, err)
	} else {
		a.Body.Close()
	}
	client.CloseIdleConnections()
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("%s ended: %v\n%s", m.name, err, m.out)
	}
	m.start()
}

// exchanges returns the number of calls of the gateway.
func (c *composed) exchanges() int64 {
	a, err := http.Get(c.koubei + "/api/calls")
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Body.Close()
	var all struct{ Calls []json.RawMessage }
	if err := json.NewDecoder(a.Body).Decode(&all); err != nil {
		c.t.Fatal(err)
	}
	return int64(len(all.Calls))
}
