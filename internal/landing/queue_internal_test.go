package landing

import "testing"

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
	if q.held["192.0.2.1"] != 1 || q.perCode["code"] != 1 {
		t.Errorf("one is left: got %v slots, %v waiting", q.held, q.perCode)
	}
	ends[2]()
	ends[3]()
	if len(q.held)+len(q.perCode)+q.waiting > 0 || q.free != 4 {
		t.Errorf("nobody is left: got %v slots, %v waiting, %d in all, %d free", q.held, q.perCode, q.waiting, q.free)
	}
}
