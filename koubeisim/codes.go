package koubeisim

import (
	"slices"
	"time"
)

// Person is who the gateway says is behind a code. The answer has no field for an empty PartnerID or ShopIDs.
type Person struct {
	OperatorID   string
	OperatorType string
	PartnerID    string
	ShopIDs      string
}

// CodeState is what has become of a code before it is handed out.
type CodeState string

// The states a code can be asked for in.
const (
	CodeFresh   CodeState = ""        // valid once, for the lifetime
	CodeExpired CodeState = "expired" // its life is over
	CodeUsed    CodeState = "used"    // somebody spent it
	CodeUnknown CodeState = "unknown" // never issued
	CodeForeign CodeState = "foreign" // issued to another application
)

// codeStates lists the odd ones, as the portal offers them.
var codeStates = []CodeState{CodeExpired, CodeUsed, CodeUnknown, CodeForeign}

const (
	maxCodes       = 10_000
	remembered     = 24 * time.Hour // an expired code is told from an unknown one for as long
	codeCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	foreignAppID   = "2021999999999999"
)

type issued struct {
	code    string
	person  Person
	appID   string
	expires time.Time
	spent   bool
}

// ledger holds the codes in the order of their making, so that the oldest can leave.
type ledger struct {
	byCode map[string]*issued
	order  []*issued
	out    []string // what was handed out
}

// Issue makes a code for p, valid once.
func (k *Koubei) Issue(p Person) string {
	return k.IssueIn(CodeFresh, p)
}

// IssueIn makes a code that is already in the state, so that neither a clock nor a second browser is needed to show what
// comes of it.
func (k *Koubei) IssueIn(state CodeState, p Person) string {
	return k.issue(state, p, k.codeLifetime)
}

func (k *Koubei) issue(state CodeState, p Person, lifetime time.Duration) string {
	now := k.now()
	c := &issued{code: freshCode(), person: p, appID: k.appID, expires: now.Add(lifetime)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.codes.out = append(k.codes.out[max(0, len(k.codes.out)-maxCodes+1):], c.code)
	switch state {
	case CodeUnknown:
		return c.code
	case CodeExpired:
		c.expires = now
	case CodeUsed:
		c.spent = true
	case CodeForeign:
		c.appID = foreignAppID
	}
	k.codes.add(c, now)
	return c.code
}

// Issued lists the codes that were handed out, oldest first: also those that the gateway doesn't know, or has forgotten.
// The newest ten thousand are kept. It is for tests that search a log for them.
func (k *Koubei) Issued() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.codes.out)
}

// freshCode ends like the codes that have been seen, …81d93X69: letters of both cases, and no hexadecimal.
func freshCode() string {
	return randomText(codeCharacters, 29) + "X" + randomText("0123456789", 2)
}

func (l *ledger) add(c *issued, now time.Time) {
	if l.byCode == nil {
		l.byCode = map[string]*issued{}
	}
	for len(l.order) > 0 && (len(l.order) >= maxCodes || now.Sub(l.order[0].expires) > remembered) {
		delete(l.byCode, l.order[0].code)
		l.order = l.order[1:]
	}
	l.byCode[c.code] = c
	l.order = append(l.order, c)
}

// spend takes the code out before it looks at anything else about it: whatever comes of this call, there is no second.
func (k *Koubei) spend(code string) (Person, error) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.codes.byCode[code]
	if c == nil || c.spent {
		return Person{}, authCodeNotExist
	}
	if !now.Before(c.expires) {
		return Person{}, authCodeExpires // it died unused, and stays dead
	}
	c.spent = true
	if c.appID != k.appID {
		return Person{}, accessNotAllowed
	}
	return c.person, nil
}
