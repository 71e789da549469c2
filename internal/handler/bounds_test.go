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

func TestAdmission(t *testing.T) {
	t.Parallel()
	isEmpty := func(a *admission) bool {
		select {
		case <-a.empty:
			return true
		default:
			return false
		}
	}
	a := newAdmission(1)
	if err := a.enter(); err != nil {
		t.Errorf("the first: got %v", err)
	}
	if err := a.enter(); !errors.Is(err, errBusy) {
		t.Errorf("the second: got %v, want busy", err)
	}
	a.leave()
	if err := a.enter(); err != nil || isEmpty(a) {
		t.Errorf("after the first has left: got %v, empty %t", err, isEmpty(a))
	}
	a.drain()
	a.drain()
	if err := a.enter(); !errors.Is(err, landing.ErrDraining) || isEmpty(a) {
		t.Errorf("while draining: got %v, empty %t", err, isEmpty(a))
	}
	if a.leave(); !isEmpty(a) {
		t.Error("drained: not empty")
	}
	if a = newAdmission(1); isEmpty(a) {
		t.Error("not draining: empty")
	}
	if a.drain(); !isEmpty(a) {
		t.Error("drained without requests: not empty")
	}
}
