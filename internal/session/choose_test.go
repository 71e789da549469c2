package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
)

func unknown(n int) []session.Token {
	var tokens []session.Token
	for i := range n {
		tokens = append(tokens, session.Token(fmt.Sprintf("%043d", i)))
	}
	return tokens
}

func TestChoose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	older, _ := w.start("older")
	w.clock.Turn(time.Minute)
	newer, _ := w.start("newer")
	g := w.grant("other")
	g.Operator.ID = "other"
	other, err := w.begin(g)
	w.must(err)
	invalid, s := w.start("invalid")
	w.must(w.redis.Client.Set(t.Context(), "k:session:"+s.Hash(), "junk", time.Hour).Err())
	none := unknown(2)
	for name, row := range map[string]struct {
		tokens []session.Token
		want   string
		err    error
	}{
		"one":                     {[]session.Token{older}, "older", nil},
		"one among others":        {[]session.Token{none[0], invalid, older, none[1]}, "older", nil},
		"the newer one last":      {[]session.Token{older, newer}, "newer", nil},
		"the newer one first":     {[]session.Token{newer, older}, "newer", nil},
		"of different operators":  {[]session.Token{newer, other.Token}, "", session.ErrAmbiguous},
		"no token":                {nil, "", session.ErrNone},
		"an unknown token":        {none[:1], "", session.ErrNone},
		"several unknown tokens":  {none, "", session.ErrNone},
		"an invalid one":          {[]session.Token{invalid}, "", session.ErrNone},
		"a token of another form": {[]session.Token{"junk"}, "", session.ErrNone},
	} {
		got, err := w.Choose(t.Context(), row.tokens)
		if !errors.Is(err, row.err) || partners(got) != row.want {
			t.Errorf("%s: got %q, %v, want %q, %v", name, partners(got), err, row.want, row.err)
		}
	}
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if names == "get" { // the read of one session, after that of all
			return errors.New("not sent")
		}
		return send(ctx)
	})
	w.tap.do.Store(&f)
	if live, err := w.Live(t.Context(), []session.Token{older, newer}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %d sessions, %v, want unavailable", len(live), err)
	}
}

// TestUnknownTokensCostOneRoundTrip: another host of the domain may set many cookies.
func TestUnknownTokensCostOneRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	for name, row := range map[string]struct {
		tokens []session.Token
		live   int
		trips  int32
	}{
		"one token":               {[]session.Token{token}, 1, 1},
		"many unknown tokens":     {unknown(200), 0, 1},
		"a live one among them":   {append(unknown(200), token), 1, 2},
		"a token of another form": {[]session.Token{"junk"}, 0, 0},
	} {
		trips := w.tap.count("get")
		if live, err := w.Live(t.Context(), row.tokens); err != nil || len(live) != row.live || trips.Load() != row.trips {
			t.Errorf("%s: got %d sessions in %d round trips, %v, want %d in %d", name, len(live), trips.Load(), err, row.live, row.trips)
		}
	}
	trips := w.tap.count("")
	for _, junk := range []session.Token{"junk", session.Token(strings.Repeat("!", 43))} {
		if _, err := w.Find(t.Context(), junk); !errors.Is(err, session.ErrNone) {
			t.Errorf("found: got %v, want none", err)
		}
		if _, err := w.End(t.Context(), junk); !errors.Is(err, session.ErrNone) {
			t.Errorf("ended: got %v, want none", err)
		}
	}
	if trips.Load() != 0 {
		t.Errorf("got %d round trips for tokens of another form", trips.Load())
	}
}
