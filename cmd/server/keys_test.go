package main

import (
	"crypto/x509"
	"encoding/base64"
	"testing"

	"koubei-landing/internal/alipay"
)

// ownPublicKey returns the public half of a private key, as somebody pastes it by mistake.
func ownPublicKey(t *testing.T, private string) string {
	t.Helper()
	key, err := alipay.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}
