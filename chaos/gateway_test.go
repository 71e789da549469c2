package chaos_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

// gateway forwards to koubeisim's gateway and records which replica asks about which code, and when it gets the response.
type gateway struct {
	koubei *koubeisim.Koubei

	mu    sync.Mutex
	calls []*call
}

// call is one request about a code.
type call struct {
	replica      int
	code         string
	began, ended time.Time

	// What koubeisim recorded about it, filled in at the end.
	fault   koubeisim.Fault
	outcome string
}

// forReplica returns the gateway of one replica.
func (g *gateway) forReplica(n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c := g.begin(n, codeIn(body))
		defer g.end(c) // also if koubeisim cuts the connection, which is a panic
		g.koubei.Gateway().ServeHTTP(w, r)
	})
}

func codeIn(body []byte) string {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	var q struct{ Code string }
	_ = json.Unmarshal([]byte(form.Get("biz_content")), &q)
	return q.Code
}

func (g *gateway) begin(replica int, code string) *call {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &call{replica: replica, code: code, began: time.Now()}
	g.calls = append(g.calls, c)
	return c
}

func (g *gateway) end(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.ended = time.Now()
}

// byCode returns all calls of each code in their order, with the outcome that koubeisim recorded.
func (g *gateway) byCode(t *testing.T) map[string][]*call {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	calls := map[string][]*call{}
	for _, c := range g.calls {
		calls[c.code] = append(calls[c.code], c)
	}
	at := map[string]int{}
	for _, c := range g.koubei.Calls() {
		of := calls[c.Code]
		if at[c.Code] >= len(of) {
			t.Fatalf("koubeisim knows more calls than came through the door")
		}
		of[at[c.Code]].fault, of[at[c.Code]].outcome = c.Fault, c.Outcome
		at[c.Code]++
	}
	if len(g.calls) >= 10_000 {
		t.Fatalf("%d calls: koubeisim forgets the oldest; take fewer landings", len(g.calls))
	}
	return calls
}

// spent lists the codes that the gateway has exchanged, in the order of their calls.
func (g *gateway) spent() []string {
	var codes []string
	for _, c := range g.koubei.Calls() {
		if c.Outcome == success {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

// success is koubeisim's outcome of an exchange.
const success = "success"

// verdict reports whether the gateway gave a definite result for the code and the service could receive it.
func (c *call) verdict() bool {
	switch c.outcome {
	case success, "INVALID_PARAMETER", "AUTH_CODE_NOT_EXIST", "AUTH_CODE_EXPIRES", "ACCESS_NOT_ALLOWED":
		return !c.lostOnTheWire()
	}
	return false
}

// lostOnTheWire reports whether the queued fault loses the response after the code is spent.
func (c *call) lostOnTheWire() bool {
	switch c.fault {
	case koubeisim.SpendThenDrop, koubeisim.DropMidway, koubeisim.Truncated, koubeisim.SpendThenBusy:
		return true
	}
	return false
}

// checkHistory adds the gateway's calls to the history and checks the history of each code against the ledger's model.
func (w *world) checkHistory() {
	w.t.Helper()
	for code, calls := range w.gateway.byCode(w.t) {
		for _, c := range calls {
			o := history.Operation{Kind: history.Exchange, Code: code, Began: c.began, Ended: c.ended, Unwritten: w.unwritten(c)}
			switch {
			case c.lostOnTheWire():
				o.Result = history.Spent
			case c.outcome == success:
				o.Result = history.OK
			case c.verdict():
				o.Result = history.Verdict(c.outcome)
			default: // nothing was decided
				o.Result = history.Unknown
			}
			w.history.Add(o)
		}
	}
	r := w.history.Check()
	w.t.Log(r)
	for _, h := range r.Illegal {
		w.t.Error(h)
	}
	if r.Undecided > 0 {
		w.t.Errorf("%d histories undecided", r.Undecided)
	}
}
