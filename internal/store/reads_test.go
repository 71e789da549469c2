package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Reads at the same moment share connections, and each gets its own reply.
func TestReadsAtTheSameMomentAreBatched(t *testing.T) {
	t.Parallel()
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
			t.Errorf("an error reply among others: got %q, %v, want unavailable", got, err)
		}
	})
	asking.Wait()
	r.Thaw()
	answered.Wait()
	clients := strings.Count(r.Client.ClientList(t.Context()).Val(), "\n")
	if clients > 30 { // the test's own among them
		t.Errorf("got %d connections for %d reads at once, want a few", clients, many+2)
	}
}

// A read ends with its own request and with the store's timeout, whichever batch it is in.
func TestNoReadOutlastsItsRequest(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	for name, c := range map[string]struct {
		store *store.Store
		ctx   func() (context.Context, context.CancelFunc)
	}{
		"deadline": {patient(t, r), func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Millisecond)
		}},
		"timeout": {open(t, r, 0), func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }},
	} {
		r.Freeze()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				ctx, cancel := c.ctx()
				defer cancel()
				began := time.Now()
				_, err := c.store.Get(ctx, "k")
				if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 5*time.Second {
					t.Errorf("%s: got %v after %s, want unavailable at once", name, err, took)
				}
			})
		}
		all.Wait()
		r.Thaw()
		testworld.Eventually(t, 10*time.Second, "later reads have a reply", func() error {
			_, err := c.store.Get(t.Context(), "k")
			return err
		})
	}
}

// A canceled request leaves its batch at once, and the batch's other reads get their replies.
func TestACanceledReadLeavesItsBatch(t *testing.T) {
	t.Parallel()
	r := testworld.StartRedis(t)
	if err := r.Client.Set(t.Context(), "k", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := patient(t, r)
	r.Freeze()
	ctx, cancel := context.WithCancel(t.Context())
	var canceled, others sync.WaitGroup
	left := make(chan error, 50)
	for range 50 {
		canceled.Go(func() {
			got, err := s.Get(ctx, "k")
			if err == nil && string(got) != "value" {
				t.Errorf("canceled: got %q without an error", got)
			}
			left <- err
		})
		others.Go(func() {
			if got, err := s.Get(t.Context(), "k"); err != nil || string(got) != "value" {
				t.Errorf("got %q, %v, want the value", got, err)
			}
		})
	}
	testworld.Eventually(t, 10*time.Second, "a canceled read leaves while Redis is frozen", func() error {
		cancel()
		select {
		case err := <-left:
			if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("got %v, want unavailable because of the cancellation", err)
			}
			return nil
		default:
			return errors.New("all wait")
		}
	})
	r.Thaw()
	canceled.Wait()
	others.Wait()
}

// TestBatchesAreBounded: so many reads at once do not all wait for one batch.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	h := &trips{}
	s := openNoting(t, testworld.StartRedis(t), h)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			<-start
			if _, err := s.Get(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if most := slices.Max(h.sizes); most < 10 || most > 64 {
		t.Errorf("got a batch of %d reads, want up to 64", most)
	}
}

// TestFewReadsAreSentAlone: each of four reads at once ends with its own request.
func TestFewReadsAreSentAlone(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	h := &trips{hold: func(ctx context.Context) error {
		arrived <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	s := openNoting(t, testworld.StartRedis(t), h)
	var all sync.WaitGroup
	read := func(ctx context.Context) chan error {
		replied := make(chan error, 1)
		all.Go(func() { _, err := s.Get(ctx, "k"); replied <- err })
		<-arrived
		return replied
	}
	for range 2 { // earlier reads do not count
		ctx, cancel := context.WithCancel(t.Context())
		var replies []chan error
		for range 4 {
			replies = append(replies, read(ctx))
		}
		cancel()
		for _, replied := range replies {
			select {
			case err := <-replied:
				if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got %v, want unavailable because of the cancellation", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("a canceled read waits for its batch")
			}
		}
	}
	all.Wait()
}
