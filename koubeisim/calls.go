package koubeisim

import (
	"slices"
	"time"
)

const maxCalls = 10_000

// Call is one request that reached the gateway.
type Call struct {
	At     time.Time
	Method string
	Code   string // the authorisation code asked about; empty where none could be read
	Fault  Fault  // what was made of it on request; empty when nothing

	// Outcome is what the gateway decided: "success", a sub_code, or the fault's name where it decided nothing. Empty
	// while the call is under way.
	Outcome string
}

// callLog keeps the newest calls.
type callLog struct {
	calls   []*Call
	forCode map[string]int
}

// Calls lists what reached the gateway, oldest first; the newest ten thousand are kept.
func (k *Koubei) Calls() []Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := make([]Call, len(k.calls.calls))
	for i, c := range k.calls.calls {
		calls[i] = *c
	}
	return calls
}

// CallsFor counts the calls about code.
func (k *Koubei) CallsFor(code string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls.forCode[code]
}

// begin notes the call as soon as it is known what it is about, so that one that is held or dropped counts.
func (k *Koubei) begin(q question, fault Fault) *Call {
	c := &Call{At: k.now(), Method: q.method, Code: q.code, Fault: fault}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls.add(c)
	return c
}

func (l *callLog) add(c *Call) {
	if l.forCode == nil {
		l.forCode = map[string]int{}
	}
	if len(l.calls) >= maxCalls {
		oldest := l.calls[0].Code
		if l.forCode[oldest]--; l.forCode[oldest] <= 0 {
			delete(l.forCode, oldest)
		}
		l.calls = slices.Delete(l.calls, 0, 1)
	}
	l.calls = append(l.calls, c)
	l.forCode[c.Code]++
}

func (k *Koubei) decided(c *Call, outcome string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.Outcome = outcome
}
