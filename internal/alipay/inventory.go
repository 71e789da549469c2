package alipay

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"koubei-landing/internal/setting"
)

// Certificate describes one certificate for metrics and for server check.
type Certificate struct {
	Name      string // app, alipay, intermediate or root: a label for metrics
	Subject   string
	SN        string // Alipay's serial number
	NotBefore time.Time
	NotAfter  time.Time
	KeyBits   int // of an RSA key; 0 for others
}

const (
	appCertificate          = "app"
	alipayCertificate       = "alipay"
	intermediateCertificate = "intermediate"
	rootCertificate         = "root"
)

// List describes every certificate that could be read: the application's, Alipay's, its intermediate, the roots.
func (c *Certificates) List() []Certificate {
	list := []Certificate{describe(appCertificate, c.app)}
	for i, cert := range c.chain {
		name := alipayCertificate
		if i > 0 {
			name = intermediateCertificate
		}
		list = append(list, describe(name, cert))
	}
	for _, cert := range c.roots {
		list = append(list, describe(rootCertificate, cert))
	}
	return list
}

func describe(name string, cert *x509.Certificate) Certificate {
	d := Certificate{
		Name: name, Subject: distinguishedName(cert.RawSubject), SN: certificateSN(cert),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		d.KeyBits = key.N.BitLen()
	}
	return d
}

// warnings returns what is, or soon will be, wrong with dates. An expired certificate of Alipay is only warned about: the
// gateway may use a new one, which the client downloads.
func (c *Certificates) warnings(now time.Time) []setting.Problem {
	var ws []setting.Problem
	for _, cert := range c.List() {
		if w, ok := cert.Warning(now); ok {
			ws = append(ws, w)
		}
	}
	return ws
}

// Warning returns what is, or soon will be, wrong with the certificate's dates; false if nothing is.
func (c Certificate) Warning(now time.Time) (setting.Problem, bool) {
	name := alipayCertSetting
	switch c.Name {
	case appCertificate:
		name = appCertSetting
	case rootCertificate:
		name = rootCertSetting
	}
	holds := func(format string, t time.Time, fix string) (setting.Problem, bool) {
		return setting.Bad(name, fmt.Sprintf("holds a certificate (%s) "+format, c.Name, date(t)), fix), true
	}
	switch {
	case now.Before(c.NotBefore):
		return holds("that is not valid before %s", c.NotBefore, "check this machine's clock")
	case now.After(c.NotAfter) && c.Name == appCertificate:
		return holds("that expired on %s", c.NotAfter, "renew it in Alipay's console")
	case now.After(c.NotAfter):
		return holds("that expired on %s", c.NotAfter, "download the new one from Alipay's console")
	case now.Add(expiryNotice).After(c.NotAfter):
		return holds("that expires on %s", c.NotAfter, "renew it in Alipay's console")
	}
	return setting.Problem{}, false
}
