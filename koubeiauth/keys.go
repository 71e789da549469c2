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

// algorithms are those of the service's keys. All are asymmetric, so an attacker cannot use a public key as an HMAC secret.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA}

const (
	maxJWKS      = 256 << 10
	defaultAge   = 5 * time.Minute // if the response does not say how long it may be cached
	maxAge       = time.Hour       // the longest time for which a response may be cached
	fetchTimeout = 3 * time.Second // if the client has none

	// knownKeyWait is how long a request waits for a refresh although it has the key. A withdrawn key is then refused as
	// soon as it is no longer fresh, unless the service is slow.
	knownKeyWait = 250 * time.Millisecond
)

// keySet is a cache of the service's public keys. It fetches them when they are needed, never more than once at a time.
type keySet struct {
	url      string
	client   *http.Client
	timeout  time.Duration
	interval time.Duration
	maxStale time.Duration
	now      func() time.Time

	mu          sync.Mutex
	byID        map[string]jose.JSONWebKey
	freshUntil  time.Time
	usableUntil time.Time // stale keys are used until then, while they can't be refreshed
	nextFetch   time.Time // no earlier
	lastErr     error     // of the last fetch
	running     *fetch    // nil if there is none
}

// fetch is one request for the keys.
type fetch struct {
	started time.Time
	done    chan struct{} // closed at the end
}

func newKeySet(o VerifierOptions) (*keySet, error) {
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("koubeiauth: JWKSURL is not an address: " + strconv.Quote(o.JWKSURL))
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, errors.New("koubeiauth: JWKSURL is plain http: use https, or set AllowHTTP if the network is trusted")
	}
	client := withoutRedirects(o.Client)
	return &keySet{
		url: o.JWKSURL, client: client, timeout: or(client.Timeout, fetchTimeout), now: o.Now,
		interval: or(o.RefreshInterval, 10*time.Second), maxStale: or(o.MaxStale, time.Hour),
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withoutRedirects returns a copy of a client that follows no redirects, or a new one for nil.
func withoutRedirects(c *http.Client) *http.Client {
	var client http.Client
	if c != nil {
		client = *c
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// find returns the key with an id. If that is not fresh, find starts a fetch, or joins the one that runs, and waits for it:
// briefly for a key that it has, otherwise until ctx ends. It fails with [ErrUnauthenticated] for a key that is not
// published, and with [ErrUnavailable] if it could not get the keys.
func (k *keySet) find(ctx context.Context, id string) (jose.JSONWebKey, error) {
	key, known, running := k.look(id)
	if running == nil && known {
		return key, nil
	}
	if running != nil && known {
		running.waitBriefly(ctx)
	} else if running != nil {
		if err := running.wait(ctx); err != nil {
			return jose.JSONWebKey{}, unavailable(err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, known := k.usable(id); known {
		return key, nil
	}
	if k.lastErr != nil {
		return jose.JSONWebKey{}, unavailable(k.lastErr)
	}
	return jose.JSONWebKey{}, unauthenticated("signed with a key that is not published")
}

// look returns the key if it is usable, and the fetch to wait for, nil if the key is fresh or it is too early to fetch
// again.
func (k *keySet) look(id string) (key jose.JSONWebKey, known bool, running *fetch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known = k.usable(id)
	if known && k.now().Before(k.freshUntil) {
		return key, true, nil
	}
	if k.running == nil && !k.now().Before(k.nextFetch) {
		k.running = &fetch{started: time.Now(), done: make(chan struct{})}
		go k.refresh(k.running)
	}
	return key, known, k.running
}

// usable returns the key with an id, fresh or stale. The caller holds mu.
func (k *keySet) usable(id string) (jose.JSONWebKey, bool) {
	key, ok := k.byID[id]
	return key, ok && k.now().Before(k.usableUntil)
}

// wait returns when the fetch has ended. It fails with ctx's error if ctx ends first.
func (f *fetch) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitBriefly returns when the fetch has ended, but at most knownKeyWait after its start.
func (f *fetch) waitBriefly(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, f.started.Add(knownKeyWait))
	defer cancel()
	_ = f.wait(ctx) // the known key is used in any case
}

// refresh fetches the keys for all waiting requests. It has its own timeout, so it does not end with the request that
// started it.
func (k *keySet) refresh(f *fetch) {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	keys, age, err := k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.lastErr, k.nextFetch = err, now.Add(k.interval)
	if err == nil {
		k.byID, k.freshUntil = keys, now.Add(age)
		k.usableUntil = k.freshUntil.Add(k.maxStale)
	}
	k.running = nil
	close(f.done)
}

// get fetches the keys, and returns how long they stay fresh.
func (k *keySet) get(ctx context.Context) (map[string]jose.JSONWebKey, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s returned %s", k.url, response.Status)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, response.Body, maxJWKS))
	if err != nil {
		return nil, 0, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", k.url, err)
	}
	return keys, age(response.Header), nil
}

// parseKeys returns the keys of a JWK set that may sign assertions. It ignores the others (RFC 7517, section 5).
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
		algorithm := algorithmOf(key)
		if algorithm == "" || key.Algorithm != "" && key.Algorithm != algorithm {
			continue
		}
		key.Algorithm = algorithm
		byID[key.KeyID] = key
	}
	return byID, nil
}

// algorithmOf returns the only algorithm of a key, or an empty text for a key that cannot sign assertions.
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

// age returns how long a response may be cached, minus the time that it has spent in other caches.
func age(h http.Header) time.Duration {
	keep := defaultAge
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
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
