package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
)

// patient is a store that waits for a Redis that the test has frozen.
func patient(t *testing.T, r *testworld.Redis) *store.Store {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Addr(), ContextTimeoutEnabled: true, PoolSize: 200})
	t.Cleanup(func() { client.Close() })
	return store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 20 * time.Second})
}

// Questions that are asked at once share connections, and each gets its own answer.
func TestQuestionsAtOnceGoTogether(t *testing.T) {
	const many = 100
	r := testworld.StartRedis(t)
	for i := range many {
		if err := r.Client.Set(t.Context(), fmt.Sprint("key", i), fmt.Sprint("value", i), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Client.LPush(t.Context(), "list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	s := patient(t, r)
	r.Freeze()
	var asking, answered sync.WaitGroup
	asking.Add(many + 2)
	for i := range many {
		answered.Go(func() {
			asking.Done()
			got, err := s.Get(t.Context(), fmt.Sprint("key", i))
			if want := fmt.Sprint("value", i); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	answered.Go(func() {
		asking.Done()
		if got, err := s.Get(t.Context(), "nothing"); got != nil || err != nil {
			t.Errorf("an absent key among others: got %q, %v, want nothing", got, err)
		}
	})
	answered.Go(func() {
		asking.Done()
		if got, err := s.Get(t.Context(), "list"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("an error of Redis's own, among others: got %q, %v, want unavailable", got, err)
		}
	})
	asking.Wait()
	r.Thaw()
	answered.Wait()
	clients := strings.Count(r.Client.ClientList(t.Context()).Val(), "\n")
	if clients > 10 { // the test's own among them
		t.Errorf("got %d connections for %d questions at once, want a few", clients, many+2)
	}
}

// Who waits for others' questions to be answered leaves when its own request ends, and when its own time is over.
func TestNobodyWaitsLongerThanAlone(t *testing.T) {
	r := testworld.StartRedis(t)
	for name, leave := range map[string]struct {
		store *store.Store
		ctx   func() (context.Context, context.CancelFunc)
		cause error
	}{
		"its request ends": {patient(t, r), func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Millisecond)
		}, context.DeadlineExceeded},
		"its time is over": {open(t, r, 0), func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }, store.ErrUnavailable},
	} {
		r.Freeze()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				ctx, cancel := leave.ctx()
				defer cancel()
				begun := time.Now()
				_, err := leave.store.Get(ctx, "k")
				if took := time.Since(begun); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, leave.cause) || took > 2*time.Second {
					t.Errorf("%s: got %v after %s, want unavailable at once", name, err, took)
				}
			})
		}
		all.Wait()
		r.Thaw()
		testworld.Eventually(t, 10*time.Second, "those who come later are answered", func() error {
			_, err := leave.store.Get(t.Context(), "k")
			return err
		})
	}
}
