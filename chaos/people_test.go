package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"koubei-landing/internal/testworld/history"
	"koubei-landing/koubeisim"
)

// people are all persons who bring their own code.
type people struct {
	w      *world
	enough chan struct{} // closed when enough have landed
	done   chan struct{} // closed when all persons have finished

	mu      sync.Mutex
	all     []*person
	reached atomic.Int64 // landings so far
}

// person is one operator in one browser.
type person struct {
	*browser
	people    *people
	id        int
	brought   []*brought
	token     string
	signedOut bool
}

// brought is one link that a person opens.
type brought struct {
	code   string
	as     koubeisim.Person
	ending ending
	rival  *browser // another browser that tries the same link at the same time; usually nil
	won    ending   // the rival's outcome
}

// startPeople starts people, several at a time, until enough have landed.
func startPeople(ctx context.Context, w *world) *people {
	p := &people{w: w, enough: make(chan struct{}), done: make(chan struct{})}
	var rows sync.WaitGroup
	for range *atOnce {
		rows.Go(func() {
			for p.reached.Load() < int64(*landings) {
				p.next().live(ctx)
			}
		})
	}
	go func() {
		rows.Wait()
		close(p.done)
	}()
	return p
}

func (p *people) next() *person {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &person{people: p, id: len(p.all)}
	n.browser = p.w.browser(p.w.random(uint64(n.id)))
	p.all = append(p.all, n)
	return n
}

// live does what one person does. The order of its random numbers depends only on the seed.
func (p *person) live(ctx context.Context) {
	wait(ctx.Done(), between(p.dice, 0, 3*time.Second))
	first := p.bring()
	p.arrive(ctx, first)
	p.counted(first)
	if first.ending != landed {
		return
	}
	p.confirm(ctx, first)
	switch n := p.dice.IntN(100); {
	case n < 35:
		p.refresh(ctx, first)
	case n < 60:
		p.moreMerchants(ctx)
	case n < 75:
		p.signOut(ctx)
	default:
		wait(ctx.Done(), between(p.dice, 0, 3*time.Second))
		p.confirm(ctx, first)
	}
}

// bring has Koubei issue a code for the person's operator and one more merchant.
func (p *person) bring() *brought {
	n := len(p.brought)
	as := koubeisim.Person{
		OperatorID:   fmt.Sprintf("20882%011d", p.id),
		OperatorType: []string{"PROVIDER", "PROVIDER_STAFF", "MER_STAFF", "SALES"}[(p.id+n)%4],
		PartnerID:    fmt.Sprintf("20883%09d%02d", p.id, n),
	}
	if p.dice.IntN(2) == 0 {
		as.ShopIDs = fmt.Sprintf("201506%020d", p.id*100+n)
	}
	b := &brought{code: p.w.koubei.Issue(as), as: as}
	p.people.mu.Lock()
	defer p.people.mu.Unlock()
	p.brought = append(p.brought, b)
	return b
}

// counted records that a link has led to a session.
func (p *person) counted(b *brought) {
	if b.ending == landed || b.won == landed {
		if p.people.reached.Add(1) == int64(*landings) {
			close(p.people.enough)
		}
	}
}

// arrive lands in one of several ways.
func (p *person) arrive(ctx context.Context, b *brought) {
	switch n := p.dice.IntN(100); {
	case n < 35:
	case n < 60:
		p.clickTwice(ctx, b)
	case n < 90:
		for range 1 + p.dice.IntN(2) {
			p.leave(ctx, b)
		}
	default:
		p.race(ctx, b)
	}
	if b.ending != landed && b.rival == nil {
		b.ending = p.land(ctx, b.code)
	}
}

// clickTwice opens the link in several tabs at once.
func (p *person) clickTwice(ctx context.Context, b *brought) {
	var tabs sync.WaitGroup
	endings := make([]ending, 2+p.dice.IntN(3))
	for i := range endings {
		tab := p.again()
		tabs.Go(func() { endings[i] = tab.land(ctx, b.code) })
	}
	tabs.Wait()
	for _, e := range endings {
		if e == landed {
			b.ending = landed
		}
	}
}

// leave opens the link and leaves before the response arrives.
func (p *person) leave(ctx context.Context, b *brought) {
	away, cancel := context.WithTimeout(ctx, between(p.dice, time.Millisecond, 300*time.Millisecond))
	defer cancel()
	if p.land(away, b.code) == landed {
		b.ending = landed
	}
}

// race has another browser try the same link at the same time. Exactly one of the two may land.
func (p *person) race(ctx context.Context, b *brought) {
	b.rival = p.w.browser(rand.New(rand.NewPCG(p.dice.Uint64(), 0)))
	var both sync.WaitGroup
	both.Go(func() { b.won = b.rival.land(ctx, b.code) })
	b.ending = p.land(ctx, b.code)
	both.Wait()
}

// refresh loads the link again. It expects the same session and no second call of the gateway.
func (p *person) refresh(ctx context.Context, b *brought) {
	for range 1 + p.dice.IntN(3) {
		before := p.cookie()
		if e := p.land(ctx, b.code); e == refused {
			p.w.tally.wrong(&p.w.tally.refreshRefused, "person %d, who has landed, was refused the same link", p.id)
		} else if e == landed {
			p.w.tally.add(&p.w.tally.refreshes)
		}
		if after := p.cookie(); before != after {
			p.w.tally.wrong(&p.w.tally.refreshRefused, "person %d was given another session for the same link", p.id)
		}
		p.confirm(ctx, b)
	}
}

// moreMerchants opens links for more merchants, each in its own tab, all at the same time.
func (p *person) moreMerchants(ctx context.Context) {
	var tabs sync.WaitGroup
	for range 1 + p.dice.IntN(3) {
		b, tab := p.bring(), p.again()
		tabs.Go(func() {
			b.ending = tab.land(ctx, b.code)
			p.counted(b)
		})
	}
	tabs.Wait()
	for _, b := range p.brought {
		if b.ending == landed {
			p.confirm(ctx, b)
		}
	}
}

// signOut ends the session and expects that it stays ended.
func (p *person) signOut(ctx context.Context) {
	p.token = p.cookie()
	o := history.Operation{Kind: history.SignOut, Browser: p.name(), Token: p.token, Result: history.OK, Began: time.Now()}
	_, ok := p.persist(ctx, http.MethodPost, "/logout")
	if !ok {
		o.Result = history.Unknown
	}
	o.Ended = time.Now()
	p.w.history.Add(o)
	if !ok {
		return
	}
	p.signedOut = true
	p.w.tally.add(&p.w.tally.signOuts)
	p.checkSignedOut(ctx)
	if p.land(ctx, p.brought[0].code) == landed {
		p.w.tally.wrong(&p.w.tally.revived, "person %d signed out, and the link signed in again", p.id)
	}
}

// checkSignedOut sends the token of the ended session, as a thief would.
func (p *person) checkSignedOut(ctx context.Context) {
	keeper := p.w.browser(p.dice)
	keeper.SetCookie(p.w.replicas[0].public, &http.Cookie{Name: sessionCookie, Value: p.token, Path: "/"})
	for range p.w.replicas {
		if a, ok := keeper.persist(ctx, http.MethodGet, "/session"); ok && a.StatusCode != http.StatusUnauthorized {
			p.w.tally.wrong(&p.w.tally.revived, "person %d signed out, and /session answers %d", p.id, a.StatusCode)
		}
	}
}

// finish lets those who gave up reload once more after the troubles, and asks for everybody's identity.
func (p *people) finish() {
	ctx, cancel := context.WithTimeout(p.w.t.Context(), 3*time.Minute)
	defer cancel()
	var rows sync.WaitGroup
	places := make(chan struct{}, *atOnce)
	for _, one := range p.all {
		places <- struct{}{}
		rows.Go(func() {
			defer func() { <-places }()
			one.finish(ctx)
		})
	}
	rows.Wait()
	if ctx.Err() != nil {
		p.w.t.Error("people are still trying to land, three minutes after all is well")
	}
}

func (p *person) finish(ctx context.Context) {
	for _, b := range p.brought {
		if b.ending == gaveUp && b.won != landed {
			b.ending = p.land(ctx, b.code)
			p.counted(b)
		}
		if b.ending == landed && !p.signedOut {
			p.confirm(ctx, b)
		}
	}
	if p.signedOut {
		p.checkSignedOut(ctx)
	}
}

// cookie returns the session's token.
func (b *browser) cookie() string { return b.Cookie(b.w.replicas[0].public, sessionCookie) }

// startThieves starts browsers that try links whose codes were just exchanged. They do not have the arrival cookie, for each
// possible reason, or have a session of their own.
func startThieves(ctx context.Context, w *world) *sync.WaitGroup {
	var thieves sync.WaitGroup
	for i := range 3 {
		dice := rand.New(rand.NewPCG(w.seed, forThieves+uint64(i)<<8))
		member := w.browser(dice)
		if member.land(ctx, w.koubei.Issue(koubeisim.Person{OperatorID: fmt.Sprintf("208899999999999%d", i), OperatorType: "SALES", PartnerID: "2088300000000000"})) != landed {
			w.t.Log("a thief could not sign in first")
		}
		thieves.Go(func() {
			for ctx.Err() == nil {
				w.steal(ctx, dice, member)
				wait(ctx.Done(), 30*time.Millisecond)
			}
		})
	}
	return &thieves
}

// steal tries one link, usually a recent one.
func (w *world) steal(ctx context.Context, dice *rand.Rand, member *browser) {
	codes := w.gateway.spent()
	if len(codes) == 0 {
		return
	}
	code := codes[max(0, len(codes)-1-dice.IntN(8))]
	if dice.IntN(4) == 0 {
		code = codes[dice.IntN(len(codes))]
	}
	uri := w.link(code)
	thief := w.browser(dice)
	switch dice.IntN(4) {
	case 0: // follows the hop and gets its own arrival cookie
		a, err := thief.ask(ctx, http.MethodGet, uri, "")
		if err != nil || a.Header.Get("Location") == "" {
			return
		}
		uri = a.Header.Get("Location")
	case 1: // pretends to have followed the hop
		uri += "&arrived=" + strconv.FormatInt(time.Now().Unix(), 10)
	case 2: // not a browser
		thief.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"curl/8"}}
	case 3:
		thief = member
	}
	own := thief.cookie()
	a, err := thief.ask(ctx, http.MethodGet, uri, "")
	if err != nil {
		return
	}
	w.tally.add(&w.tally.thefts)
	if a.StatusCode == http.StatusSeeOther && !(thief == member && session(a) == own && own != "") {
		w.tally.wrong(&w.tally.stolen, "a thief was sent to %s, with a session: %t", a.Header.Get("Location"), session(a) != "")
	}
}
