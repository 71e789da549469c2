package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"time"
	"unicode"

	"koubei-landing/internal/app"
	"koubei-landing/internal/pemfile"
)

// redisSettings are the settings of Redis.
type redisSettings struct {
	RedisURL          string `kong:"-" secret:"REDIS_URL" help:"redis://, rediss:// or unix://, in go-redis's URL syntax. Required."`
	RedisMode         string `default:"single" help:"single, sentinel or cluster: the kind of URL in REDIS_URL."`
	RedisTimeout      string `default:"500ms" help:"Timeout of one command, including connecting and waiting for a connection. It overrides the timeouts in the URL."`
	RedisKeyPrefix    string `help:"Prefix of every key. Default: koubei: and the application's id and a colon."`
	RedisCAFile       string `name:"redis-ca-file" help:"PEM file, with rediss://: the authorities that may sign Redis's certificate. It applies to Redis only. Default: the system's authorities."`
	RedisCertFile     string `help:"PEM file, with rediss://: the client's own certificate. Set it together with REDIS_KEY_FILE."`
	RedisKeyFile      string `help:"PEM file, with rediss://: the private key of the client's own certificate."`
	RedisWaitReplicas string `default:"0" help:"How many replicas must confirm a claim, a session, a sign-out or a revocation before it counts as done."`
}

// parse makes the default of REDIS_KEY_PREFIX from the application's id, which is empty if it has a problem.
func (s redisSettings) parse(p *parser, appID string) app.Redis {
	r := app.Redis{
		URL:      s.RedisURL,
		Mode:     oneOf(p, "REDIS_MODE", s.RedisMode, app.Single, app.Sentinel, app.Cluster),
		Timeout:  p.duration("REDIS_TIMEOUT", s.RedisTimeout, time.Millisecond, time.Minute),
		Prefix:   s.RedisKeyPrefix,
		Replicas: p.number("REDIS_WAIT_REPLICAS", s.RedisWaitReplicas, 0, 100),
	}
	if r.Prefix == "" && appID != "" {
		r.Prefix = app.Defaults(appID).Redis.Prefix
	}
	r.Authorities = s.authorities(p)
	r.Certificate = s.certificate(p)
	switch {
	case r.URL == "":
		p.add("REDIS_URL", "is missing", "write redis://localhost:6379/0 or another address")
		return r
	case p.fullWidth("REDIS_URL", r.URL):
		return r
	}
	r.URL = s.asciiURL()
	client, err := app.OpenRedis(r)
	if err == nil {
		err = client.Close()
	}
	if err != nil {
		p.addError(err, "REDIS_URL")
	}
	return r
}

// asciiURL returns REDIS_URL with a host that the resolver knows. It returns anything else unchanged.
func (s redisSettings) asciiURL() string {
	u, err := url.Parse(s.RedisURL)
	if err != nil || strings.IndexFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return s.RedisURL
	}
	return withASCIIHost(u).String()
}

// authorities returns the certificates in REDIS_CA_FILE, nil if it is not set or not usable.
func (s redisSettings) authorities(p *parser) *x509.CertPool {
	if s.RedisCAFile == "" {
		return nil
	}
	file, ok := p.file("REDIS_CA_FILE", s.RedisCAFile)
	if !ok {
		return nil
	}
	pool, err := file.Pool()
	if err != nil {
		p.addError(err, "REDIS_CA_FILE")
	}
	return pool
}

// certificate returns the client's own certificate, nil if it is not set or not usable.
func (s redisSettings) certificate(p *parser) *tls.Certificate {
	if s.RedisCertFile == "" && s.RedisKeyFile == "" {
		return nil
	}
	if s.RedisCertFile == "" || s.RedisKeyFile == "" {
		p.addProblem("must be set both or not at all", "set the missing one", "REDIS_CERT_FILE", "REDIS_KEY_FILE")
		return nil
	}
	cert, certOK := p.file("REDIS_CERT_FILE", s.RedisCertFile)
	key, keyOK := p.file("REDIS_KEY_FILE", s.RedisKeyFile)
	if !certOK || !keyOK {
		return nil
	}
	pair, err := pemfile.KeyPair(cert, key)
	if err != nil {
		p.addError(err, "REDIS_CERT_FILE", "REDIS_KEY_FILE")
		return nil
	}
	return &pair
}
