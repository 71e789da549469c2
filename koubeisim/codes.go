package koubeisim

import (
	"slices"
	"time"
)

// Person is the operator that the gateway returns for a code. A response has no field for an empty PartnerID or ShopIDs.
type Person struct {
	OperatorID   string `json:"operator_id"`
	OperatorType string `json:"operator_type"` // PROVIDER, PROVIDER_STAFF, MER, MER_STAFF or SALES
	PartnerID    string `json:"partner_id"`    // the merchant being operated on
	ShopIDs      string `json:"shop_ids"`      // of an employee, separated by commas
}

// CodeState is the state in which a code is issued.
type CodeState string

// The states of a code.
const (
	CodeFresh   CodeState = ""        // can be exchanged once within its lifetime
	CodeExpired CodeState = "expired" // its lifetime is over
	CodeUsed    CodeState = "used"    // was exchanged before
	CodeUnknown CodeState = "unknown" // was never issued
	CodeForeign CodeState = "foreign" // was issued to another application
)

// codeStates lists all states but CodeFresh in the order of the portal.
var codeStates = []CodeState{CodeExpired, CodeUsed, CodeUnknown, CodeForeign}

const (
	maxCodes       = 10_000
	keptFor        = 24 * time.Hour // for this long an expired code returns "expired", later "unknown"
	codeCharacters = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	foreignAppID   = "2021999999999999"
)

type issuedCode struct {
	code    string
	person  Person
	appID   string
	expires time.Time
	spent   bool
}

// ledger holds the newest codes, oldest first.
type ledger struct {
	byCode map[string]*issuedCode
	order  []*issuedCode
	issued []string // also codes that the gateway does not know
}

// Issue returns a new code for p. It can be exchanged once.
func (k *Koubei) Issue(p Person) string { return k.IssueIn(CodeFresh, p) }

// IssueIn returns a new code that is already in the given state, so that a test needs neither a clock nor a second browser.
func (k *Koubei) IssueIn(state CodeState, p Person) string {
	return k.issue(state, p, k.o.CodeLifetime)
}

func (k *Koubei) issue(state CodeState, p Person, lifetime time.Duration) string {
	now := k.o.Now()
	// Real codes end like …81d93X69. They have letters of both cases and are not hexadecimal.
	code := randomText(codeCharacters, 29) + "X" + randomText(digits, 2)
	c := &issuedCode{code: code, person: p, appID: k.o.AppID, expires: now.Add(lifetime), spent: state == CodeUsed}
	switch state {
	case CodeExpired:
		c.expires = now
	case CodeForeign:
		c.appID = foreignAppID
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.codes.issued = append(k.codes.issued[max(0, len(k.codes.issued)-maxCodes+1):], code)
	if state != CodeUnknown {
		k.codes.add(c, now)
	}
	return code
}

// Issued returns the newest 10,000 codes, oldest first, including those that the gateway does not know. Tests search logs
// for them.
func (k *Koubei) Issued() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.codes.issued)
}

func (l *ledger) add(c *issuedCode, now time.Time) {
	if l.byCode == nil {
		l.byCode = map[string]*issuedCode{}
	}
	for len(l.order) > 0 && (len(l.order) >= maxCodes || now.Sub(l.order[0].expires) > keptFor) {
		delete(l.byCode, l.order[0].code)
		l.order = l.order[1:]
	}
	l.byCode[c.code] = c
	l.order = append(l.order, c)
}

// spend marks the code as used before it checks the application, so that no second call can succeed.
func (k *Koubei) spend(code string) (Person, error) {
	now := k.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.codes.byCode[code]
	switch {
	case c == nil || c.spent:
		return Person{}, authCodeNotExist
	case !now.Before(c.expires):
		return Person{}, authCodeExpires
	}
	c.spent = true
	if c.appID != k.o.AppID {
		return Person{}, accessNotAllowed
	}
	return c.person, nil
}
