package chaos_test

import (
	"math/rand/v2"
	"time"
)

// trouble disturbs Redis and the replicas until enough is closed.
func (w *world) trouble(enough <-chan struct{}) {
	dice := w.random(forTrouble)
	for {
		select {
		case <-enough:
			return
		case <-time.After(between(dice, 100*time.Millisecond, 900*time.Millisecond)):
		}
		r := w.replicas[dice.IntN(len(w.replicas))]
		switch dice.IntN(7) {
		case 0:
			w.killRedis(dice, enough)
		case 1:
			thaw := w.freeze(dice, enough)
			wait(enough, between(dice, 0, 1200*time.Millisecond))
			thaw()
		case 2, 3:
			w.killReplica(r, dice, enough)
		case 4:
			w.roll(r, func() {})
		case 5: // both at the same time
			thaw := w.freeze(dice, enough)
			w.killReplica(r, dice, enough)
			thaw()
		case 6:
			thaw := w.freeze(dice, enough)
			w.roll(r, func() {
				wait(enough, between(dice, 0, 800*time.Millisecond))
				thaw()
			})
		}
	}
}

func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)))
}

func (w *world) killRedis(dice *rand.Rand, enough <-chan struct{}) {
	w.outages.open(time.Now())
	w.redis.Kill()
	wait(enough, between(dice, 0, 1200*time.Millisecond))
	w.redis.Start()
	w.outages.close(time.Now())
	w.tally.add(&w.tally.redisKills)
}

// freeze freezes Redis, sometimes so briefly that no request fails, and returns a function that ends the freeze.
func (w *world) freeze(dice *rand.Rand, enough <-chan struct{}) (thaw func()) {
	w.outages.open(time.Now())
	w.redis.Freeze()
	w.tally.add(&w.tally.redisFreezes)
	wait(enough, between(dice, 50*time.Millisecond, 700*time.Millisecond))
	return func() {
		w.redis.Thaw()
		w.outages.close(time.Now())
	}
}

func (w *world) killReplica(r *replica, dice *rand.Rand, enough <-chan struct{}) {
	r.kill()
	wait(enough, between(dice, 0, 800*time.Millisecond))
	r.Start()
	r.kills.close(time.Now())
}

// wait waits for d, or until enough is closed.
func wait(enough <-chan struct{}, d time.Duration) {
	select {
	case <-enough:
	case <-time.After(d):
	}
}

// calm ends the gateway's faults and waits until all replicas are ready.
func (w *world) calm() {
	w.t.Helper()
	w.koubei.ClearFaults()
	for _, r := range w.replicas {
		r.AwaitReady()
	}
}
