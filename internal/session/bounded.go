package session

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// bounded is an LRU cache with a limit on the bytes of its values, not on their number: a session with 32 partners is
// twenty times as large as a session with one partner.
type bounded[V any] struct {
	most int

	mu   sync.Mutex
	size int
	lru  *simplelru.LRU[string, sized[V]]
}

type sized[V any] struct {
	value V
	size  int
}

// overhead is the approximate size of an entry without its value.
const overhead = 512

func newBounded[V any](most int) *bounded[V] {
	b := &bounded[V]{most: most}
	// It fails only for a number below one.
	b.lru, _ = simplelru.NewLRU(math.MaxInt, func(_ string, old sized[V]) { b.size -= old.size })
	return b
}

func (b *bounded[V]) get(key string) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entry, ok := b.lru.Get(key)
	return entry.value, ok
}

// add stores a value of the given size and drops the least recently used values until the rest fits.
func (b *bounded[V]) add(key string, value V, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lru.Remove(key)
	entry := sized[V]{value, bytes + overhead}
	b.lru.Add(key, entry)
	b.size += entry.size
	for b.size > b.most {
		b.lru.RemoveOldest()
	}
}

func (b *bounded[V]) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lru.Remove(key)
}

func (b *bounded[V]) purge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lru.Purge()
}
