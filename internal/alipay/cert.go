package alipay

import (
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

// expiryNotice: Certificate.Warning reports a certificate that expires within this time.
const expiryNotice = 30 * 24 * time.Hour

// The fixes for files that cannot be used.
const (
	appCertFix    = "download appCertPublicKey_….crt from Alipay's console again"
	alipayCertFix = "download alipayCertPublicKey_RSA2.crt (not the SM2 one) from Alipay's console again"
	rootCertFix   = "download alipayRootCert.crt from Alipay's console again"
)

// Certificates are the three files of certificate mode.
type Certificates struct {
	app           *x509.Certificate
	chain         []*x509.Certificate // Alipay's certificate, then its intermediate
	roots         []*x509.Certificate // without SM2 roots, which Go cannot read
	appSN, rootSN string
	alipaySN      string
}

// ParseCertificates reads the application's certificate (appCertPublicKey_….crt), Alipay's with its intermediate
// (alipayCertPublicKey_RSA2.crt) and the root bundle (alipayRootCert.crt). It finds a certificate by what it issued, not
// by its position in the file, and skips SM2 certificates. It fails with setting.Problems that hold everything that is
// wrong, for example a chain that leads to no root. It does not check dates. New refuses an expired application certificate,
// and the client checks the dates of Alipay's chain for each response.
func ParseCertificates(app, alipay, root pemfile.File) (*Certificates, error) {
	c := &Certificates{}
	var ps setting.Problems
	for _, err := range []error{c.parseRoots(root), c.parseApp(app), c.parseAlipay(alipay)} {
		if p, ok := errors.AsType[setting.Problem](err); ok {
			ps = append(ps, p)
		}
	}
	if err := ps.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificates) parseApp(file pemfile.File) error {
	certs, err := readCertificates(file)
	if err == nil {
		c.app, err = leafOf(certs)
	}
	if err != nil {
		return pemfile.Setting(appCertSetting, err, appCertFix)
	}
	if _, ok := c.app.PublicKey.(*rsa.PublicKey); !ok {
		return setting.Bad(appCertSetting, "holds a certificate for "+pemfile.KeyName(c.app.PublicKey), "request a certificate for an RSA key in Alipay's console")
	}
	c.appSN = certificateSN(c.app)
	return nil
}

// parseAlipay needs the roots.
func (c *Certificates) parseAlipay(file pemfile.File) error {
	certs, err := readCertificates(file)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = leafOf(certs)
	}
	if err == nil && leaf.IsCA {
		err = errNoLeaf
	}
	if err != nil {
		return pemfile.Setting(alipayCertSetting, err, alipayCertFix)
	}
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); !ok {
		return setting.Bad(alipayCertSetting, "holds a certificate for "+pemfile.KeyName(leaf.PublicKey), alipayCertFix)
	}
	if len(c.roots) == 0 {
		return nil // parseRoots has reported that
	}
	if c.chain, err = chainTo(leaf, certs, c.roots); err != nil {
		return setting.Problem{
			Settings: []string{alipayCertSetting, rootCertSetting},
			Problem:  "do not belong together: Alipay's certificate does not lead to a root",
			Fix:      "use the three files of the same application and environment, as downloaded from Alipay's console",
		}
	}
	c.alipaySN = certificateSN(leaf)
	return nil
}

func (c *Certificates) parseRoots(file pemfile.File) error {
	roots, err := readCertificates(file)
	if err == nil {
		c.rootSN, err = rootSN(roots)
	}
	if err != nil {
		return pemfile.Setting(rootCertSetting, err, rootCertFix)
	}
	c.roots = roots
	return nil
}

// readCertificates returns the certificates of a file in their order, each one once. It skips SM2 certificates: the real
// root bundle begins with one, and Go cannot read them. It fails if there is no other one, or if a block is anything else.
func readCertificates(file pemfile.File) ([]*x509.Certificate, error) {
	blocks, err := file.Blocks()
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	var sm2 error
	for _, b := range pemfile.Distinct(blocks) {
		cert, err := b.Certificate()
		switch {
		case errors.Is(err, pemfile.ErrSM2):
			sm2 = err
		case err != nil:
			return nil, err
		default:
			certs = append(certs, cert)
		}
	}
	if len(certs) == 0 {
		return nil, sm2
	}
	return certs, nil
}

// AppSN returns the app_cert_sn of requests.
func (c *Certificates) AppSN() string { return c.appSN }

// AlipaySN returns the alipay_cert_sn that responses are expected to name.
func (c *Certificates) AlipaySN() string { return c.alipaySN }

// RootSN returns the alipay_root_cert_sn of requests: the SNs of the roots that are signed with RSA, joined by underscores.
func (c *Certificates) RootSN() string { return c.rootSN }

// problems returns what keeps the certificates from working at now. own may be nil.
func (c *Certificates) problems(own *rsa.PrivateKey, now time.Time) setting.Problems {
	if c.app == nil {
		return setting.Problems{{
			Settings: []string{appCertSetting, alipayCertSetting, rootCertSetting},
			Problem:  "were not read by ParseCertificates",
		}}
	}
	var ps setting.Problems
	if own != nil && !own.PublicKey.Equal(c.app.PublicKey) {
		ps = append(ps, setting.Problem{
			Settings: []string{appCertSetting, privateKeySetting},
			Problem:  "do not belong together",
			Fix:      "use the private key that the certificate was requested with",
		})
	}
	if now.After(c.app.NotAfter) {
		warning, _ := describe(appCertificate, c.app).Warning(now)
		ps = append(ps, warning)
	}
	return ps
}

// certificateSN returns Alipay's serial number of a certificate: the MD5, in lower-case hex, of the issuer's name and the
// serial number in decimal. Source: the official Java SDK, AntCertificationUtil.getCertSN.
func certificateSN(cert *x509.Certificate) string {
	sum := md5.Sum([]byte(distinguishedName(cert.RawIssuer) + cert.SerialNumber.String()))
	return hex.EncodeToString(sum[:])
}

// pkcs1OID is the arc of all RSA signature algorithms.
const pkcs1OID = "1.2.840.113549.1.1."

// rootSN joins, in file order, the SNs of the certificates that are signed with RSA. SM2 and ECDSA roots do not count, and
// neither dates nor signatures matter. Source: the official Java SDK, AntCertificationUtil.getRootCertSN.
func rootSN(roots []*x509.Certificate) (string, error) {
	var sns []string
	for _, root := range roots {
		if strings.HasPrefix(signatureOID(root), pkcs1OID) {
			sns = append(sns, certificateSN(root))
		}
	}
	if len(sns) == 0 {
		return "", errors.New("it holds no root that is signed with RSA")
	}
	return strings.Join(sns, "_"), nil
}

// signatureOID returns the signature algorithm of a certificate, also if crypto/x509 does not know it.
func signatureOID(cert *x509.Certificate) string {
	var parsed struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
	}
	_, _ = asn1.Unmarshal(cert.Raw, &parsed) // crypto/x509 has parsed it
	return parsed.Algorithm.Algorithm.String()
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// checkDates fails unless every certificate of chain is valid at now.
func checkDates(chain []*x509.Certificate, now time.Time) error {
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return fmt.Errorf("a certificate that is valid only from %s to %s", date(cert.NotBefore), date(cert.NotAfter))
		}
	}
	return nil
}
