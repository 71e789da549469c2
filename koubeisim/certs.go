package koubeisim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// Certificates are the PEM files that an ISV downloads from Alipay's console in certificate mode.
type Certificates struct {
	App    []byte // the application's certificate
	Alipay []byte // Alipay's current certificate with its intermediate
	Root   []byte // the root bundle: SM2 (which most parsers cannot read), RSA, ECDSA
}

// certificates is the state of certificate mode. Koubei.mu guards it.
type certificates struct {
	appSN, rootSN string
	app, root     []byte
	issuer        *authority        // of Alipay's certificates
	leafSN        string            // of the current one
	chains        map[string][]byte // PEM by SN, for downloads
	rogue         func() rogueChain
}

// Certificates returns the files of certificate mode. They are empty in public key mode.
func (k *Koubei) Certificates() Certificates {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.certs == nil {
		return Certificates{}
	}
	return Certificates{App: k.certs.app, Alipay: k.certs.chains[k.certs.leafSN], Root: k.certs.root}
}

// RollCertificate renews Alipay's key and certificate, as happens every year. From now on responses name the new
// certificate, which can be downloaded. In public key mode it does nothing.
func (k *Koubei) RollCertificate() {
	if k.certs == nil {
		return
	}
	key := newKey()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
	k.certs.roll(key, k.o.Now())
}

const alipayName = "支付宝模拟(测试)-2088000000000000"

func issueCertificates(appID string, appKey *rsa.PublicKey, alipayKey *rsa.PrivateKey, now time.Time) *certificates {
	root, ecdsaRoot := newRoot("R1", newKey(), now), newRoot("E1", newECDSAKey(), now)
	app := root.intermediate("Class 1 R1", now).certify("2088000000000001-"+appID, appKey, now)
	c := &certificates{
		app:    encodeChain(app.Raw),
		appSN:  certSN(app),
		root:   encodeChain(sm2Root(now), root.cert.Raw, ecdsaRoot.cert.Raw),
		rootSN: certSN(root.cert), // only RSA roots count
		issuer: root.intermediate("Class 2 R1", now),
		chains: map[string][]byte{},
		rogue:  sync.OnceValue(func() rogueChain { return newRogueChain(now) }),
	}
	c.roll(alipayKey, now)
	return c
}

func (c *certificates) roll(key *rsa.PrivateKey, now time.Time) {
	leaf := c.issuer.certify(alipayName, &key.PublicKey, now)
	c.leafSN = certSN(leaf)
	c.chains[c.leafSN] = encodeChain(leaf.Raw, c.issuer.cert.Raw)
}

// checkSerials finds the application's key, as the gateway does in certificate mode.
func (c *certificates) checkSerials(req request) error {
	appSN, hasApp := req.params["app_cert_sn"]
	rootSN, hasRoot := req.params["alipay_root_cert_sn"]
	switch {
	case !hasApp:
		return missing("isv.missing-app-cert-sn", "缺少应用公钥证书序列号")
	case appSN != c.appSN:
		return invalid("isv.app-cert-not-exist", "应用公钥证书不存在")
	case !hasRoot:
		return missing("isv.missing-alipay-root-cert-sn", "缺少支付宝根证书序列号")
	case rootSN != c.rootSN:
		return invalid("isv.invalid-alipay-root-cert-sn", "支付宝根证书序列号错误")
	}
	return nil
}

// downloadCertificate responds to alipay.open.app.alipaycert.download.
func (k *Koubei) downloadCertificate(sn string) (verdict, []field) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.certs == nil || k.certs.chains[sn] == nil {
		return business("CERT_NOT_EXIST", "证书不存在"), nil
	}
	return success, []field{{name: "alipay_cert_content", value: base64.StdEncoding.EncodeToString(k.certs.chains[sn])}}
}

// certSN returns Alipay's serial number: the MD5 of the issuer, its last part first, and the serial number in decimal. The
// names here need none of RFC 2253's escapes.
func certSN(cert *x509.Certificate) string {
	sum := md5.Sum([]byte(cert.Issuer.String() + cert.SerialNumber.String()))
	return hex.EncodeToString(sum[:])
}

// rogueChain is a certificate with the real names that leads to another root.
type rogueChain struct {
	sn    string
	chain []byte
	key   *rsa.PrivateKey
}

func newRogueChain(now time.Time) rogueChain {
	issuer, key := newRoot("R1", newKey(), now).intermediate("Class 2 R1", now), newKey()
	leaf := issuer.certify(alipayName, &key.PublicKey, now)
	return rogueChain{sn: certSN(leaf), chain: encodeChain(leaf.Raw, issuer.cert.Raw), key: key}
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func authorityName(kind string) pkix.Name {
	return pkix.Name{
		Country: []string{"CN"}, Organization: []string{"Koubeisim Financial"}, OrganizationalUnit: []string{"Certification Authority"},
		CommonName: "Koubeisim Financial Certification Authority " + kind,
	}
}

func newRoot(kind string, key crypto.Signer, now time.Time) *authority {
	t := blankCert(authorityName(kind), now, 30)
	t.BasicConstraintsValid, t.IsCA, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	return &authority{create(t, t, key.Public(), key), key}
}

// intermediate makes one without a CA flag and without keyCertSign, like the intermediate of the real sandbox.
func (a *authority) intermediate(kind string, now time.Time) *authority {
	key := newKey()
	t := blankCert(authorityName(kind), now, 20)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	return &authority{create(t, a.cert, key.Public(), a.key), key}
}

func (a *authority) certify(name string, key *rsa.PublicKey, now time.Time) *x509.Certificate {
	subject := pkix.Name{Country: []string{"CN"}, Organization: []string{"koubeisim"}, OrganizationalUnit: []string{"Alipay"}, CommonName: name}
	t := blankCert(subject, now, 1)
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	return create(t, a.cert, key, a.key)
}

func blankCert(name pkix.Name, now time.Time, years int) *x509.Certificate {
	serial := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)))
	return &x509.Certificate{SerialNumber: serial, Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(years, 0, 0)}
}

func create(t, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, parent, key, signer))))
}

func newECDSAKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// sm2Root imitates the SM2 root that stands first in the real bundle. The standard library cannot make one, so the object
// identifiers in a P-256 root are replaced by those of SM2, which have the same length.
func sm2Root(now time.Time) []byte {
	der := newRoot("SM2", newECDSAKey(), now).cert.Raw
	curve, sm2 := []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), []byte("\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d")
	ecdsaSHA256, sm2SM3 := []byte("\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), []byte("\x06\x08\x2a\x81\x1c\xcf\x55\x01\x83\x75")
	return bytes.ReplaceAll(bytes.ReplaceAll(der, curve, sm2), ecdsaSHA256, sm2SM3)
}

func encodeChain(ders ...[]byte) []byte {
	var text []byte
	for _, der := range ders {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}
