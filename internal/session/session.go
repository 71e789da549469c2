package session

import (
	"time"

	"koubei-landing/internal/operator"
)

// Version names the entry as it is: another landing for the same partner makes another version.
func (e Entry) Version() string { return e.codeHash }

// Session is one operator in one browser, as it was when it was read.
type Session struct {
	AppID      string
	OperatorID string

	// Entries are those that have not ended, the newest first. There is at least one.
	Entries []Entry

	// LastRead is when the idle time last began anew, exact to a tenth of it.
	LastRead time.Time

	hash string
}

// Entry is what the operator may do for one partner.
type Entry struct {
	// PartnerID is the merchant; empty where the gateway named none.
	PartnerID       string
	OperatorType    operator.Type
	ShopIDs         string
	AuthenticatedAt time.Time
	ExpiresAt       time.Time

	codeHash   string
	sealedCode string
}

func (e Entry) end() time.Time { return e.ExpiresAt }

// Hash names the session in Redis, and in a form that speaks of it; it doesn't sign anyone in.
func (s Session) Hash() string { return s.hash }

// Newest returns the entry that is meant when nobody says which.
func (s Session) Newest() Entry { return s.Entries[0] }

// Partner returns the entry of one partner, or, for the empty id, the entry without a partner.
func (s Session) Partner(id string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.PartnerID == id {
			return e, true
		}
	}
	return Entry{}, false
}

// OfCode returns the entry that a code, known by its [operator.HashCode], has earned.
func (s Session) OfCode(codeHash string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.codeHash == codeHash {
			return e, true
		}
	}
	return Entry{}, false
}

// Ends returns when the last of the entries ends.
func (s Session) Ends() time.Time {
	var end time.Time
	for _, e := range s.Entries {
		if e.ExpiresAt.After(end) {
			end = e.ExpiresAt
		}
	}
	return end
}
