package session

import (
	"strconv"
	"testing"
)

func TestBoundedBySize(t *testing.T) {
	t.Parallel()
	const each = 4096
	b := newBounded[int](10 * (each + overhead))
	for i := range 100 {
		b.add(strconv.Itoa(i), i, each)
		b.add(strconv.Itoa(i), i, each) // the same value again takes no more space
		b.get("95")
	}
	for _, i := range []int{0, 89, 90, 91, 95, 99} {
		if v, ok := b.get(strconv.Itoa(i)); ok != (i >= 90) || ok && v != i {
			t.Errorf("%d: got %d, %v", i, v, ok)
		}
	}
	b.add("large", 1, 100*each)
	if _, ok := b.get("99"); ok || b.size != 0 || b.lru.Len() != 0 {
		t.Errorf("after one that does not fit: got %d bytes in %d entries, want none", b.size, b.lru.Len())
	}
	b.add("a", 1, each)
	b.remove("a")
	if _, ok := b.get("a"); ok || b.size != 0 {
		t.Errorf("removed: got %d bytes", b.size)
	}
	b.add("b", 1, each)
	b.purge()
	if _, ok := b.get("b"); ok || b.size != 0 {
		t.Errorf("empty: got %d bytes", b.size)
	}
}
