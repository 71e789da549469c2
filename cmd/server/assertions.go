package main

import (
	"net/url"
	"time"

	"koubei-landing/internal/assertion"
)

// assertionSettings are the settings of assertions.
type assertionSettings struct {
	AssertionKeysFile string `help:"PEM file with EC P-256 or Ed25519 private keys. The first one signs assertions, all are published."`
	AssertionAudience string `help:"Audiences, separated by commas. An assertion names the first one, unless the request asks for another with ?audience=. Default: PUBLIC_URL."`
	AssertionTTL      string `name:"assertion-ttl" default:"60s" help:"How long an assertion is valid."`
}

func (s assertionSettings) parse(p *parser, public *url.URL) assertion.Config {
	c := assertion.Config{
		Audiences: p.list("ASSERTION_AUDIENCE", s.AssertionAudience),
		TTL:       p.duration("ASSERTION_TTL", s.AssertionTTL, time.Second, time.Hour),
	}
	if len(c.Audiences) == 0 {
		c.Audiences = []string{public.String()}
	}
	if s.AssertionKeysFile == "" {
		return c
	}
	file, ok := p.file("ASSERTION_KEYS_FILE", s.AssertionKeysFile)
	if !ok {
		return c
	}
	keys, err := assertion.ParseKeys(file)
	if err != nil {
		p.addError(err, "ASSERTION_KEYS_FILE")
	}
	c.Keys = keys
	return c
}
