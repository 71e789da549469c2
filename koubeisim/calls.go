package koubeisim

import "time"

const maxCalls = 10_000

// Call is one request that reached the gateway.
type Call struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Code   string    `json:"code"`            // the authorization code; empty if none could be read
	Fault  Fault     `json:"fault,omitempty"` // the fault that was applied; empty for none

	// Outcome is what the gateway decided: "success", a sub_code, or the name of the fault if it decided nothing. It is
	// empty while the call is in progress.
	Outcome string `json:"outcome"`
}

// callLog holds the newest calls, oldest first.
type callLog struct {
	calls   []*Call
	forCode map[string]int
}

// Calls returns the newest 10,000 gateway calls, oldest first.
func (k *Koubei) Calls() []Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := make([]Call, len(k.calls.calls))
	for i, c := range k.calls.calls {
		calls[i] = *c
	}
	return calls
}

// CallsFor returns the number of gateway calls with this code.
func (k *Koubei) CallsFor(code string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls.forCode[code]
}

// logCall adds a call before it is decided, so that one that is held or dropped counts too.
func (k *Koubei) logCall(req request, fault Fault) *Call {
	c := &Call{At: k.o.Now(), Method: req.method, Code: req.code, Fault: fault}
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.calls
	if l.forCode == nil {
		l.forCode = map[string]int{}
	}
	if len(l.calls) >= maxCalls {
		oldest := l.calls[0].Code
		if l.forCode[oldest]--; l.forCode[oldest] <= 0 {
			delete(l.forCode, oldest)
		}
		l.calls = l.calls[1:]
	}
	l.calls = append(l.calls, c)
	l.forCode[c.Code]++
	return c
}

func (k *Koubei) setOutcome(c *Call, outcome string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.Outcome = outcome
}
