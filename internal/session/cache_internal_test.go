package session

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"koubei-landing/internal/store"
)

// TestHeartbeatsOfOtherReplicasDoNotCount is inside of the package, because the next own heartbeat would hide a fault.
func TestHeartbeatsOfOtherReplicasDoNotCount(t *testing.T) {
	t.Parallel()
	c := newCache(&store.Store{}, time.Hour)
	refused := errors.New("refused")
	c.fail(refused)
	const another = heartbeatPrefix + "another 1"
	c.receive(another)
	if err := c.err(); !errors.Is(err, refused) {
		t.Errorf("no own heartbeat has returned: got %v, want %v", err, refused)
	}
	inAnHour := int64(time.Since(c.began) + time.Hour) // so that the cache stays connected
	c.receive(heartbeatPrefix + c.self + " " + strconv.FormatInt(inAnHour, 10))
	c.receive(another)
	if err := c.err(); err != nil {
		t.Errorf("an own heartbeat has returned: got %v, want connected", err)
	}
}
