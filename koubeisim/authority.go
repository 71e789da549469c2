package koubeisim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"time"
)

// authority can issue certificates.
type authority struct {
	cert *x509.Certificate
	der  []byte
	key  crypto.Signer
}

func authorityName(kind string) pkix.Name {
	return pkix.Name{
		Country:            []string{"CN"},
		Organization:       []string{"Koubeisim Financial"},
		OrganizationalUnit: []string{"Certification Authority"},
		CommonName:         "Koubeisim Financial Certification Authority " + kind,
	}
}

func leafName(name string) pkix.Name {
	return pkix.Name{Country: []string{"CN"}, Organization: []string{"koubeisim"}, OrganizationalUnit: []string{"Alipay"}, CommonName: name}
}

func newRoot(kind string, key crypto.Signer, now time.Time) *authority {
	t := blank(authorityName(kind), now, 30)
	t.BasicConstraintsValid, t.IsCA, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	cert := create(t, t, key.Public(), key)
	return &authority{cert: cert, der: cert.Raw, key: key}
}

// issue makes an intermediate without a CA flag and without keyCertSign, like the one of the real sandbox.
func (a *authority) issue(name pkix.Name, key crypto.Signer, now time.Time) *authority {
	t := blank(name, now, 20)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	cert := create(t, a.cert, key.Public(), a.key)
	return &authority{cert: cert, der: cert.Raw, key: key}
}

func (a *authority) certify(name pkix.Name, key *rsa.PublicKey, now time.Time) *x509.Certificate {
	t := blank(name, now, 1)
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	return create(t, a.cert, key, a.key)
}

func blank(name pkix.Name, now time.Time, years int) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("koubeisim: serial: " + err.Error())
	}
	return &x509.Certificate{SerialNumber: serial, Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(years, 0, 0)}
}

func create(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, signer)
	if err != nil {
		panic("koubeisim: certificate: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("koubeisim: certificate: " + err.Error())
	}
	return cert
}

func freshECDSA() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("koubeisim: generate key: " + err.Error())
	}
	return key
}

// unreadableRoot imitates the SM2 root that stands first in the real bundle. The standard library can't make one, so a
// P-256 root gets SM2's names for curve and signature, which are as long: parsers that don't know them must skip it.
func unreadableRoot(now time.Time) []byte {
	der := newRoot("SM2", freshECDSA(), now).der
	curve, sm2 := []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), []byte("\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d")
	ecdsaSHA256, sm2SM3 := []byte("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), []byte("\x06\x08\x2a\x81\x1c\xcf\x55\x01\x83\x75")
	return bytes.ReplaceAll(bytes.ReplaceAll(der, curve, sm2), ecdsaSHA256, sm2SM3)
}

func encodeChain(ders ...[]byte) []byte {
	var text strings.Builder
	for _, der := range ders {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return []byte(text.String())
}
