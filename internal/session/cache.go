package session

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

const (
	// maxCached bounds the sessions kept in the process: about a kilobyte each.
	maxCached = 32768

	// beat is how often a replica tells itself, through Redis, that it hears what is announced.
	beat = 200 * time.Millisecond

	// deaf is how long nothing may have been heard before nothing is served from memory: the longest that a channel can
	// be cut without anybody noticing.
	deaf = time.Second
)

// cache keeps sessions that were read in the process, for a short while. Each change of a session is announced on a
// channel, by the very script that makes it, and whoever hears it forgets the session.
//
// What can't be heard can't be forgotten, so the cache proves all the time that it hears: it sends beats the way that
// announcements go, and serves only while its own come back. A new subscription starts from nothing, since what was
// announced meanwhile is lost.
//
// go-redis has server-assisted client-side caching too; it is for a single server only.
type cache struct {
	store   *store.Store
	channel string
	ttl     time.Duration
	self    string // tells this process's beats from others'
	began   time.Time

	kept *lru.Cache[string, kept]

	// heard is when the last beat that came back was sent, in nanoseconds since began; 0 while deaf.
	heard atomic.Int64

	// changes count what was forgotten, by the first byte of the hash: a read that began before is not kept.
	changes [256]atomic.Uint64
}

type kept struct {
	session Session
	since   time.Time
}

func newCache(s *store.Store, ttl time.Duration) (*cache, error) {
	sessions, err := lru.New[string, kept](maxCached)
	if err != nil {
		return nil, err
	}
	return &cache{store: s, channel: s.Key("changes", "sessions"), ttl: ttl, self: rand.Text(), began: time.Now(), kept: sessions}, nil
}

// get returns a session from memory, while what is in memory can be trusted.
func (c *cache) get(hash string) (Session, bool) {
	if c == nil || !c.hears() {
		return Session{}, false
	}
	k, ok := c.kept.Get(hash)
	if !ok || time.Since(k.since) >= c.ttl {
		return Session{}, false
	}
	return k.session, true
}

func (c *cache) hears() bool {
	heard := c.heard.Load()
	return heard != 0 && time.Since(c.began)-time.Duration(heard) < deaf
}

// reading is to be called before a session is read, to say with keep which changes the read may have missed.
func (c *cache) reading(hash string) uint64 {
	if c == nil {
		return 0
	}
	return c.stripe(hash).Load()
}

func (c *cache) stripe(hash string) *atomic.Uint64 {
	if hash == "" {
		return &c.changes[0]
	}
	return &c.changes[hash[0]]
}

// keep keeps what was read, unless something was announced since.
func (c *cache) keep(s Session, before uint64) {
	if c == nil || c.stripe(s.hash).Load() != before {
		return
	}
	c.kept.Add(s.hash, kept{s, time.Now()})
	if c.stripe(s.hash).Load() != before {
		c.kept.Remove(s.hash)
	}
}

// forget drops a session, and reads of it that are under way.
func (c *cache) forget(hash string) {
	if c == nil {
		return
	}
	c.stripe(hash).Add(1)
	c.kept.Remove(hash)
}

// forgetAll is for when announcements may have been missed.
func (c *cache) forgetAll() {
	c.heard.Store(0)
	for i := range c.changes {
		c.changes[i].Add(1)
	}
	c.kept.Purge()
}

// announcement returns where and what the scripts announce; no channel without a cache.
func (c *cache) announcement(hash string) store.Announcement {
	if c == nil {
		return store.Announcement{}
	}
	return store.Announcement{Channel: c.channel, Message: hash}
}

// watch hears what is announced until ctx ends.
func (c *cache) watch(ctx context.Context) {
	go c.beats(ctx)
	for ctx.Err() == nil {
		c.listen(ctx)
		c.forgetAll()
		select {
		case <-ctx.Done():
		case <-time.After(beat):
		}
	}
}

// listen hears announcements until the channel is cut, or silent for so long that it must be.
func (c *cache) listen(ctx context.Context) {
	channel := c.store.Subscribe(ctx, c.channel)
	defer channel.Close()
	for {
		heard, err := channel.ReceiveTimeout(ctx, deaf)
		if err != nil {
			return
		}
		switch m := heard.(type) {
		case *redis.Subscription:
			c.forgetAll()
		case *redis.Message:
			c.hear(m.Payload)
		}
	}
}

// beatMark begins a beat; no hash does.
const beatMark = "beat "

func (c *cache) hear(message string) {
	text, ok := strings.CutPrefix(message, beatMark+c.self+" ")
	if !ok {
		if !strings.HasPrefix(message, beatMark) {
			c.forget(message)
		}
		return
	}
	if sent, err := strconv.ParseInt(text, 10, 64); err == nil {
		c.heard.Store(sent)
	}
}

// beats sends beats until ctx ends. One that can't be sent is a beat that doesn't come back.
func (c *cache) beats(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		sent := strconv.FormatInt(int64(time.Since(c.began)), 10)
		_ = c.store.Do(ctx, redis.NewIntCmd(ctx, "publish", c.channel, beatMark+c.self+" "+sent))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
