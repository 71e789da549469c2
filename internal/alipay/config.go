package alipay

import (
	"crypto/aes"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const (
	defaultTimeout        = 10 * time.Second
	defaultAttemptTimeout = 6 * time.Second
	defaultMaxConns       = 64
	minKeyBits            = 1024 // what old applications have with SignType RSA
	goodKeyBits           = 2048
)

// Config is all that a Client needs. AppID, GatewayURL, PrivateKey and one of PublicKey and Certificates are required.
type Config struct {
	AppID      string
	GatewayURL *url.URL

	// AllowHTTP permits http:// to a host that is not loopback. An answer's signature doesn't bind it to the question: a
	// recorded success could be played back into another call, and only TLS stands against that.
	AllowHTTP bool

	PrivateKey   *rsa.PrivateKey // the application's
	PublicKey    *rsa.PublicKey  // Alipay's; nil in certificate mode
	Certificates *Certificates   // nil in key mode
	EncryptKey   []byte          // 16 bytes; content encryption when set
	AppAuthToken string          // sent when set

	SignType SignType // RSA2 when empty
	Charset  Charset  // UTF8 when empty

	Timeout        time.Duration // the whole exchange, its retries included; 10 s when zero
	AttemptTimeout time.Duration // one attempt; 6 s, or Timeout where that is less, when zero
	MaxConns       int           // connections to the gateway, all kept alive; 64 when zero

	// Now is the clock for timestamps, certificates' dates and Grant.ExchangedAt; time.Now when nil. Timers use package
	// time.
	Now func() time.Time

	// Tracer makes a span of every attempt; nothing is traced when nil.
	Tracer trace.Tracer

	// OnAttempt is called after every attempt to exchange a code; nil is fine.
	OnAttempt func(Attempt)
}

// New returns a client, or an error that joins everything that is wrong with cfg, each with its cure. It never shows key
// material.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.problems()...); err != nil {
		return nil, err
	}
	c := &Client{
		appID:          cfg.AppID,
		gateway:        cfg.GatewayURL,
		privateKey:     cfg.PrivateKey,
		appAuthToken:   cfg.AppAuthToken,
		signType:       cfg.SignType,
		charset:        cfg.Charset,
		timeout:        cfg.Timeout,
		attemptTimeout: cfg.AttemptTimeout,
		now:            cfg.Now,
		onAttempt:      cfg.OnAttempt,
		tracer:         cfg.Tracer,
		transport:      newTransport(cfg.MaxConns),
		warnings:       cfg.warnings(),
	}
	if len(cfg.EncryptKey) > 0 {
		block, err := aes.NewCipher(cfg.EncryptKey)
		if err != nil {
			return nil, errors.New("alipay: the encryption key can't be used")
		}
		c.block = block
	}
	c.trust = newTrust(cfg.PublicKey, cfg.Certificates, cfg.Now, c.downloadCertificate)
	return c, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.SignType == "" {
		cfg.SignType = RSA2
	}
	if cfg.Charset == "" {
		cfg.Charset = UTF8
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.AttemptTimeout == 0 {
		cfg.AttemptTimeout = min(defaultAttemptTimeout, cfg.Timeout)
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Tracer == nil {
		cfg.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return cfg
}

// problems returns everything that keeps cfg from working.
func (cfg Config) problems() []error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("alipay: "+format, args...))
		}
	}
	refuse(cfg.AppID == "" || len(cfg.AppID) > 32 || !visibleASCII(cfg.AppID),
		"the app id is missing or not one: copy the APPID of the application from Alipay's console")
	refuse(cfg.SignType != RSA2 && cfg.SignType != RSA, "the sign type must be RSA2 or RSA")
	refuse(!cfg.Charset.known(), "the charset must be utf-8, gbk, gb2312 or gb18030")
	refuse(len(cfg.EncryptKey) != 0 && len(cfg.EncryptKey) != aes.BlockSize,
		"the encryption key has %d bytes where AES-128 has %d: copy the AES key from Alipay's console", len(cfg.EncryptKey), aes.BlockSize)
	refuse(!visibleASCII(cfg.AppAuthToken), "the app auth token holds white space or characters that no token has: copy it again")
	refuse(cfg.Timeout < 0 || cfg.AttemptTimeout < 0, "time-outs must not be negative")
	refuse(cfg.AttemptTimeout > cfg.Timeout,
		"one attempt may take %s but the whole exchange only %s: raise the latter", cfg.AttemptTimeout, cfg.Timeout)
	refuse(cfg.MaxConns < 0, "the number of connections must not be negative")
	errs = append(errs, cfg.gatewayProblems()...)
	return append(errs, cfg.keyProblems()...)
}

func (cfg Config) gatewayProblems() []error {
	u := cfg.GatewayURL
	switch {
	case u == nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return []error{errors.New("alipay: the gateway's address must be an https:// URL, as https://openapi.alipay.com/gateway.do")}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		// Whatever is in the query beside our parameters breaks the signature.
		return []error{errors.New("alipay: the gateway's address must have no user, query or fragment: remove them")}
	case u.Scheme == "http" && !cfg.AllowHTTP && !loopback(u.Hostname()):
		return []error{errors.New("alipay: the gateway's address is http:// and not on this machine: use https://, or allow HTTP explicitly")}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (cfg Config) keyProblems() []error {
	var errs []error
	own := cfg.PrivateKey
	if err := checkPrivateKey(own); err != nil {
		errs = append(errs, err)
		own = nil
	}
	switch {
	case cfg.PublicKey == nil && cfg.Certificates == nil:
		errs = append(errs, errors.New("alipay: neither Alipay's public key nor certificates are set: one of the two is needed"))
	case cfg.PublicKey != nil && cfg.Certificates != nil:
		errs = append(errs, errors.New("alipay: both Alipay's public key and certificates are set: keep the one that the application uses in Alipay's console"))
	case cfg.PublicKey != nil:
		if err := checkPublicKey(cfg.PublicKey, own); err != nil {
			errs = append(errs, err)
		}
	default:
		errs = append(errs, cfg.Certificates.problems(own, cfg.Now())...)
	}
	return errs
}

// checkPrivateKey makes the key ready to sign.
func checkPrivateKey(key *rsa.PrivateKey) error {
	switch {
	case key == nil || key.N == nil:
		return errors.New("alipay: the application's private key is missing")
	case key.N.BitLen() < minKeyBits:
		return fmt.Errorf("alipay: the application's private key has %d bits: make a new pair of %d bits and upload its public key in Alipay's console", key.N.BitLen(), goodKeyBits)
	case key.Validate() != nil:
		return errors.New("alipay: the application's private key is damaged: copy it again, whole")
	}
	key.Precompute()
	return nil
}

// checkPublicKey notices the classic mistake: the application's public key in the place of Alipay's. own may be nil.
func checkPublicKey(key *rsa.PublicKey, own *rsa.PrivateKey) error {
	switch {
	case key.N == nil || key.N.BitLen() < minKeyBits:
		return errors.New("alipay: Alipay's public key is too short to be one: copy it again, whole")
	case own != nil && key.N.Cmp(own.N) == 0:
		return errors.New("alipay: the application's own public key was given as Alipay's: copy the one named \"Alipay public key\" (支付宝公钥) from Alipay's console")
	}
	return nil
}

// warnings returns what is no reason to refuse.
func (cfg Config) warnings() []string {
	var ws []string
	warn := func(concerns bool, format string, args ...any) {
		if concerns {
			ws = append(ws, fmt.Sprintf(format, args...))
		}
	}
	cs := Charset(strings.ToLower(string(cfg.Charset)))
	warn(cs == GB2312 || cs == GB18030, "the gateway is known to take only utf-8 and gbk, not %s: prefer utf-8", cs)
	warn(cfg.SignType == RSA, "sign type RSA relies on SHA-1: set the application to RSA2 in Alipay's console, and here")
	warn(cfg.PrivateKey.N.BitLen() < goodKeyBits,
		"the application's private key has only %d bits: make a new pair of %d bits", cfg.PrivateKey.N.BitLen(), goodKeyBits)
	warn(cfg.PublicKey != nil && cfg.PublicKey.N.BitLen() < goodKeyBits,
		"Alipay's public key has fewer than %d bits: it belongs to an old application; make new keys in Alipay's console", goodKeyBits)
	warn(cfg.GatewayURL.Scheme == "http" && !loopback(cfg.GatewayURL.Hostname()),
		"the gateway is called without TLS: answers can be replayed; use https:// in production")
	if cfg.Certificates != nil {
		ws = append(ws, cfg.Certificates.warnings(cfg.Now())...)
	}
	return ws
}
