package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"syscall"
	"time"
)

// Bare is what no exchange can avoid: an RSA-2048 signature made and one verified.
type Bare struct {
	own, theirs *rsa.PrivateKey
	sum, sig    []byte
}

// NewBare makes its keys.
func NewBare() (*Bare, error) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	theirs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("an answer of the gateway's"))
	sig, err := rsa.SignPKCS1v15(nil, theirs, crypto.SHA256, sum[:])
	return &Bare{own, theirs, sum[:], sig}, err
}

func (b *Bare) once() error {
	if _, err := rsa.SignPKCS1v15(nil, b.own, crypto.SHA256, b.sum); err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(&b.theirs.PublicKey, crypto.SHA256, b.sum, b.sig)
}

// cpu returns the CPU time of one, over n.
func (b *Bare) cpu(n int) (time.Duration, error) {
	before, err := ownCPU()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := b.once(); err != nil {
			return 0, err
		}
	}
	after, err := ownCPU()
	return (after - before) / time.Duration(n), err
}

func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// LandingMatch is the landing, everything included, against the bare signatures: by CPU.
func (r *Rig) LandingMatch() *Match {
	return &Match{Path: r.landing(), Limit: Target{Name: "bare RSA sign + verify"}, CPU: atMost(1.35)}
}

// PlayLanding plays one round of it: so many landings, 32 at a time, between two halves of as many signatures.
func (m *Match) PlayLanding(ctx context.Context, bare *Bare, landings int) error {
	before, err := bare.cpu(landings / 2)
	if err != nil {
		return err
	}
	path, err := measure(ctx, m.Path, func(ctx context.Context, t Target, _ time.Duration) (int, time.Duration, error) {
		d, err := Drive(ctx, t, Load{Conns: 32, Requests: landings})
		return d.Requests, d.Took, err
	}, 0)
	if err != nil {
		return err
	}
	after, err := bare.cpu(landings / 2)
	if err != nil {
		return err
	}
	m.add(path, Sample{CPU: (before + after) / 2})
	return nil
}

// Latency returns what a landing takes alone on the machine, and what the gateway's answer takes of that: medians.
func (r *Rig) Latency(ctx context.Context, landings int) (landing, gateway time.Duration, err error) {
	one := Load{Conns: 1, Requests: landings}
	landed, err := Drive(ctx, r.landing(), one)
	if err != nil {
		return 0, 0, fmt.Errorf("landing: %w", err)
	}
	answered, err := Drive(ctx, Target{Name: "the gateway", Addr: r.gatewayAt, URI: "/gateway.do", Status: 200}, one)
	return landed.P50(), answered.P50(), err
}
