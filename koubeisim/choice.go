package koubeisim

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// choice is what a visitor has chosen on the portal. It lives in the address alone: every change is a link.
type choice struct {
	lang     string // zh, en, or empty: by the browser
	spelling Spelling
	faults   []Fault // for the next calls, one each
	times    int     // so often over
	state    CodeState
	framed   bool // shown in an iframe, as the merchant centre does
}

const maxTimes = 100

func (k *Koubei) readChoice(q url.Values) (choice, error) {
	c := choice{lang: q.Get("lang"), spelling: Spelling(q.Get("spelling")), times: 1, framed: q.Get("show") == "frame"}
	if c.spelling == "" {
		c.spelling = Observed
	}
	if c.spelling != Observed && c.spelling != Documented {
		return c, fmt.Errorf("spelling %q: want observed or documented", c.spelling)
	}
	var names []string
	for _, list := range q["fault"] {
		names = append(names, strings.FieldsFunc(list, func(r rune) bool { return r == ',' })...)
	}
	var err error
	if text := q.Get("times"); text != "" {
		if c.times, err = strconv.Atoi(text); err != nil || c.times < 1 || c.times > maxTimes {
			return c, fmt.Errorf("times %q: want 1 to %d", text, maxTimes)
		}
	}
	if c.faults, err = k.parseFaults(names); err != nil {
		return c, err
	}
	c.state, err = parseCodeState(q.Get("code"))
	return c, err
}

// query spells the choice; defaults are left out.
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

func (c choice) page() string {
	if q := c.query().Encode(); q != "" {
		return "/?" + q
	}
	return "/"
}

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

// queue is what the choice adds to the queue of faults.
func (c choice) queue() []Fault {
	return slices.Repeat(c.faults, c.times)
}
