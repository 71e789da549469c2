package koubeisim

import (
	"strconv"
	"time"
)

// portalView is the page, ready to be written: every address in it is made here.
type portalView struct {
	Words           map[string]string
	Lang, LangTag   string
	OtherLang       link
	AppID, Landing  string
	Spellings       []link
	Shows           []link
	Times           []link
	Codes           []link
	Groups          []groupView
	Honest          link
	Chosen          string // what will go wrong, in words
	ChosenName      string
	HasFaults       bool
	Roles           []roleView
	Queued          []Fault
	Held            int
	Calls           []callView
	ClearTo, FreeTo string
}

// link is one choice: where it leads, whether it is the present one.
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
	At, Code, Fault, Outcome string
	Good                     bool
}

func (k *Koubei) portalView(c choice, lang string) portalView {
	v := portalView{
		Words:     words(lang),
		Lang:      lang,
		LangTag:   langTags[lang],
		AppID:     k.appID,
		Landing:   k.registered(),
		HasFaults: len(c.faults) > 0,
		Honest:    c.link("none", words(lang)["honest"], func(c *choice) { c.faults, c.state, c.times = nil, CodeFresh, 1 }),
		Queued:    k.Queued(),
	}
	k.mu.Lock()
	v.Held = len(k.held)
	k.mu.Unlock()
	v.Honest.Current = len(c.faults) == 0 && c.state == CodeFresh
	v.viewOptions(c)
	v.viewTrouble(c)
	v.viewRoles(c)
	v.viewCalls(newest(k.Calls()))
	v.ClearTo, v.FreeTo = "/faults/clear"+c.page()[1:], "/release"+c.page()[1:]
	return v
}

// link is the page with one thing chosen differently.
func (c choice) link(name, text string, change func(*choice)) link {
	other := c
	change(&other)
	return link{Name: name, Text: text, Href: other.page(), Current: other.page() == c.page()}
}

func (v *portalView) viewOptions(c choice) {
	other := map[string]string{"zh": "en", "en": "zh"}[v.Lang]
	v.OtherLang = c.link(other, words(other)["language"], func(c *choice) { c.lang = other })
	for _, s := range []Spelling{Observed, Documented} {
		v.Spellings = append(v.Spellings, c.link(string(s), v.Words["spelling."+string(s)], func(c *choice) { c.spelling = s }))
	}
	v.Shows = []link{
		c.link("page", v.Words["show.page"], func(c *choice) { c.framed = false }),
		c.link("frame", v.Words["show.frame"], func(c *choice) { c.framed = true }),
	}
	for _, n := range []int{1, 3, 10} {
		v.Times = append(v.Times, c.link(strconv.Itoa(n), v.Words["times."+strconv.Itoa(n)], func(c *choice) { c.times = n }))
	}
}

// viewTrouble offers one thing to go wrong at a time; an address may hold more.
func (v *portalView) viewTrouble(c choice) {
	for _, state := range codeStates {
		l := c.link(string(state), v.Words["code."+string(state)], func(c *choice) { c.faults, c.state, c.times = nil, state, 1 })
		v.Codes = append(v.Codes, l)
		if c.state == state {
			v.Chosen, v.ChosenName = l.Text, l.Name
		}
	}
	for _, g := range []group{network, refusal, forgery, content, spelling} {
		v.Groups = append(v.Groups, v.viewGroup(c, g))
	}
}

func (v *portalView) viewGroup(c choice, g group) groupView {
	view := groupView{Name: string(g), Text: v.Words["group."+string(g)]}
	for _, t := range tricks {
		if t.group != g {
			continue
		}
		text := map[string]string{"zh": t.zh, "en": t.en}[v.Lang]
		l := c.link(string(t.fault), text, func(c *choice) { c.faults, c.state = []Fault{t.fault}, CodeFresh })
		l.Current = len(c.faults) > 0 && c.faults[0] == t.fault
		if l.Current {
			view.Open, v.Chosen, v.ChosenName = true, text, l.Name
		}
		view.Faults = append(view.Faults, l)
	}
	return view
}

func (v *portalView) viewRoles(c choice) {
	for _, r := range roles {
		view := roleView{Type: r.Type, Text: map[string]string{"zh": r.zh, "en": r.en}[v.Lang]}
		for _, e := range r.entrants {
			text := map[string]string{"zh": e.zh, "en": e.en}[v.Lang]
			view.Entrants = append(view.Entrants, entrantView{link{Name: e.name, Text: text, Href: c.enter(e.name)}, e.person})
		}
		v.Roles = append(v.Roles, view)
	}
}

func (v *portalView) viewCalls(calls []Call) {
	for _, c := range calls {
		v.Calls = append(v.Calls, callView{
			At:      c.At.In(chinaTime).Format(time.TimeOnly),
			Code:    c.Code,
			Fault:   string(c.Fault),
			Outcome: c.Outcome,
			Good:    c.Outcome == "success" && c.Fault == "",
		})
	}
}
