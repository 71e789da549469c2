package koubeisim

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// choice is what a visitor has chosen on the portal. It is kept only in the address, so every change is a link.
type choice struct {
	lang     string // zh, en, or empty for the browser's language
	spelling Spelling
	faults   []Fault // for the next calls, one each
	times    int     // how often the faults are repeated
	state    CodeState
	framed   bool // in an iframe, like the merchant center
}

const maxTimes = 100

func (k *Koubei) readChoice(q url.Values) (choice, error) {
	c := choice{lang: q.Get("lang"), spelling: Observed, times: 1, state: CodeState(q.Get("code")), framed: q.Get("show") == "frame"}
	if s := q.Get("spelling"); s != "" {
		c.spelling = Spelling(s)
	}
	if c.spelling != Observed && c.spelling != Documented {
		return c, fmt.Errorf("spelling %q: use observed or documented", c.spelling)
	}
	var err error
	if text := q.Get("times"); text != "" {
		if c.times, err = strconv.Atoi(text); err != nil || c.times < 1 || c.times > maxTimes {
			return c, fmt.Errorf("times %q: use a number from 1 to %d", text, maxTimes)
		}
	}
	if !c.state.valid() {
		return c, errState(q.Get("code"))
	}
	c.faults, err = k.parseFaults(strings.FieldsFunc(strings.Join(q["fault"], ","), func(r rune) bool { return r == ',' }))
	return c, err
}

// query returns the choice without defaults.
func (c choice) query() url.Values {
	q := url.Values{}
	set := func(name, value, usual string) {
		if value != usual {
			q.Set(name, value)
		}
	}
	set("lang", c.lang, "")
	set("spelling", string(c.spelling), string(Observed))
	set("code", string(c.state), "")
	set("times", strconv.Itoa(c.times), "1")
	for _, f := range c.faults {
		q.Add("fault", string(f))
	}
	if c.framed {
		q.Set("show", "frame")
	}
	return q
}

// page returns the address of the portal with this choice.
func (c choice) page() string {
	if q := c.query().Encode(); q != "" {
		return "/?" + q
	}
	return "/"
}

// enter returns the address that a person enters by.
func (c choice) enter(name string) string {
	q := c.query()
	q.Set("as", name)
	path := "/enter?"
	if c.framed {
		q.Del("show")
		path = "/frame?"
	}
	return path + q.Encode()
}
