package alipay

import (
	"crypto/aes"
	"crypto/rsa"
	"fmt"
	"net/url"
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

// Config holds everything that a Client needs. AppID, GatewayURL, PrivateKey and one of PublicKey and Certificates are
// required.
type Config struct {
	AppID      string
	GatewayURL *url.URL

	// AllowHTTP permits http:// to a host that is not loopback. The signature of a response does not bind it to the
	// request, so a recorded success could be replayed as the response to another request. Only TLS prevents that.
	AllowHTTP bool

	PrivateKey   *rsa.PrivateKey // the application's
	PublicKey    *rsa.PublicKey  // Alipay's; nil in certificate mode
	Certificates *Certificates   // nil in public key mode
	EncryptKey   []byte          // 16 bytes turn content encryption on
	AppAuthToken string          // sent when set

	SignType SignType // RSA2 when empty
	Charset  Charset  // UTF8 when empty

	Timeout        time.Duration // for the whole exchange, its retries included; 10 s when zero
	AttemptTimeout time.Duration // for one attempt; 6 s, or Timeout if that is less, when zero
	MaxConns       int           // connections to the gateway, all kept alive; 64 unless positive

	// Now returns the time for timestamps, certificate dates and Grant.ExchangedAt; time.Now when nil. Timers always use
	// package time.
	Now func() time.Time

	// Tracer creates a span for every attempt. Nothing is traced when it is nil.
	Tracer trace.Tracer

	// OnAttempt is called after every attempt to exchange a code. It may be nil.
	OnAttempt func(Attempt)
}

// New returns a client. It fails with setting.Problems that hold everything that is wrong with cfg.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.problems().Err(); err != nil {
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
			return nil, fmt.Errorf("alipay: %w", err)
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
	if cfg.MaxConns <= 0 {
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
