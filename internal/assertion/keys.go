package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// ParseKeys returns the private keys of a PEM file, in its order: EC P-256 or Ed25519, as PKCS#8 or, for EC, SEC 1. It
// fails on any other key, and when there is none; the error never shows key material.
func ParseKeys(file []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "EC PARAMETERS" {
			continue // openssl ecparam writes one before the key
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("key number %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no private key in PEM: make one by: openssl genpkey -algorithm ed25519")
	}
	return keys, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var parsed any
	var err error
	if block.Type == "EC PRIVATE KEY" {
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	} else {
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("not a private key in PKCS#8 or SEC 1")
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, errors.New("neither EC P-256 nor Ed25519")
}

// jwk returns the public half of a key as it is published: its kid is the thumbprint of RFC 7638, so every replica
// names it alike, and its algorithm is fixed, so that nobody verifies it by another.
func jwk(key crypto.Signer) (jose.JSONWebKey, error) {
	public := jose.JSONWebKey{Key: key.Public(), Use: "sig", Algorithm: string(algorithm(key))}
	print, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(print)
	return public, nil
}

func algorithm(key crypto.Signer) jose.SignatureAlgorithm {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return jose.EdDSA
	}
	return jose.ES256
}
