package landing

// Limit bounds how many codes one client claims.
type Limit struct {
	// Take counts one more for a client, if that is within the limit, and returns how to give it back. Counting before
	// the claim is what bounds landings at once.
	Take func(client string) (giveBack func(), ok bool)
}

// count is a landing's part in its client's limit. A landing counts only while it is about to claim its code, and after
// it has claimed.
type count struct {
	take     func() (giveBack func(), ok bool)
	giveBack func() // nil while the landing does not count
}

// count returns the count of a landing. One with a pending grant was counted before.
func (l *Lander) count(v visit) *count {
	return &count{take: func() (func(), bool) {
		if v.pending != nil {
			return func() {}, true
		}
		return l.limit.Take(v.Client)
	}}
}

// within counts the landing, once, and reports whether it is within the limit.
func (c *count) within() bool {
	if c.giveBack != nil {
		return true
	}
	giveBack, ok := c.take()
	if ok {
		c.giveBack = giveBack
	}
	return ok
}

// stop counts the landing no longer.
func (c *count) stop() {
	if c.giveBack != nil {
		c.giveBack()
		c.giveBack = nil
	}
}
