package handler

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"koubei-landing/internal/landing"
)

// The clients to remember are bounded, and are forgotten after a minute.
func TestLimitedClientsAreBounded(t *testing.T) {
	t.Parallel()
	var l limitedLog
	now := time.Unix(1, 0)
	for i := range maxLimited {
		if !l.due(strconv.Itoa(i), now) {
			t.Fatalf("client %d: got no line", i)
		}
	}
	if now = now.Add(limitedInterval - 1); l.due("another", now) || l.due("0", now) {
		t.Error("got a line too many")
	}
	if now = now.Add(1); !l.due("another", now) || !l.due("0", now) || len(l.last) != 2 {
		t.Errorf("a minute later: got %d clients, want 2", len(l.last))
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	isEmpty := func(g *gate) bool {
		select {
		case <-g.empty:
			return true
		default:
			return false
		}
	}
	g := newGate(1)
	if err := g.enter(); err != nil {
		t.Errorf("the first: got %v", err)
	}
	if err := g.enter(); !errors.Is(err, errBusy) {
		t.Errorf("the second: got %v, want busy", err)
	}
	g.leave()
	if err := g.enter(); err != nil || isEmpty(g) {
		t.Errorf("after the first has left: got %v, empty %t", err, isEmpty(g))
	}
	g.drain()
	g.drain()
	if err := g.enter(); !errors.Is(err, landing.ErrDraining) || isEmpty(g) {
		t.Errorf("while draining: got %v, empty %t", err, isEmpty(g))
	}
	if g.leave(); !isEmpty(g) {
		t.Error("drained: not empty")
	}
	if g = newGate(1); isEmpty(g) {
		t.Error("not draining: empty")
	}
	if g.drain(); !isEmpty(g) {
		t.Error("drained without requests: not empty")
	}
}
