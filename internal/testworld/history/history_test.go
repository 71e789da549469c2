package history_test

import (
	"testing"
	"time"

	"koubei-landing/internal/testworld/history"
)

// TestModel checks which histories of a code the model allows. The operations of a row follow each other; those within one
// slice overlap.
func TestModel(t *testing.T) {
	t.Parallel()
	const a, b = "a", "b"
	exchange := history.Operation{Kind: history.Exchange, Result: history.OK}
	spent := history.Operation{Kind: history.Exchange, Result: history.Spent}
	expired := history.Operation{Kind: history.Exchange, Result: history.Verdict("AUTH_CODE_EXPIRES")}
	land := func(browser string, r history.Result) history.Operation {
		o := history.Operation{Kind: history.Land, Browser: browser, Person: "p", Result: r}
		if r == history.OK {
			o.Token = "token of " + browser
		}
		return o
	}
	another := land(a, history.OK)
	another.Token = "another token"
	decide := func(k history.Kind, r history.Result) history.Operation {
		return history.Operation{Kind: k, Browser: a, Result: r, Token: "token of a"}
	}
	check := func(browser string, r history.Result) history.Operation {
		return history.Operation{Kind: history.Check, Browser: browser, Token: "token of " + browser, Result: r}
	}
	signOut := func(r history.Result) history.Operation {
		return history.Operation{Kind: history.SignOut, Browser: a, Token: "token of a", Result: r}
	}
	revoke := func(r history.Result) history.Operation {
		return history.Operation{Kind: history.Revoke, Person: "p", Result: r}
	}
	elsewhere := check(a, history.Nobody)
	elsewhere.Token = "another token"
	gone := history.Verdict("AUTH_CODE_NOT_EXIST")
	notExist := history.Operation{Kind: history.Exchange, Result: gone}
	unwritten := exchange
	unwritten.Unwritten = true
	type row = []history.Operation
	for _, test := range []struct {
		name  string
		legal bool
		ops   []row
	}{
		{"lands, and again", true, []row{{exchange, land(a, history.OK)}, {land(a, history.OK)}, {check(a, history.OK)}}},
		{"two exchanges", false, []row{{exchange, land(a, history.OK)}, {exchange}}},
		{"lands without an exchange", false, []row{{land(a, history.OK)}}},
		{"an outage, then lands", true, []row{{exchange, land(a, history.Unknown)}, {land(a, history.OK)}}},
		{"an outage, then used", false, []row{{exchange, land(a, history.Unknown)}, {land(a, history.Used)}}},
		{"killed before the write, then used", true, []row{{unwritten, land(a, history.Unknown)}, {land(a, history.Used)}}},
		{"killed before the write, refused, then lands with the pending grant", true, []row{{unwritten, land(a, history.Unknown), land(b, history.Unknown)}, {notExist, land(b, gone)}, {land(a, history.OK)}, {check(a, history.OK)}}},
		{"killed before the write, refused, then both land", false, []row{{unwritten, land(a, history.Unknown), land(b, history.Unknown)}, {notExist, land(b, gone)}, {land(a, history.OK)}, {land(b, history.OK)}}},
		{"killed before the write, refused, then a stranger lands", false, []row{{unwritten, land(a, history.Unknown)}, {notExist, land(b, gone)}, {land(b, history.OK)}}},
		{"killed before the write, refused, revoked, then lands", false, []row{{unwritten, land(a, history.Unknown)}, {notExist, land(b, gone)}, {revoke(history.OK)}, {land(a, history.OK)}}},
		{"written, refused, then lands", false, []row{{exchange, land(a, history.Unknown)}, {notExist, land(b, gone)}, {land(a, history.OK)}}},
		{"refused, then lands", false, []row{{expired, land(a, history.Unknown)}, {land(a, history.OK)}}},
		{"lost on the wire, refused, then lands", false, []row{{spent, land(a, history.Unknown)}, {notExist, land(b, gone)}, {land(a, history.OK)}}},
		{"lost on the wire, then used", true, []row{{spent, land(a, history.Unknown)}, {land(a, history.Used)}}},
		{"lost on the wire, then lands", false, []row{{spent, land(a, history.Unknown)}, {land(a, history.OK)}}},
		{"a stranger is refused", true, []row{{exchange, land(a, history.OK)}, {land(b, history.Used)}}},
		{"a stranger lands", false, []row{{exchange, land(a, history.OK)}, {land(b, history.OK)}}},
		{"one of two lands", true, []row{{exchange, land(a, history.OK), land(b, history.Used)}}},
		{"both of two land", false, []row{{exchange, land(a, history.OK), land(b, history.OK)}}},
		{"both of two are refused", false, []row{{exchange, land(a, history.Used), land(b, history.Used)}}},
		{"another session", false, []row{{exchange, land(a, history.OK)}, {another}}},
		{"a verdict, repeated", true, []row{{expired, land(a, history.Verdict("AUTH_CODE_EXPIRES"))}, {land(b, history.Verdict("AUTH_CODE_EXPIRES"))}}},
		{"a verdict, sent again", false, []row{{expired, land(a, history.Verdict("AUTH_CODE_EXPIRES"))}, {expired}}},
		{"a verdict that nobody gave", false, []row{{exchange, land(a, history.Verdict("AUTH_CODE_EXPIRES"))}}},
		{"a check finds nobody after landing", false, []row{{exchange, land(a, history.OK)}, {check(a, history.Nobody)}}},
		{"a check meets an outage", true, []row{{exchange, land(a, history.OK)}, {check(a, history.Unknown)}}},
		{"a check finds somebody else's session", false, []row{{exchange, land(a, history.OK)}, {check(b, history.OK)}}},
		{"a check of another session of the browser finds nobody", true, []row{{exchange, land(a, history.OK)}, {elsewhere}}},
		{"signed out", true, []row{{exchange, land(a, history.OK)}, {signOut(history.OK)}, {check(a, history.Nobody)}, {land(a, history.Used)}}},
		{"signed out, and still there", false, []row{{exchange, land(a, history.OK)}, {signOut(history.OK)}, {check(a, history.OK)}}},
		{"signed out, and the link signs in again", false, []row{{exchange, land(a, history.OK)}, {signOut(history.OK)}, {land(a, history.OK)}}},
		{"an unanswered sign-out, done", true, []row{{exchange, land(a, history.OK)}, {signOut(history.Unknown)}, {check(a, history.Nobody)}}},
		{"an unanswered sign-out, done late", true, []row{{exchange, land(a, history.OK)}, {signOut(history.Unknown)}, {check(a, history.OK)}, {check(a, history.Nobody)}}},
		{"an unanswered sign-out, undone", false, []row{{exchange, land(a, history.OK)}, {signOut(history.Unknown)}, {check(a, history.Nobody)}, {check(a, history.OK)}}},
		{"yes", true, []row{{exchange, land(a, history.Asked)}, {land(a, history.Asked)}, {decide(history.Yes, history.OK)}, {land(a, history.OK)}}},
		{"no", true, []row{{exchange, land(a, history.Asked)}, {decide(history.No, history.OK)}, {land(a, history.Used)}, {check(a, history.Nobody)}}},
		{"no, and lands", false, []row{{exchange, land(a, history.Asked)}, {decide(history.No, history.OK)}, {land(a, history.OK)}}},
		{"an unanswered no", true, []row{{exchange, land(a, history.Asked)}, {decide(history.No, history.Unknown)}, {land(a, history.Asked)}}},
		{"signed in before the answer", false, []row{{exchange, land(a, history.Asked)}, {check(a, history.OK)}}},
		{"the question is open, and the answer says expired", false, []row{{exchange, land(a, history.Asked)}, {decide(history.Yes, history.Used)}}},
		{"revoked", true, []row{{exchange, land(a, history.OK)}, {revoke(history.OK)}, {check(a, history.Nobody)}, {land(a, history.Used)}}},
		{"revoked, and still there", false, []row{{exchange, land(a, history.OK)}, {revoke(history.OK)}, {check(a, history.OK)}}},
		{"revoked before the retry", true, []row{{exchange, land(a, history.Unknown)}, {revoke(history.OK)}, {land(a, history.Used)}}},
		{"revoked before the retry, and lands", false, []row{{exchange, land(a, history.Unknown)}, {revoke(history.OK)}, {land(a, history.OK)}}},
		{"revoked before the landing", true, []row{{revoke(history.OK)}, {exchange, land(a, history.OK)}}},
		{"revoked before the landing, and refused", false, []row{{revoke(history.OK)}, {exchange, land(a, history.Used)}}},
		{"revoked during the landing, and refused", true, []row{{exchange, land(a, history.Used), revoke(history.OK)}}},
	} {
		var h history.History
		at := time.Now()
		for _, overlapping := range test.ops {
			for _, o := range overlapping {
				if o.Kind != history.SignOut && o.Kind != history.Revoke {
					o.Code = "code"
				}
				o.Began, o.Ended = at, at.Add(time.Second)
				h.Add(o)
			}
			at = at.Add(2 * time.Second)
		}
		if r := h.Check(); len(r.Illegal) == 0 != test.legal || r.Undecided > 0 {
			t.Errorf("%s: got %s, legal: want %t", test.name, r, test.legal)
		}
	}
}
