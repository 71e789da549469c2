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

// Purpose separates what is sealed for one use from what is sealed for another: neither opens as the other.
type Purpose string

// The purposes there are.
const (
	SealCode    Purpose = "koubei-landing code in session v1"
	SealToken   Purpose = "koubei-landing token in ledger v1"
	SealHeld    Purpose = "koubei-landing held grant v1"
	SealPending Purpose = "koubei-landing pending grant v1"
	SealMemory  Purpose = "koubei-landing operator memory v1"
)

// ErrSeal says that something was not sealed by us, for this purpose and this place, with a key that we still have.
var ErrSeal = errors.New("session: seal does not open")

// SealKeySize is the length of a key of SEAL_KEYS in bytes.
const SealKeySize = 32

// Sealer seals with AES-256-GCM, under keys derived by HKDF-SHA-256 with one label for each purpose.
type Sealer struct {
	aeads map[Purpose][]cipher.AEAD
}

// NewSealer returns a Sealer: the first key seals, all open, so that keys can be rotated without a sign-out. It fails
// without a key and with one of another length than SealKeySize.
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

// DeriveSealKey returns the seal key that follows from a secret that every replica has anyway: the application's
// private key, in any one encoding. It changes when the secret does, and what was sealed before opens no more.
func DeriveSealKey(secret []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "koubei-landing seal key v1", SealKeySize)
}

// Seal returns plain sealed for one purpose and bound to one place: it opens with the same two only.
func (s *Sealer) Seal(purpose Purpose, place string, plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aeads[purpose][0].Seal(nil, nil, plain, []byte(place)))
}

// Open returns what was sealed for this purpose and place. It fails with ErrSeal.
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
