package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"koubei-landing/internal/operator"
)

// recordVersion is raised when an older replica would misread what a newer one writes.
const recordVersion = 1

// maxEntries is how many partners one session holds: the oldest leaves.
const maxEntries = 32

// record is a session as it stands in Redis. Times are RFC 3339 in UTC.
type record struct {
	Version    int           `json:"v"`
	AppID      string        `json:"app_id"`
	OperatorID string        `json:"operator_id"`
	LastReadAt time.Time     `json:"last_read_at"`
	Entries    []entryRecord `json:"entries"`
}

type entryRecord struct {
	PartnerID       *string   `json:"partner_id"` // null where the gateway named none
	OperatorType    string    `json:"operator_type"`
	ShopIDs         string    `json:"shop_ids,omitempty"`
	AuthenticatedAt time.Time `json:"authenticated_at"`

	// ClaimedAt orders the entry against revocations. Records of version 0.1 have none.
	ClaimedAt operator.LogicalTime `json:"claimed_at,omitempty"`

	ExpiresAt time.Time `json:"expires_at"`
	CodeHash  string    `json:"code_hash"`
	Code      string    `json:"code"` // sealed
}

// claimedAt is when the entry's code was claimed.
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

func (r record) encode() ([]byte, error) { return json.Marshal(r) }

// with returns the record with an entry put first, in the place of the partner's older one.
func (r record) with(e entryRecord) record {
	rest := slices.DeleteFunc(slices.Clone(r.Entries), func(old entryRecord) bool { return old.partner() == e.partner() })
	r.Entries = append([]entryRecord{e}, rest...)
	r.Entries = r.Entries[:min(len(r.Entries), maxEntries)]
	return r
}

func (e entryRecord) end() time.Time { return e.ExpiresAt }

// live returns the entries that have not ended: the same slice where none has.
func live[E interface{ end() time.Time }](entries []E, now time.Time) []E {
	ended := func(e E) bool { return !e.end().After(now) }
	if !slices.ContainsFunc(entries, ended) {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), ended)
}

// ends is when the last entry ends; the zero time when there is none.
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
			codeHash:        e.CodeHash,
			sealedCode:      e.Code,
		}
	}
	return s
}
