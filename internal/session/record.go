package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"koubei-landing/internal/operator"
)

// recordVersion must be increased if an older replica would misread a new record.
const recordVersion = 1

// maxEntries is the maximum number of partners in a session. The oldest is removed first.
const maxEntries = 32

// record is a session as stored in Redis. Times are RFC 3339 in UTC.
type record struct {
	Version    int           `json:"v"`
	AppID      string        `json:"app_id"`
	OperatorID string        `json:"operator_id"`
	LastReadAt time.Time     `json:"last_read_at"`
	Entries    []entryRecord `json:"entries"`
}

type entryRecord struct {
	PartnerID       *string   `json:"partner_id"` // null if the gateway returned none
	OperatorType    string    `json:"operator_type"`
	ShopIDs         string    `json:"shop_ids,omitempty"`
	AuthenticatedAt time.Time `json:"authenticated_at"`

	// ClaimedAt orders the entry against revocations. Records of version 0.1 have none.
	ClaimedAt operator.LogicalTime `json:"claimed_at,omitempty"`

	ExpiresAt time.Time `json:"expires_at"`
	CodeHash  string    `json:"code_hash"`
	Code      string    `json:"code"` // sealed
}

// claimedAt returns when the entry's code was claimed.
func (e entryRecord) claimedAt() operator.LogicalTime {
	if e.ClaimedAt == 0 {
		return operator.LogicalTime(e.AuthenticatedAt.UnixMicro())
	}
	return e.ClaimedAt
}

func (e entryRecord) partner() string {
	if e.PartnerID == nil {
		return ""
	}
	return *e.PartnerID
}

// errVersion says that another version of the service wrote the record.
var errVersion = errors.New("session: a record of another version")

func decode(raw []byte) (record, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return record{}, fmt.Errorf("session: record: %w", err)
	}
	if r.Version != recordVersion {
		return record{}, errVersion
	}
	return r, nil
}

func (r record) encode() []byte {
	raw, _ := json.Marshal(r) // never fails: a record has texts, numbers and times
	return raw
}

// with returns the record with the entry in first place. It replaces an older entry of the same partner.
func (r record) with(e entryRecord) record {
	rest := slices.DeleteFunc(slices.Clone(r.Entries), func(old entryRecord) bool { return old.partner() == e.partner() })
	r.Entries = append([]entryRecord{e}, rest...)
	r.Entries = r.Entries[:min(len(r.Entries), maxEntries)]
	return r
}

func (e entryRecord) end() time.Time { return e.ExpiresAt }

// live returns the entries that have not ended. It returns the same slice if none has.
func live[E interface{ end() time.Time }](entries []E, now time.Time) []E {
	ended := func(e E) bool { return !e.end().After(now) }
	if !slices.ContainsFunc(entries, ended) {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), ended)
}

// ends returns when the last entry ends, or the zero time if there is none.
func (r record) ends() time.Time {
	var end time.Time
	for _, e := range r.Entries {
		if e.ExpiresAt.After(end) {
			end = e.ExpiresAt
		}
	}
	return end
}

func (r record) session(hash string) Session {
	s := Session{AppID: r.AppID, OperatorID: r.OperatorID, LastRead: r.LastReadAt, hash: hash}
	s.Entries = make([]Entry, len(r.Entries))
	for i, e := range r.Entries {
		s.Entries[i] = Entry{
			PartnerID:       e.partner(),
			OperatorType:    operator.Type(e.OperatorType),
			ShopIDs:         e.ShopIDs,
			AuthenticatedAt: e.AuthenticatedAt,
			ExpiresAt:       e.ExpiresAt,
			Expiry:          e.ExpiresAt.UTC().Format(time.RFC3339),
			codeHash:        e.CodeHash,
			sealedCode:      e.Code,
		}
	}
	return s
}
