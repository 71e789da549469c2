package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/alipay"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Cure   string `json:"cure,omitempty"`
}

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
)

// maxSkew is how far our clock may be from the gateway's: its tolerance is not documented.
const maxSkew = 2 * time.Minute

// minRedis is the oldest Redis that has what we use.
const minRedis = "6.2"

// Check tries what the service will need: the keys, the gateway with a code that can't exist, the clock, and Redis. It
// changes nothing. It fails when the service can't be put together at all.
func Check(ctx context.Context, c Config) ([]Finding, error) {
	s, err := build(c)
	if err != nil {
		return nil, err
	}
	defer s.redis.Close()
	found := checkKeys(c, s.gateway)
	found = append(found, checkGateway(ctx, s.gateway)...)
	return append(found, checkRedis(ctx, c, s.redis)...), nil
}

func checkKeys(c Config, gateway *alipay.Client) []Finding {
	mode := fmt.Sprintf("public-key mode; Alipay's key has %d bits", bits(c.Alipay))
	if c.Alipay.Certificates != nil {
		mode = "certificate mode"
	}
	found := []Finding{{"keys", OK, fmt.Sprintf("%s; the application's key has %d bits", mode, c.Alipay.PrivateKey.N.BitLen()), ""}}
	for _, w := range gateway.Warnings() {
		found = append(found, Finding{"keys", Warning, w, ""})
	}
	return found
}

func bits(c alipay.Config) int {
	if c.PublicKey == nil {
		return 0
	}
	return c.PublicKey.N.BitLen()
}

// checkGateway asks about a code that can't exist. That the gateway says so proves keys, application and network.
func checkGateway(ctx context.Context, gateway *alipay.Client) []Finding {
	probe, err := gateway.Probe(ctx)
	known := Finding{"gateway", OK, "knows the application and its signature", ""}
	var e *alipay.Error
	if !errors.Is(err, alipay.ErrCodeNotExist) && !errors.Is(err, alipay.ErrInvalidParameter) && errors.As(err, &e) {
		known = Finding{"gateway", Failure, err.Error(), e.Advice()}
	}
	if probe.Date.IsZero() {
		return []Finding{known, {"clock", Warning, "the gateway sent no Date to compare with", ""}}
	}
	clock := Finding{"clock", OK, fmt.Sprintf("%s from the gateway's", probe.Skew.Round(time.Second)), ""}
	if probe.Skew.Abs() > maxSkew {
		clock.Level, clock.Cure = Failure, "set this machine's clock, by NTP"
	}
	return []Finding{known, clock}
}

func checkRedis(ctx context.Context, c Config, rdb redis.UniversalClient) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 10*c.Redis.Timeout)
	defer cancel()
	info, err := rdb.InfoMap(ctx, "server", "memory").Result()
	if err != nil {
		return []Finding{{"redis", Failure, err.Error(), "see that REDIS_URL and REDIS_MODE are right and Redis runs"}}
	}
	version := info["Server"]["redis_version"]
	found := Finding{"redis", OK, "version " + version, ""}
	if older(version, minRedis) {
		found.Level, found.Cure = Failure, "use Redis "+minRedis+" or newer"
	}
	policy := Finding{"redis memory", OK, "maxmemory-policy noeviction", ""}
	if got := info["Memory"]["maxmemory_policy"]; got != "noeviction" {
		policy = Finding{"redis memory", Warning, "maxmemory-policy is " + got, "set maxmemory-policy noeviction: an evicted session is a person signed out, an evicted code could be claimed twice"}
	}
	return []Finding{found, policy}
}

// older reports whether a version is below another, by their first two numbers.
func older(version, than string) bool {
	var major, minor, wantMajor, wantMinor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return !strings.Contains(version, ".")
	}
	if _, err := fmt.Sscanf(than, "%d.%d", &wantMajor, &wantMinor); err != nil {
		return false
	}
	return major < wantMajor || major == wantMajor && minor < wantMinor
}
