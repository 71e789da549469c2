package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"

	"github.com/go-jose/go-jose/v4"

	"koubei-landing/internal/pemfile"
)

const (
	keysSetting = "ASSERTION_KEYS_FILE"
	keysFix     = "give a PEM file of EC P-256 or Ed25519 private keys; make one with: openssl genpkey -algorithm ed25519"
)

// ParseKeys returns the private keys of a PEM file in their order: EC P-256 or Ed25519, as PKCS #8 or, for EC, SEC 1. It
// fails with a setting.Problem if there is none, or if the file holds anything else.
func ParseKeys(file pemfile.File) ([]crypto.Signer, error) {
	blocks, err := file.KeyBlocks()
	if err != nil {
		return nil, pemfile.Setting(keysSetting, err, keysFix)
	}
	var keys []crypto.Signer
	for _, block := range pemfile.Distinct(blocks) {
		key, err := parseKey(block)
		if err != nil {
			return nil, pemfile.Setting(keysSetting, err, keysFix)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(block pemfile.Block) (crypto.Signer, error) {
	signer, err := block.PrivateKey()
	if err != nil {
		return nil, err
	}
	switch key := signer.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
		return nil, block.Refuse("it is an EC key on another curve than P-256")
	}
	return nil, block.Refuse("it is " + pemfile.KeyName(signer) + ", which cannot sign assertions")
}

// jwk returns the public half of a key as it is published. Its kid is the thumbprint of RFC 7638, so every replica uses the
// same one. Its algorithm is fixed, so nobody verifies an assertion with another one.
func jwk(key crypto.Signer) (jose.JSONWebKey, error) {
	public := jose.JSONWebKey{Key: key.Public(), Use: "sig", Algorithm: string(algorithm(key))}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return public, nil
}

func algorithm(key crypto.Signer) jose.SignatureAlgorithm {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return jose.EdDSA
	}
	return jose.ES256
}
