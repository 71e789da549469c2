package main

import (
	"crypto/rsa"
	"slices"
	"strings"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/pemfile"
)

// alipaySettings are the settings of the gateway and its keys.
type alipaySettings struct {
	AlipayAppID          string `name:"alipay-app-id" help:"The application's id. Required."`
	AlipayAppPrivateKey  string `kong:"-" secret:"ALIPAY_APP_PRIVATE_KEY" help:"The application's private key: PKCS#1 or PKCS#8, PEM or bare base64. Required."`
	AlipayPublicKey      string `kong:"-" secret:"ALIPAY_PUBLIC_KEY" help:"Alipay's public key, not the application's: PEM or bare base64. Required, unless certificates are set."`
	AlipayAppCertFile    string `help:"Certificate mode: the file of the application's certificate. Set all three files or none."`
	AlipayCertFile       string `help:"Certificate mode: the file of Alipay's certificate."`
	AlipayRootCertFile   string `help:"Certificate mode: the file of Alipay's root certificates."`
	AlipayEncryptKey     string `kong:"-" secret:"ALIPAY_ENCRYPT_KEY" help:"Base64 AES key. When set, requests and responses are encrypted."`
	AlipayAppAuthToken   string `kong:"-" secret:"ALIPAY_APP_AUTH_TOKEN" help:"The app auth token. The service sends it when it is set."`
	AlipayGatewayURL     string `name:"alipay-gateway-url" default:"https://openapi.alipay.com/gateway.do" help:"Address of the gateway: production, the sandbox or koubeisim."`
	AlipayAllowHTTP      string `name:"alipay-allow-http" default:"false" help:"Allow an http:// gateway on another host. Without TLS, a response can be replayed."`
	AlipaySignType       string `default:"RSA2" help:"RSA2 or RSA."`
	AlipayCharset        string `default:"utf-8" help:"utf-8, gbk, gb2312 or gb18030. The gateway is known to accept only the first two."`
	AlipayTimeout        string `default:"10s" help:"Timeout of the whole exchange of a code, retries included."`
	AlipayAttemptTimeout string `default:"6s" help:"Timeout of one attempt."`
}

func (s alipaySettings) parse(p *parser) alipay.Config {
	c := alipay.Config{
		AppID:          s.AlipayAppID,
		AppAuthToken:   s.AlipayAppAuthToken,
		AllowHTTP:      p.boolean("ALIPAY_ALLOW_HTTP", s.AlipayAllowHTTP),
		SignType:       oneOf(p, "ALIPAY_SIGN_TYPE", s.AlipaySignType, alipay.RSA2, alipay.RSA),
		Charset:        oneOf(p, "ALIPAY_CHARSET", strings.ToLower(s.AlipayCharset), alipay.UTF8, alipay.GBK, alipay.GB2312, alipay.GB18030),
		Timeout:        p.duration("ALIPAY_TIMEOUT", s.AlipayTimeout, 10*time.Millisecond, 5*time.Minute),
		AttemptTimeout: p.duration("ALIPAY_ATTEMPT_TIMEOUT", s.AlipayAttemptTimeout, 10*time.Millisecond, 5*time.Minute),
	}
	if c.AttemptTimeout > c.Timeout {
		c.AttemptTimeout = c.Timeout
	}
	if c.AppID == "" {
		p.add("ALIPAY_APP_ID", "is missing", "copy the APPID from Alipay's console")
	}
	c.PrivateKey = s.privateKey(p)
	c.EncryptKey = s.encryptKey(p)
	s.alipayKeys(p, &c)
	c.GatewayURL = p.url("ALIPAY_GATEWAY_URL", s.AlipayGatewayURL, "use https://openapi.alipay.com/gateway.do")
	if concerns(p.problems, "ALIPAY_") {
		return c
	}
	if _, err := alipay.New(c); err != nil {
		p.addError(err)
	}
	return c
}

func (s alipaySettings) privateKey(p *parser) *rsa.PrivateKey {
	if s.AlipayAppPrivateKey == "" {
		p.add("ALIPAY_APP_PRIVATE_KEY", "is missing", "give the application's private key")
		return nil
	}
	key, err := alipay.ParsePrivateKey(s.AlipayAppPrivateKey)
	if err != nil {
		p.addError(err, "ALIPAY_APP_PRIVATE_KEY")
	}
	return key
}

func (s alipaySettings) encryptKey(p *parser) []byte {
	if s.AlipayEncryptKey == "" {
		return nil
	}
	key, err := alipay.ParseEncryptKey(s.AlipayEncryptKey)
	if err != nil {
		p.addError(err, "ALIPAY_ENCRYPT_KEY")
	}
	return key
}

// certificateSettings are the settings of certificate mode, in the order of alipay.ParseCertificates.
var certificateSettings = []string{"ALIPAY_APP_CERT_FILE", "ALIPAY_CERT_FILE", "ALIPAY_ROOT_CERT_FILE"}

// alipayKeys sets Alipay's public key or the certificates, whichever is set.
func (s alipaySettings) alipayKeys(p *parser, c *alipay.Config) {
	files := []string{s.AlipayAppCertFile, s.AlipayCertFile, s.AlipayRootCertFile}
	set := 0
	for _, file := range files {
		if file != "" {
			set++
		}
	}
	if set > 0 && set < len(files) {
		p.addProblem("must be set all three or not at all", "set the missing ones", certificateSettings...)
		return
	}
	if set == 0 {
		c.PublicKey = s.publicKey(p)
		return
	}
	c.Certificates = p.certificates(files)
	if s.AlipayPublicKey != "" {
		p.addProblem("are all set", "keep what the application uses in Alipay's console: the key or the certificates",
			slices.Concat([]string{"ALIPAY_PUBLIC_KEY"}, certificateSettings)...)
	}
}

func (s alipaySettings) publicKey(p *parser) *rsa.PublicKey {
	if s.AlipayPublicKey == "" {
		p.add("ALIPAY_PUBLIC_KEY", "is missing", "give Alipay's public key (not the application's), or the three certificate files")
		return nil
	}
	key, err := alipay.ParsePublicKey(s.AlipayPublicKey)
	if err != nil {
		p.addError(err, "ALIPAY_PUBLIC_KEY")
	}
	return key
}

// certificates returns the certificates in the files, nil if one can't be used.
func (p *parser) certificates(files []string) *alipay.Certificates {
	var read []pemfile.File
	for i, path := range files {
		if file, ok := p.file(certificateSettings[i], path); ok {
			read = append(read, file)
		}
	}
	if len(read) < len(files) {
		return nil
	}
	certs, err := alipay.ParseCertificates(read[0], read[1], read[2])
	if err != nil {
		p.addError(err, certificateSettings...)
		return nil
	}
	return certs
}
