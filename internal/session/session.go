package session

import (
	"time"

	"koubei-landing/internal/operator"
)

// Version identifies the entry's state. Another landing for the same partner changes it.
func (e Entry) Version() string { return e.codeHash }

// Session is one operator in one browser, as it was read.
type Session struct {
	AppID      string
	OperatorID string

	// Entries are the entries that have not ended, newest first. There is at least one.
	Entries []Entry

	// LastRead is when the idle time last restarted, exact to a tenth of it.
	LastRead time.Time

	hash string
}

// Entry is what the operator may do for one partner.
type Entry struct {
	// PartnerID is the merchant; empty if the gateway returned none.
	PartnerID       string
	OperatorType    operator.Type
	ShopIDs         string
	AuthenticatedAt time.Time
	ExpiresAt       time.Time
	Expiry          string // ExpiresAt in RFC 3339 and UTC

	codeHash   string
	sealedCode string
}

func (e Entry) end() time.Time { return e.ExpiresAt }

// Hash identifies the session in Redis and in forms. It cannot be used to sign in.
func (s Session) Hash() string { return s.hash }

// Newest returns the entry that is used without a selection.
func (s Session) Newest() Entry { return s.Entries[0] }

// Partner returns the entry of a partner. For the empty id it returns the entry without a partner.
func (s Session) Partner(id string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.PartnerID == id {
			return e, true
		}
	}
	return Entry{}, false
}

// OfCode returns the entry of a code, which is given by its [operator.HashCode].
func (s Session) OfCode(codeHash string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.codeHash == codeHash {
			return e, true
		}
	}
	return Entry{}, false
}

// Ends returns when the last entry ends.
func (s Session) Ends() time.Time {
	var end time.Time
	for _, e := range s.Entries {
		if e.ExpiresAt.After(end) {
			end = e.ExpiresAt
		}
	}
	return end
}
