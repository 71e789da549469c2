package session

import (
	"context"
	"time"

	"github.com/alexedwards/scs/v2"
)

// recordKey is the key of the only value in a session of scs.
const recordKey = "record"

// newToken lets scs create a token and encode the record. Start writes the result, because scs would write it separately.
func (m *Manager) newToken(ctx context.Context, r record) (token Token, raw []byte, err error) {
	var written capture
	sessions := *m.scs
	sessions.Store = &written
	ctx, err = sessions.Load(ctx, "")
	if err != nil {
		return "", nil, err
	}
	sessions.Put(ctx, recordKey, r)
	text, _, err := sessions.Commit(ctx)
	return Token(text), written.raw, err
}

// capture is a store that keeps the one new session that scs commits.
type capture struct {
	scs.Store
	raw []byte
}

// Commit keeps the encoded session.
func (c *capture) Commit(_ string, raw []byte, _ time.Time) error {
	c.raw = raw
	return nil
}

// codec encodes a session of scs as its record, in JSON instead of gob.
type codec struct{ scs.GobCodec }

// Encode returns the record as JSON.
func (codec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	r, _ := values[recordKey].(record)
	return r.encode(), nil
}
