package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Purpose separates the uses of the sealer: a value that was sealed for one purpose cannot be opened for another.
type Purpose string

// The purposes.
const (
	SealCode    Purpose = "koubei-landing code in session v1"
	SealToken   Purpose = "koubei-landing token in ledger v1"
	SealHeld    Purpose = "koubei-landing held grant v1"
	SealPending Purpose = "koubei-landing pending grant v1"
	SealMemory  Purpose = "koubei-landing operator memory v1"
)

// ErrSeal says that a value cannot be opened: it was not sealed by this service, for this purpose and place, with a
// configured key.
var ErrSeal = errors.New("session: seal does not open")

// SealKeySize is the length of a key of SEAL_KEYS in bytes.
const SealKeySize = 32

// Sealer seals with AES-256-GCM. HKDF-SHA-256 derives a separate key for each purpose.
type Sealer struct {
	aeads map[Purpose][]cipher.AEAD
}

// NewSealer returns a Sealer. The first key seals and all keys open, so keys can be rotated without signing users out. It
// fails without a key, and if a key does not have SealKeySize bytes.
func NewSealer(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("session: no seal key")
	}
	s := &Sealer{aeads: map[Purpose][]cipher.AEAD{}}
	for _, key := range keys {
		if len(key) != SealKeySize {
			return nil, fmt.Errorf("session: a seal key has %d bytes, want %d", len(key), SealKeySize)
		}
		for _, purpose := range []Purpose{SealCode, SealToken, SealHeld, SealPending, SealMemory} {
			aead, err := derive(key, purpose)
			if err != nil {
				return nil, err
			}
			s.aeads[purpose] = append(s.aeads[purpose], aead)
		}
	}
	return s, nil
}

func derive(key []byte, purpose Purpose) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key, nil, string(purpose), SealKeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// DeriveSealKey returns the seal key that is derived from a secret of all replicas: the application's private key, in one
// fixed encoding. If the secret changes, values that were sealed before can no longer be opened.
func DeriveSealKey(secret []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "koubei-landing seal key v1", SealKeySize)
}

// Seal returns plain, sealed for a purpose and bound to a place. Open needs the same purpose and place.
func (s *Sealer) Seal(purpose Purpose, place string, plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aeads[purpose][0].Seal(nil, nil, plain, []byte(place)))
}

// Open returns the value that was sealed for this purpose and place. It fails with ErrSeal.
func (s *Sealer) Open(purpose Purpose, place, sealed string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, ErrSeal
	}
	for _, aead := range s.aeads[purpose] {
		if plain, err := aead.Open(nil, nil, raw, []byte(place)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSeal
}
