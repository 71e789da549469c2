package koubeisim

import (
	"slices"
	"strconv"
	"time"
)

const shownCalls = 12

// portalView is the content of the portal page.
type portalView struct {
	Words                          map[string]string
	Lang, LangTag                  string
	OtherLang, Honest              link
	AppID, Landing                 string
	Spellings, Shows, Times, Codes []link
	Groups                         []groupView
	Chosen, ChosenName             string // the fault or state for the next entry
	HasFaults                      bool
	Roles                          []roleView
	Queued                         []Fault
	Held                           int
	Calls                          []callView
	ClearTo, FreeTo                string
}

// link is one option: where it leads, and whether it is chosen.
type link struct {
	Name, Text, Href string
	Current          bool
}

type groupView struct {
	Name, Text string
	Open       bool
	Faults     []link
}

type roleView struct {
	Type, Text string
	Entrants   []entrantView
}

type entrantView struct {
	link
	Person Person
}

type callView struct {
	Call
	At   string
	Good bool
}

func (k *Koubei) portalView(c choice, lang string) portalView {
	w := words(lang)
	v := portalView{
		Words: w, Lang: lang, LangTag: langTags[lang], AppID: k.AppID(), Landing: k.registered(), HasFaults: len(c.faults) > 0,
		Honest: c.link("none", w["honest"], func(c *choice) { c.faults, c.state, c.times = nil, CodeFresh, 1 }),
		Shows: []link{
			c.link("page", w["show.page"], func(c *choice) { c.framed = false }),
			c.link("frame", w["show.frame"], func(c *choice) { c.framed = true }),
		},
		Queued: k.Queued(), ClearTo: "/faults/clear" + c.page()[1:], FreeTo: "/release" + c.page()[1:],
	}
	v.Honest.Current = len(c.faults) == 0 && c.state == CodeFresh
	other := map[string]string{"zh": "en", "en": "zh"}[lang]
	v.OtherLang = c.link(other, words(other)["language"], func(c *choice) { c.lang = other })
	for _, s := range []Spelling{Observed, Documented} {
		v.Spellings = append(v.Spellings, c.link(string(s), w["spelling."+string(s)], func(c *choice) { c.spelling = s }))
	}
	for _, n := range []int{1, 3, 10} {
		v.Times = append(v.Times, c.link(strconv.Itoa(n), w["times."+strconv.Itoa(n)], func(c *choice) { c.times = n }))
	}
	v.addFaults(c)
	for _, r := range roles {
		view := roleView{Type: r.Type, Text: r.in(lang)}
		for _, e := range r.entrants {
			view.Entrants = append(view.Entrants, entrantView{link{Name: e.name, Text: e.in(lang), Href: c.enter(e.name)}, e.person})
		}
		v.Roles = append(v.Roles, view)
	}
	calls := k.Calls()
	for _, call := range slices.Backward(calls[max(0, len(calls)-shownCalls):]) {
		v.Calls = append(v.Calls, callView{call, call.At.In(chinaTime).Format(time.TimeOnly), call.Outcome == "success" && call.Fault == ""})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	v.Held = len(k.held)
	return v
}

// link returns a link to the page with one change of the choice.
func (c choice) link(name, text string, change func(*choice)) link {
	other := c
	change(&other)
	return link{Name: name, Text: text, Href: other.page(), Current: other.page() == c.page()}
}

// addFaults offers one fault or code state at a time. An address may hold more.
func (v *portalView) addFaults(c choice) {
	for _, state := range codeStates {
		l := c.link(string(state), v.Words["code."+string(state)], func(c *choice) { c.faults, c.state, c.times = nil, state, 1 })
		v.Codes = append(v.Codes, l)
		if c.state == state {
			v.Chosen, v.ChosenName = l.Text, l.Name
		}
	}
	for _, b := range behaviors {
		l := c.link(string(b.fault), text{b.zh, b.en}.in(v.Lang), func(c *choice) { c.faults, c.state = []Fault{b.fault}, CodeFresh })
		l.Current = len(c.faults) > 0 && c.faults[0] == b.fault
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Name != string(b.group) {
			v.Groups = append(v.Groups, groupView{Name: string(b.group), Text: v.Words["group."+string(b.group)]})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Faults = append(g.Faults, l)
		if l.Current {
			g.Open, v.Chosen, v.ChosenName = true, l.Text, l.Name
		}
	}
}
