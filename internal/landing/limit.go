package landing

// Limit limits the number of codes that one client may claim.
type Limit struct {
	// Take counts one claim for a client. If that is within the limit, ok is true, and giveBack undoes the count. Counting
	// before the claim limits concurrent landings too.
	Take func(client string) (giveBack func(), ok bool)
}

// count is one landing's share of its client's limit. A landing counts while it is about to claim its code, and after it
// has claimed the code.
type count struct {
	take     func() (giveBack func(), ok bool)
	giveBack func() // nil while the landing is not counted
}

// count returns the count of a landing. A landing with a pending grant was counted before.
func (l *Lander) count(v visit) *count {
	return &count{take: func() (func(), bool) {
		if v.pending != nil {
			return nil, true // nothing to give back
		}
		return l.limit.Take(v.Client)
	}}
}

// within counts the landing, at most once, and reports whether it is within the limit.
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

// stop removes the landing from the count.
func (c *count) stop() {
	if c.giveBack != nil {
		c.giveBack()
		c.giveBack = nil
	}
}
