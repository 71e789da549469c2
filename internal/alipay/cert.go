package alipay

import (
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxCertificateFile = 1 << 20
	soon               = 30 * 24 * time.Hour // how long before its end a certificate is warned about
)

// Certificates are the three files of certificate mode.
type Certificates struct {
	app           *x509.Certificate
	chain         []*x509.Certificate // Alipay's, the signing one first
	roots         []*x509.Certificate // those that Go can read
	appSN, rootSN string
	alipaySN      string
}

// Certificate is what there is to tell about one of them.
type Certificate struct {
	Name      string // app, alipay, intermediate or root: a label for metrics
	Subject   string
	SN        string // Alipay's serial: MD5 of the issuer's name and the serial number
	NotBefore time.Time
	NotAfter  time.Time
	KeyBits   int // of an RSA key; 0 for others
}

// ParseCertificates reads the application's certificate (appCertPublicKey_….crt), Alipay's with its intermediate
// (alipayCertPublicKey_RSA2.crt) and the root bundle (alipayRootCert.crt). It fails with every problem at once, among them
// a chain that doesn't lead to a root. Dates are checked by New, and for every answer.
func ParseCertificates(app, alipay, root []byte) (*Certificates, error) {
	c := &Certificates{}
	if err := errors.Join(c.parseRoots(root), c.parseApp(app), c.parseAlipay(alipay)); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificates) parseApp(file []byte) error {
	ders, err := pemBlocks(file)
	if err != nil {
		return fmt.Errorf("app certificate: %w: download appCertPublicKey_….crt from Alipay's console", err)
	}
	if c.app, err = x509.ParseCertificate(ders[0]); err != nil {
		return errors.New("app certificate: can't be read: download appCertPublicKey_….crt from Alipay's console again")
	}
	if _, ok := c.app.PublicKey.(*rsa.PublicKey); !ok {
		return errors.New("app certificate: its key is no RSA key: request a certificate for an RSA key")
	}
	c.appSN, err = certificateSN(ders[0])
	return err
}

func (c *Certificates) parseAlipay(file []byte) error {
	certs, err := parseChain(file)
	if err != nil {
		return fmt.Errorf("alipay certificate: %w: download alipayCertPublicKey_RSA2.crt from Alipay's console", err)
	}
	if len(c.roots) == 0 {
		return nil // reported already
	}
	if c.chain, err = chainTo(leafOf(certs), certs, c.roots); err != nil {
		return fmt.Errorf("alipay certificate: %w: give the three files of the same application and environment, as downloaded from Alipay's console", err)
	}
	if _, ok := c.chain[0].PublicKey.(*rsa.PublicKey); !ok {
		return errors.New("alipay certificate: its key is no RSA key: download alipayCertPublicKey_RSA2.crt, not the SM2 one")
	}
	c.alipaySN, err = certificateSN(c.chain[0].Raw)
	return err
}

// parseRoots skips what Go can't read, as the SM2 root of the real bundle.
func (c *Certificates) parseRoots(file []byte) error {
	ders, err := pemBlocks(file)
	if err != nil {
		return fmt.Errorf("root certificates: %w: download alipayRootCert.crt from Alipay's console", err)
	}
	for _, der := range ders {
		if cert, err := x509.ParseCertificate(der); err == nil {
			c.roots = append(c.roots, cert)
		}
	}
	if c.rootSN, err = rootSN(ders); err != nil {
		return fmt.Errorf("root certificates: %w: download alipayRootCert.crt from Alipay's console", err)
	}
	return nil
}

// AppSN returns the app_cert_sn of requests.
func (c *Certificates) AppSN() string { return c.appSN }

// AlipaySN returns the alipay_cert_sn that answers are expected to name.
func (c *Certificates) AlipaySN() string { return c.alipaySN }

// RootSN returns the alipay_root_cert_sn of requests: the SNs of the roots that count, joined by underscores.
func (c *Certificates) RootSN() string { return c.rootSN }

// List describes every certificate that could be read: the application's, Alipay's, its intermediate, the roots.
func (c *Certificates) List() []Certificate {
	list := []Certificate{describe("app", c.app)}
	for i, cert := range c.chain {
		name := "alipay"
		if i > 0 {
			name = "intermediate"
		}
		list = append(list, describe(name, cert))
	}
	for _, cert := range c.roots {
		list = append(list, describe("root", cert))
	}
	return list
}

func describe(name string, cert *x509.Certificate) Certificate {
	d := Certificate{Name: name, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	// Of a certificate that was parsed: neither can fail.
	d.Subject, _ = distinguishedName(cert.RawSubject)
	d.SN, _ = certificateSN(cert.Raw)
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		d.KeyBits = key.N.BitLen()
	}
	return d
}

// problems returns what keeps the certificates from working now. own may be nil.
func (c *Certificates) problems(own *rsa.PrivateKey, now time.Time) []error {
	if c.app == nil || len(c.chain) == 0 {
		return []error{errors.New("alipay: the certificates are empty: they must come from ParseCertificates")}
	}
	var errs []error
	if own != nil && !own.PublicKey.Equal(c.app.PublicKey) {
		errs = append(errs, errors.New("alipay: the app certificate is not of the application's private key: use the key of the request that the certificate was made from"))
	}
	if now.After(c.app.NotAfter) {
		errs = append(errs, errors.New("alipay: "+describe("app", c.app).Warning(now)))
	}
	return errs
}

// warnings returns what is, or soon will be, wrong with dates. An expired certificate of Alipay's is no reason to refuse:
// the gateway may have a new one, which is fetched.
func (c *Certificates) warnings(now time.Time) []string {
	var ws []string
	for _, cert := range c.List() {
		if w := cert.Warning(now); w != "" {
			ws = append(ws, w)
		}
	}
	return ws
}

// Warning says what is, or soon will be, wrong with the certificate's dates, with the cure; it is empty when all is well.
func (c Certificate) Warning(now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("the %s certificate is valid only from %s on: check this machine's clock", c.Name, date(c.NotBefore))
	case now.After(c.NotAfter) && c.Name == "app":
		return fmt.Sprintf("the app certificate expired on %s: renew it in Alipay's console", date(c.NotAfter))
	case now.After(c.NotAfter):
		return fmt.Sprintf("the %s certificate expired on %s: download the new one from Alipay's console", c.Name, date(c.NotAfter))
	case now.Add(soon).After(c.NotAfter):
		return fmt.Sprintf("the %s certificate expires on %s: renew it in Alipay's console", c.Name, date(c.NotAfter))
	}
	return ""
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// certificateSN returns Alipay's serial of a certificate: MD5, in lower-case hex of 32 digits, of the issuer's name and the
// serial number in decimal. Source: the official Java SDK, AntCertificationUtil.getCertSN.
func certificateSN(der []byte) (string, error) {
	t, err := parseTBS(der)
	if err != nil {
		return "", err
	}
	issuer, err := distinguishedName(t.Issuer.FullBytes)
	if err != nil {
		return "", err
	}
	sum := md5.Sum([]byte(issuer + t.Serial.String()))
	return hex.EncodeToString(sum[:]), nil
}

// pkcs1OID is the arc of all RSA signature algorithms.
var pkcs1OID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1}

// rootSN joins, in file order, the SNs of the certificates that are signed with RSA; SM2 and ECDSA roots don't count.
// Neither dates nor signatures matter here. Source: the official Java SDK, AntCertificationUtil.getRootCertSN.
func rootSN(ders [][]byte) (string, error) {
	var sns []string
	for _, der := range ders {
		t, err := parseTBS(der)
		if err != nil || len(t.Algorithm.Algorithm) <= len(pkcs1OID) || !t.Algorithm.Algorithm[:len(pkcs1OID)].Equal(pkcs1OID) {
			continue
		}
		sn, err := certificateSN(der)
		if err != nil {
			return "", err
		}
		sns = append(sns, sn)
	}
	if len(sns) == 0 {
		return "", errors.New("no root signed with RSA in the file")
	}
	return strings.Join(sns, "_"), nil
}

// pemBlocks returns the DER of all certificates in a PEM file.
func pemBlocks(file []byte) ([][]byte, error) {
	if len(file) > maxCertificateFile {
		return nil, errors.New("too large for a file of certificates")
	}
	var ders [][]byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		return nil, errors.New("no certificate in PEM (-----BEGIN CERTIFICATE-----) in the file")
	}
	return ders, nil
}
