package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"koubei-landing/internal/handler"
	"koubei-landing/internal/session"
)

// sessionSettings are the settings of sessions and their cookie.
type sessionSettings struct {
	SealKeys              string `kong:"-" secret:"SEAL_KEYS" help:"Base64 32-byte keys, separated by commas. The first one encrypts, all decrypt. Default: derived from the application's private key."`
	SessionLifetime       string `default:"12h" help:"Lifetime of a partner's entry, counted from its own landing; at most 24h."`
	SessionIdleTimeout    string `default:"2h" help:"A session ends this long after its last read; 0 turns this off."`
	SessionCacheTTL       string `name:"session-cache-ttl" default:"0s" help:"How long the process caches a session that it has read. Changes on any replica still take effect within 100 ms, or within 1 s if the connection to Redis fails unnoticed. 0s turns the cache off."`
	SessionCookieName     string `default:"koubei_session" help:"Name of the session cookie. The service adds the prefix __Host- on https, or __Secure- if a domain is set."`
	SessionCookieSamesite string `default:"lax" help:"lax; or none for pages in Koubei's iframe (needs https)."`
	SessionCookieDomain   string `help:"A parent domain of PUBLIC_URL's host, to share the session with its other hosts."`
}

// parse needs PUBLIC_URL for the cookie's attributes. It derives the seal key from the application's private key, which
// may be nil, if SEAL_KEYS is not set.
func (s sessionSettings) parse(p *parser, public *url.URL, private *rsa.PrivateKey) session.Config {
	return session.Config{
		SealKeys: s.sealKeys(p, private),
		Lifetime: p.duration("SESSION_LIFETIME", s.SessionLifetime, time.Second, 24*time.Hour),
		Idle:     p.duration("SESSION_IDLE_TIMEOUT", s.SessionIdleTimeout, 0, 24*time.Hour),
		CacheTTL: p.duration("SESSION_CACHE_TTL", s.SessionCacheTTL, 0, time.Hour),
		Cookie:   s.cookie(p, public),
	}
}

// cookieName is a token of RFC 6265.
var cookieName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")

func (s sessionSettings) cookie(p *parser, public *url.URL) session.CookieOptions {
	o := session.CookieOptions{Name: s.SessionCookieName, Secure: public.Scheme == "https", SameSite: http.SameSiteLaxMode}
	if !cookieName.MatchString(o.Name) || strings.HasPrefix(strings.ToLower(o.Name), "__") {
		p.invalid("SESSION_COOKIE_NAME", o.Name, "use letters, digits and _ (the service adds the prefix)")
	}
	switch strings.ToLower(s.SessionCookieSamesite) {
	case "lax":
	case "none":
		o.SameSite = http.SameSiteNoneMode
		if !o.Secure {
			p.addProblem("conflict: browsers accept SameSite=None over https only", "use an https:// PUBLIC_URL, or SESSION_COOKIE_SAMESITE=lax",
				"SESSION_COOKIE_SAMESITE", "PUBLIC_URL")
		}
	case "strict":
		p.add("SESSION_COOKIE_SAMESITE", "is strict: browsers would not send the cookie after the cross-site landing", "use lax or none")
	default:
		p.invalid("SESSION_COOKIE_SAMESITE", s.SessionCookieSamesite, "use lax or none")
	}
	o.Domain = s.cookieDomain(p, public.Hostname())
	return o
}

// cookieDomain returns SESSION_COOKIE_DOMAIN as browsers compare it.
func (s sessionSettings) cookieDomain(p *parser, host string) string {
	if s.SessionCookieDomain == "" || p.fullWidth("SESSION_COOKIE_DOMAIN", s.SessionCookieDomain) {
		return ""
	}
	d, err := handler.ASCIIHost(strings.TrimPrefix(s.SessionCookieDomain, "."))
	switch {
	case err != nil || !strings.Contains(d, "."):
		p.invalid("SESSION_COOKIE_DOMAIN", s.SessionCookieDomain, "use a parent domain of PUBLIC_URL's host, such as isv.example")
	case net.ParseIP(host) != nil || host != d && !strings.HasSuffix(host, "."+d):
		p.addProblem("conflict: the domain is not the URL's host or a parent of it", "use a parent domain of PUBLIC_URL's host",
			"SESSION_COOKIE_DOMAIN", "PUBLIC_URL")
	}
	return d
}

// sealKeys returns the keys of SEAL_KEYS, or the key derived from the application's private key.
func (s sessionSettings) sealKeys(p *parser, private *rsa.PrivateKey) [][]byte {
	if s.SealKeys == "" {
		if private == nil {
			return nil // already a problem
		}
		key, err := session.DeriveSealKey(x509.MarshalPKCS1PrivateKey(private))
		if err != nil {
			p.add("SEAL_KEYS", fmt.Sprintf("can't be derived: %v", err), "set it")
		}
		return [][]byte{key}
	}
	var keys [][]byte
	items := p.list("SEAL_KEYS", s.SealKeys)
	for i, item := range items {
		key, err := base64.StdEncoding.DecodeString(item)
		if err != nil || len(key) != session.SealKeySize {
			p.add("SEAL_KEYS", fmt.Sprintf("has a key, number %d, that is not base64 of %d bytes", i+1, session.SealKeySize), "make one by: openssl rand -base64 32")
			continue
		}
		keys = append(keys, key)
	}
	if len(items) == 0 {
		p.add("SEAL_KEYS", "holds no key", "make one by: openssl rand -base64 32")
	}
	return keys
}
