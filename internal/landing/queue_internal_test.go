package landing

import (
	"context"
	"runtime"
	"testing"
)

// TestTheQueueForgetsWhoHasLeft: otherwise it would grow with every client and code. Nothing outside of the package shows it.
func TestTheQueueForgetsWhoHasLeft(t *testing.T) {
	t.Parallel()
	q := newQueue(4)
	var ends []func()
	for range 2 {
		leave, ok := q.tryEnter("192.0.2.1")
		stop, err := q.wait("code")
		if !ok || err != nil {
			t.Fatalf("got %t, %v", ok, err)
		}
		ends = append(ends, leave, stop)
	}
	ends[0]()
	ends[1]()
	if q.taken["192.0.2.1"] != 1 || q.perCode["code"] != 1 {
		t.Errorf("one is left: got %v slots, %v waiting", q.taken, q.perCode)
	}
	ends[2]()
	ends[3]()
	if len(q.taken)+len(q.perCode)+q.waiting > 0 || q.free != 4 {
		t.Errorf("nobody is left: got %v slots, %v waiting, %d in all, %d free", q.taken, q.perCode, q.waiting, q.free)
	}
}

// TestASlotThatIsFreeAgain: it becomes free between the two attempts of a landing.
func TestASlotThatIsFreeAgain(t *testing.T) {
	t.Parallel()
	q := newQueue(1)
	leave, err := q.enter(t.Context(), "192.0.2.1")
	if err != nil || q.free != 0 {
		t.Fatalf("got %v, %d free, want the only slot", err, q.free)
	}
	leave()
	if q.free != 1 {
		t.Errorf("got %d free, want 1", q.free)
	}
}

// TestTheQueueForgetsWhoWaited: otherwise it would grow with every client that waited.
func TestTheQueueForgetsWhoWaited(t *testing.T) {
	t.Parallel()
	q := newQueue(1)
	leave, _ := q.tryEnter("192.0.2.1")
	first, second := q.enqueue("192.0.2.2"), q.enqueue("192.0.2.2")
	for waiting, turn := range []chan struct{}{second, first} {
		if !q.dequeue("192.0.2.2", turn) || len(q.waiters["192.0.2.2"]) != 1-waiting || len(q.waiters) != 1-waiting || len(q.clients) != 1-waiting {
			t.Errorf("got %v of %v waiting, want %d", q.waiters, q.clients, 1-waiting)
		}
	}
	q.enqueue("192.0.2.2")
	leave()
	if len(q.waiters)+len(q.clients) > 0 || q.taken["192.0.2.2"] != 1 {
		t.Errorf("got %v of %v waiting and %v slots, want one slot", q.waiters, q.clients, q.taken)
	}
}

// TestNoSlotIsLostWhenAWaitEnds: a landing stops waiting at the moment when it gets a slot.
func TestNoSlotIsLostWhenAWaitEnds(t *testing.T) {
	t.Parallel()
	q := newQueue(1)
	for range 2000 {
		busy, ok := q.tryEnter("192.0.2.1")
		if !ok || q.free != 0 {
			t.Fatalf("got %t, %d free, want the only slot", ok, q.free)
		}
		ctx, stop := context.WithCancel(t.Context())
		entered := make(chan func(), 1)
		go func() {
			leave, err := q.enter(ctx, "192.0.2.2")
			if err != nil {
				leave = func() {}
			}
			entered <- leave
		}()
		for waits := false; !waits; runtime.Gosched() {
			q.mu.Lock()
			waits = len(q.clients) > 0
			q.mu.Unlock()
		}
		stop()
		busy() // usually before the landing has left the line
		(<-entered)()
	}
	if q.free != 1 || q.waiting != 0 {
		t.Errorf("got %d free, %d waiting", q.free, q.waiting)
	}
}

// TestAClientInLineGetsItsShare: slots from the line count like others.
func TestAClientInLineGetsItsShare(t *testing.T) {
	t.Parallel()
	q := newQueue(4)
	var leave []func()
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		l, _ := q.tryEnter(client)
		leave = append(leave, l)
	}
	for range 4 {
		q.enqueue("192.0.2.66")
	}
	for _, l := range leave {
		l()
	}
	if q.taken["192.0.2.66"] != 3 || q.free != 1 || len(q.waiters["192.0.2.66"]) != 1 {
		t.Errorf("got %d slots, %d free, %d waiting, want three quarters of four", q.taken["192.0.2.66"], q.free, len(q.waiters["192.0.2.66"]))
	}
}
