package session

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

const (
	knownSuffix = "_known"

	// maxKnown is how many operators a browser remembers.
	maxKnown = 8

	// maxMemory is the maximum size of a sealed memory that is read. Eight operators take at most about 1,000 bytes.
	maxMemory = 2048
)

// MemoryOptions configure a Memory.
type MemoryOptions struct {
	Cookies Cookies
	Sealer  *Sealer
	AppID   string
	Life    time.Duration // of an operator from its last landing; 0 turns the memory off
	Now     func() time.Time
}

// Memory reads and writes the cookie in which a browser remembers the operators that have used it. The cookie has a longer
// lifetime than the session. It shows that an operator is new to this browser, even if nobody is signed in.
//
// The cookie is sealed and bound to the application. It holds operator ids and times, and nothing else. A cookie that
// cannot be opened counts as none: it is invalid, belongs to another application, or was sealed with a key that is no
// longer configured.
type Memory struct {
	MemoryOptions
	name string
}

// KnownOperator says when an operator last landed in a browser.
type KnownOperator struct {
	OperatorID string    `json:"id"`
	At         time.Time `json:"at"`
}

// NewMemory returns a Memory.
func NewMemory(o MemoryOptions) *Memory {
	o.Cookies.Domain = ""
	return &Memory{o, o.Cookies.Name + knownSuffix}
}

// Operators returns the ids of the operators that the request's browser remembers, newest first. It returns none if the
// memory is off.
func (m *Memory) Operators(r *http.Request) []string {
	var ids []string
	for _, v := range m.known(r) {
		ids = append(ids, v.OperatorID)
	}
	return ids
}

// Remember returns the cookie that adds known to the memory of the request's browser, or nil if the memory is off.
func (m *Memory) Remember(r *http.Request, known ...KnownOperator) *http.Cookie {
	all := m.newest(slices.Concat(known, m.known(r)))
	if len(all) == 0 {
		return nil
	}
	plain, _ := json.Marshal(all) // never fails: these times can be encoded
	cookie := m.Cookies.cookie(m.name, m.Sealer.Seal(SealMemory, m.AppID, plain))
	cookie.MaxAge = max(int(all[0].At.Add(m.Life).Sub(m.Now())/time.Second), 1)
	return cookie
}

// Present reports whether the request carries a memory, readable or not.
func (m *Memory) Present(r *http.Request) bool { return len(r.CookiesNamed(m.name)) > 0 }

// Forget returns the cookies that delete a browser's memory.
func (m *Memory) Forget() []*http.Cookie { return m.Cookies.end(m.name) }

// known returns the operators that the request's browser remembers, newest first. It reads all cookies of the name, because
// another host of the domain may have set one too.
func (m *Memory) known(r *http.Request) []KnownOperator {
	var all []KnownOperator
	for _, cookie := range r.CookiesNamed(m.name) {
		all = append(all, m.open(cookie.Value)...)
	}
	return m.newest(all)
}

func (m *Memory) open(sealed string) []KnownOperator {
	if len(sealed) > maxMemory {
		return nil
	}
	plain, _ := m.Sealer.Open(SealMemory, m.AppID, sealed) // nil if it cannot be opened; nil is not valid JSON
	var known []KnownOperator
	if err := json.Unmarshal(plain, &known); err != nil {
		return nil
	}
	return known
}

// newest returns the last visit of each operator, newest first: at most maxKnown known, none older than Life.
func (m *Memory) newest(known []KnownOperator) []KnownOperator {
	now := m.Now().UTC().Truncate(time.Second)
	var all []KnownOperator
	for _, v := range known {
		if v.At = v.At.UTC().Truncate(time.Second); v.At.After(now) {
			v.At = now // another replica's clock is ahead
		}
		if v.OperatorID != "" && now.Sub(v.At) < m.Life {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b KnownOperator) int { return b.At.Compare(a.At) })
	var ids []string
	all = slices.DeleteFunc(all, func(v KnownOperator) bool {
		known := slices.Contains(ids, v.OperatorID)
		ids = append(ids, v.OperatorID)
		return known
	})
	return all[:min(len(all), maxKnown)]
}
