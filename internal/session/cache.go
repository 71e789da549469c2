package session

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

const (
	// maxCached bounds the sessions kept in the process, by the bytes of their records.
	maxCached = 10 << 20

	// heartbeatInterval is how often a replica sends itself a heartbeat through Redis.
	heartbeatInterval = 200 * time.Millisecond

	// maxSilence: after this long without a heartbeat, the cache serves nothing. It bounds the time for which the channel
	// can be disconnected without the cache noticing.
	maxSilence = time.Second
)

// cache keeps sessions in the process for a short time after a read. The script that changes a session also announces the
// change on a channel, and every replica then drops the session.
//
// A replica that receives no announcements would serve stale sessions. So the cache sends heartbeats on the same channel,
// and serves sessions only while its own heartbeats return. A new subscription starts with an empty cache, because
// announcements may have been lost.
//
// go-redis also supports server-assisted client-side caching, but only for a single server.
type cache struct {
	store   *store.Store
	channel string
	ttl     time.Duration
	self    string // distinguishes the heartbeats of this process
	began   time.Time
	failure atomic.Pointer[error] // why the channel does not work; nil if it does

	// keeping is locked while a session is kept or dropped, so that no session is kept after its change.
	keeping sync.Mutex
	kept    *bounded[kept]

	// lastHeartbeat is when the last heartbeat that returned was sent, in nanoseconds since began; 0 while disconnected.
	lastHeartbeat atomic.Int64

	// changes counts the dropped sessions, by the first byte of the hash. The cache does not keep a read that started
	// before a change.
	changes [256]atomic.Uint64
}

type kept struct {
	session Session
	until   time.Time
}

// Channel returns the channel that carries the changes which the caches of all replicas must know.
func Channel(s *store.Store) string { return s.Key("changes", "sessions") }

func newCache(s *store.Store, ttl time.Duration) *cache {
	return &cache{
		store: s, channel: Channel(s), ttl: ttl, self: rand.Text(), began: time.Now(),
		kept: newBounded[kept](maxCached),
	}
}

// get returns a session from the cache. It returns one without entries if the cache has none or cannot be trusted now.
func (c *cache) get(hash string) Session {
	if c == nil || !c.connected() {
		return Session{}
	}
	k, _ := c.kept.get(hash)
	if !time.Now().Before(k.until) {
		return Session{}
	}
	return k.session
}

func (c *cache) connected() bool {
	lastHeartbeat := c.lastHeartbeat.Load()
	return lastHeartbeat != 0 && time.Now().Before(c.began.Add(time.Duration(lastHeartbeat)+maxSilence))
}

// reading returns the current count of changes for a session. Call it before the read, and pass the result to keep.
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

// keep caches a session that was read, unless the session may have changed since. before is the result of reading.
func (c *cache) keep(s Session, bytes int, before uint64) {
	if c == nil {
		return
	}
	c.keeping.Lock()
	defer c.keeping.Unlock()
	if c.stripe(s.hash).Load() == before {
		c.kept.add(s.hash, kept{s, time.Now().Add(c.ttl)}, bytes)
	}
}

// drop drops a session, and invalidates reads of it that are in progress.
func (c *cache) drop(hash string) {
	if c == nil {
		return
	}
	c.keeping.Lock()
	defer c.keeping.Unlock()
	c.stripe(hash).Add(1)
	c.kept.remove(hash)
}

// dropAll drops all sessions, because announcements may have been missed.
func (c *cache) dropAll() {
	c.lastHeartbeat.Store(0)
	c.keeping.Lock()
	defer c.keeping.Unlock()
	for i := range c.changes {
		c.changes[i].Add(1)
	}
	c.kept.purge()
}

// announcement returns the message that the scripts publish. It is the zero value without a cache.
func (c *cache) announcement(hash string) store.Announcement {
	if c == nil {
		return store.Announcement{}
	}
	return store.Announcement{Channel: c.channel, Message: hash}
}

// watch receives announcements until ctx ends.
func (c *cache) watch(ctx context.Context) {
	go c.sendHeartbeats(ctx)
	for ctx.Err() == nil {
		c.listen(ctx)
		c.dropAll()
		select {
		case <-ctx.Done():
		case <-time.After(heartbeatInterval):
		}
	}
}

// listen receives announcements until the channel is disconnected, or silent for longer than maxSilence.
func (c *cache) listen(ctx context.Context) {
	channel := c.store.Subscribe(ctx, c.channel)
	defer channel.Close()
	for {
		received, err := channel.ReceiveTimeout(ctx, maxSilence)
		if err != nil {
			c.fail(err)
			return
		}
		switch m := received.(type) {
		case *redis.Subscription:
			c.dropAll()
		case *redis.Message:
			c.receive(m.Payload)
		}
	}
}

// heartbeatPrefix is the prefix of heartbeats. No hash starts with it.
const heartbeatPrefix = "heartbeat "

func (c *cache) receive(message string) {
	if !strings.HasPrefix(message, heartbeatPrefix) {
		c.drop(message)
		return
	}
	// TrimPrefix does not change another process's heartbeat, so ParseInt fails.
	if sent, err := strconv.ParseInt(strings.TrimPrefix(message, heartbeatPrefix+c.self+" "), 10, 64); err == nil {
		c.lastHeartbeat.Store(sent)
		c.failure.Store(nil)
	}
}

// sendHeartbeats sends heartbeats until ctx ends. A heartbeat that cannot be sent does not return.
func (c *cache) sendHeartbeats(ctx context.Context) {
	tick := time.NewTicker(heartbeatInterval)
	defer tick.Stop()
	for {
		sent := strconv.FormatInt(int64(time.Since(c.began)), 10)
		if err := c.store.Do(ctx, redis.NewIntCmd(ctx, "publish", c.channel, heartbeatPrefix+c.self+" "+sent)); err != nil {
			c.fail(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *cache) fail(err error) { c.failure.Store(&err) }

// err returns why the cache serves nothing, or nil while it is connected.
func (c *cache) err() error {
	if c.connected() {
		return nil
	}
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return errNotConnected
}

// errNotConnected says that the first heartbeat has not returned yet.
var errNotConnected = errors.New("session: the cache's channel is not connected yet")
