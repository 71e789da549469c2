package session_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"koubei-landing/internal/session"
)

func TestSealIsBoundToPurposePlaceAndKeys(t *testing.T) {
	t.Parallel()
	key := func(b string) []byte { return []byte(strings.Repeat(b, session.SealKeySize)) }
	sealer := func(keys ...[]byte) *session.Sealer {
		s, err := session.NewSealer(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, rotated, foreign := sealer(key("a")), sealer(key("b"), key("a")), sealer(key("c"))
	sealed := old.Seal(session.SealHeld, "here", []byte("plain"))
	if strings.Contains(sealed, "plain") || sealed == old.Seal(session.SealHeld, "here", []byte("plain")) {
		t.Error("a seal is readable, or twice the same")
	}
	for _, s := range []*session.Sealer{old, rotated} {
		if got, err := s.Open(session.SealHeld, "here", sealed); err != nil || !bytes.Equal(got, []byte("plain")) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return old.Open(session.SealPending, "here", sealed) },
		"another place":   func() ([]byte, error) { return old.Open(session.SealHeld, "there", sealed) },
		"another key":     func() ([]byte, error) { return foreign.Open(session.SealHeld, "here", sealed) },
		"the newer key's": func() ([]byte, error) {
			return old.Open(session.SealHeld, "here", rotated.Seal(session.SealHeld, "here", nil))
		},
		"flipped":   func() ([]byte, error) { return old.Open(session.SealHeld, "here", string(flipped)) },
		"shortened": func() ([]byte, error) { return old.Open(session.SealHeld, "here", sealed[:8]) },
		"empty":     func() ([]byte, error) { return old.Open(session.SealHeld, "here", "") },
		"padded":    func() ([]byte, error) { return old.Open(session.SealHeld, "here", sealed+"=") },
	} {
		if got, err := open(); !errors.Is(err, session.ErrSeal) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, keys := range [][][]byte{{}, {[]byte("short")}, {key("a"), []byte("short")}} {
		if _, err := session.NewSealer(keys...); err == nil {
			t.Errorf("%d keys: want them refused", len(keys))
		}
	}
}
