package koubeiauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those of the service's keys. None of them can be verified with a secret, so a public key can't be
// mistaken for one.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA}

const (
	maxJWKS    = 256 << 10
	defaultAge = 5 * time.Minute // where the answer doesn't say for how long it is good
	maxAge     = time.Hour       // a key that was withdrawn is to be gone by then
)

// keys are the service's public keys, fetched when they are needed and kept for as long as the service allows.
type keys struct {
	url      string
	client   *http.Client
	interval time.Duration
	maxStale time.Duration
	now      func() time.Time

	mu     sync.Mutex
	byID   map[string]jose.JSONWebKey
	fresh  time.Time // until when they are good
	stale  time.Time // until when they are better than none
	next   time.Time // when to look again at the earliest
	failed error     // of the last look
	flight chan struct{}
}

func newKeys(o VerifierOptions) (*keys, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("koubeiauth: JWKSURL is not an address: " + strconv.Quote(o.JWKSURL))
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, errors.New("koubeiauth: JWKSURL is plain http: use https, or set AllowHTTP where the network is trusted")
	}
	return &keys{
		url: o.JWKSURL, client: unredirected(o.Client, 3*time.Second), now: o.Now,
		interval: or(o.RefreshInterval, 10*time.Second), maxStale: or(o.MaxStale, time.Hour),
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unredirected is a client, or one of our own, that stays where it was sent.
func unredirected(c *http.Client, timeout time.Duration) *http.Client {
	own := http.Client{Timeout: timeout}
	if c != nil {
		own = *c
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// find returns the key of a name. Whoever needs to look again shares one request with all who need it at that time, and
// leaves it to the others when ctx ends.
func (k *keys) find(ctx context.Context, id string) (jose.JSONWebKey, error) {
	flight := k.refresh(id)
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return jose.JSONWebKey{}, unavailable(ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.byID[id]; ok && k.now().Before(k.stale) {
		return key, nil
	}
	if k.failed != nil {
		return jose.JSONWebKey{}, unavailable(k.failed)
	}
	return jose.JSONWebKey{}, unauthenticated("signed with a key that is not published")
}

// refresh returns what to wait for before the key of this name is looked up: nil when it is known and fresh, or when it
// is too early to look again.
func (k *keys) refresh(id string) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if _, known := k.byID[id]; known && now.Before(k.fresh) {
		return nil
	}
	if k.flight == nil && !now.Before(k.next) {
		k.flight = make(chan struct{})
		go k.fly()
	}
	return k.flight
}

// fly looks once, for everybody who waits: so it doesn't end with the request that began it, but by the client's
// time-out.
func (k *keys) fly() {
	set, age, err := k.fetch()
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.failed, k.next = err, now.Add(k.interval)
	if err == nil {
		k.byID, k.fresh = set, now.Add(age)
		k.stale = k.fresh.Add(k.maxStale)
	}
	close(k.flight)
	k.flight = nil
}

func (k *keys) fetch() (map[string]jose.JSONWebKey, time.Duration, error) {
	answer, err := k.client.Get(k.url)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s answers %s", k.url, answer.Status)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, answer.Body, maxJWKS))
	if err != nil {
		return nil, 0, err
	}
	set, err := parseKeys(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", k.url, err)
	}
	return set, age(answer.Header), nil
}

// parseKeys returns the keys of a JWK set that assertions may be signed with. What else is in it is for others (RFC
// 7517, section 5).
func parseKeys(body []byte) (map[string]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return nil, errors.New("not a JWK set")
	}
	byID := map[string]jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) != nil || key.KeyID == "" || key.Use != "" && key.Use != "sig" || !key.Valid() {
			continue
		}
		own := algorithmOf(key)
		if own == "" || key.Algorithm != "" && key.Algorithm != own {
			continue
		}
		key.Algorithm = own
		byID[key.KeyID] = key
	}
	return byID, nil
}

// algorithmOf is the one algorithm that a key signs by; empty for a key that isn't for assertions.
func algorithmOf(key jose.JSONWebKey) string {
	switch k := key.Key.(type) {
	case ed25519.PublicKey:
		return string(jose.EdDSA)
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return string(jose.ES256)
		}
	}
	return ""
}

// age is for how long an answer may be kept, less the time that it has been in other caches.
func age(h http.Header) time.Duration {
	keep := defaultAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
				keep = time.Duration(min(seconds, int(maxAge/time.Second))) * time.Second
			}
		}
	}
	if spent, err := strconv.Atoi(h.Get("Age")); err == nil && spent > 0 {
		keep -= time.Duration(min(spent, int(maxAge/time.Second))) * time.Second
	}
	return max(keep, 0)
}
