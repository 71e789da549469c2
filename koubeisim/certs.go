package koubeisim

import (
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"time"
)

// Certificates are what an ISV downloads from the console in certificate mode, as PEM.
type Certificates struct {
	App    []byte // the application's certificate
	Alipay []byte // Alipay's: leaf and intermediate, the one in force at this moment
	Root   []byte // the root bundle: an SM2 root that most parsers can't read, RSA, ECDSA
}

// certificates is the console of certificate mode. Its maps are guarded by Koubei.mu.
type certificates struct {
	appSN, rootSN string
	app, root     []byte
	issuer        *authority        // of Alipay's leaves
	leafSN        string            // in force
	chains        map[string][]byte // PEM by serial; what a download offers
	rogue         func() rogueChain // made when first wanted
}

// Certificates are the files of certificate mode; empty in key mode.
func (k *Koubei) Certificates() Certificates {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.certs == nil {
		return Certificates{}
	}
	return Certificates{App: k.certs.app, Alipay: k.certs.chains[k.certs.leafSN], Root: k.certs.root}
}

// RollCertificate renews Alipay's key and certificate, as happens yearly: answers carry another alipay_cert_sn from now
// on, and the certificate behind it can be downloaded. In key mode nothing happens.
func (k *Koubei) RollCertificate() {
	if k.certs == nil {
		return
	}
	key := freshKey()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
	k.certs.roll(key, k.now())
}

func issueCertificates(appID string, appKey *rsa.PublicKey, alipayKey *rsa.PrivateKey, now time.Time) *certificates {
	root := newRoot("R1", freshKey(), now)
	ecdsaRoot := newRoot("E1", freshECDSA(), now)
	class1 := root.issue(authorityName("Class 1 R1"), freshKey(), now)
	class2 := root.issue(authorityName("Class 2 R1"), freshKey(), now)
	app := class1.certify(leafName("2088000000000001-"+appID), appKey, now)
	c := &certificates{
		app:    encodeChain(app.Raw),
		appSN:  certSN(app),
		root:   encodeChain(unreadableRoot(now), root.der, ecdsaRoot.der),
		rootSN: certSN(root.cert), // of the RSA roots alone, and there is one
		issuer: class2,
		chains: map[string][]byte{},
		rogue:  sync.OnceValue(func() rogueChain { return impostor(now) }),
	}
	c.roll(alipayKey, now)
	return c
}

func (c *certificates) roll(key *rsa.PrivateKey, now time.Time) {
	leaf := c.issuer.certify(leafName("支付宝模拟(测试)-2088000000000000"), &key.PublicKey, now)
	c.leafSN = certSN(leaf)
	c.chains[c.leafSN] = encodeChain(leaf.Raw, c.issuer.der)
}

// checkSerials is how the gateway finds the application's key in certificate mode.
func (c *certificates) checkSerials(req request) error {
	appSN, given := req.params["app_cert_sn"]
	if !given {
		return missing("isv.missing-app-cert-sn", "缺少应用公钥证书序列号")
	}
	if appSN != c.appSN {
		return invalid("isv.app-cert-not-exist", "应用公钥证书不存在")
	}
	rootSN, given := req.params["alipay_root_cert_sn"]
	if !given {
		return missing("isv.missing-alipay-root-cert-sn", "缺少支付宝根证书序列号")
	}
	if rootSN != c.rootSN {
		return invalid("isv.invalid-alipay-root-cert-sn", "支付宝根证书序列号错误")
	}
	return nil
}

// downloadCertificate answers alipay.open.app.alipaycert.download.
func (k *Koubei) downloadCertificate(sn string) (verdict, []field) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.certs == nil || k.certs.chains[sn] == nil {
		return business("CERT_NOT_EXIST", "证书不存在"), nil
	}
	content := base64.StdEncoding.EncodeToString(k.certs.chains[sn])
	return success, []field{{name: "alipay_cert_content", value: content}}
}

// certSN is how Alipay names a certificate: MD5 over the issuer, its most specific part first, and the serial in decimal.
// Our names need none of RFC 2253's escapes.
func certSN(cert *x509.Certificate) string {
	sum := md5.Sum([]byte(cert.Issuer.String() + cert.SerialNumber.String()))
	return hex.EncodeToString(sum[:])
}
