package session_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
	"koubei-landing/internal/store"
	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/respproxy"
)

// These tests create the races of a slow request with a sign-out or a revocation. The tap runs the other request just
// before a command of the slow one is sent.

func TestRenewalDoesNotRecreateSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	for name, end := range map[string]func(session.Token) error{
		"sign-out": func(token session.Token) error { _, err := other.End(t.Context(), token); return err },
		"revocation": func(session.Token) error {
			_, err := other.Revoke(t.Context(), operatorID)
			return err
		},
	} {
		token, _ := w.start("one")
		w.clock.Turn(time.Hour) // the next read renews
		w.tap.before("eval:session", func() { w.must(end(token)) })
		// The read was before the end, so it may succeed. What matters is the state that it leaves.
		if _, err := w.Find(t.Context(), token); err != nil && !errors.Is(err, session.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
		w.wantGone(token)
	}
}

func TestPartnerIsNotAddedToEndedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	token, _ := w.start("one")
	g := w.grant("two")
	w.tap.before("eval:operator", func() {
		_, err := other.End(t.Context(), token)
		w.must(err)
	})
	if _, err := w.AddPartner(t.Context(), token, g, w.code()); !errors.Is(err, session.ErrNone) {
		t.Errorf("sign-out: got %v, want none", err)
	}
	w.wantGone(token)

	token, _ = w.start("one")
	g = w.grant("two")
	w.tap.before("eval:operator", func() {
		_, err := other.Revoke(t.Context(), operatorID)
		w.must(err)
	})
	if _, err := w.AddPartner(t.Context(), token, g, w.code()); !errors.Is(err, session.ErrRevoked) && !errors.Is(err, session.ErrNone) {
		t.Errorf("revocation: got %v, want revoked", err)
	}
	w.wantGone(token)
}

func TestStartDetectsConcurrentRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	revoke := func() {
		_, err := other.Revoke(t.Context(), operatorID)
		w.must(err)
	}
	// Exchanged before, written after.
	g := w.grant("one")
	revoke()
	if _, err := w.begin(g); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want revoked", err)
	}
	w.wantGone("")
	// Between the exchange and the write.
	g = w.grant("one")
	w.tap.before("eval:operator", revoke)
	if _, err := w.begin(g); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("overlapping: got %v, want revoked", err)
	}
	w.wantGone("")
	for name, row := range map[string]struct {
		after operator.LogicalTime // of the revocation, after the claim
		want  error
	}{
		"the revocation is later":   {1, session.ErrRevoked},
		"the revocation is earlier": {-1, nil},
		"both at once":              {0, nil}, // the clock never gives one time twice
	} {
		g = w.grant("one")
		w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, int64(g.ClaimedAt+row.after), 15*time.Minute).Err())
		if _, err := w.begin(g); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
}

func TestRevocationIsWrittenBeforeIndexIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow, tap := w.open()
	g := w.grant("one")
	tap.before("zrange", func() { // Revoke is about to read the index, and a landing comes in between
		if _, err := w.begin(g); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("got %v, want revoked: the mark must be there by now", err)
		}
	})
	_, err := slow.Revoke(t.Context(), operatorID)
	w.must(err)
	w.wantGone("")
}

func TestAnIndexIsWrittenBeforeTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The reply is lost, so the result is unknown. The index must contain the session all the same.
	w.tap.lose("eval:operator")
	if _, err := w.begin(w.grant("one")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want unavailable", err)
	}
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 1 {
		t.Errorf("got %d, %v, want the session without a known token revoked", n, err)
	}
	w.wantGone("")
}

func TestConcurrentTabsLoseNoPartner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	token, _ := w.start("one")
	w.tap.before("eval:operator", func() {
		_, err := other.AddPartner(t.Context(), token, w.grant("two"), w.code())
		w.must(err)
	})
	w.add(token, "three")
	if got := partners(w.find(token)); got != "three two one" {
		t.Errorf("got %s, want three two one", got)
	}
	// A renewal that started before does not recreate it either.
	w.clock.Turn(time.Hour)
	w.tap.before("eval", func() {
		_, err := other.AddPartner(t.Context(), token, w.grant("four"), w.code())
		w.must(err)
	})
	w.find(token)
	if got := partners(w.find(token)); got != "four three two one" {
		t.Errorf("got %s, want four three two one", got)
	}
}

func TestRevokedGrantIsRefusedBesideNewerSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.grant("two")
	_, err := w.Revoke(t.Context(), operatorID)
	w.must(err)
	token, _ := w.start("one") // Koubei has confirmed the operator again
	if _, err := w.AddPartner(t.Context(), token, old, w.code()); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want revoked", err)
	}
	if s, err := w.Find(t.Context(), token); err == nil {
		if _, ok := s.Partner("two"); ok {
			t.Error("a revoked grant has become an entry")
		}
	}
}

// TestRevokedGrantIsNotWrittenBesideNewerSession cuts the replica from Redis after its write, so that it could not take the
// grant back.
func TestRevokedGrantIsNotWrittenBesideNewerSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim, tap := w.open()
	old := w.grant("two")
	_, err := w.Revoke(t.Context(), operatorID)
	w.must(err)
	token, _ := w.start("one") // Koubei has confirmed the operator again
	trips := cutAfterWrite(tap)
	if _, err := victim.AddPartner(t.Context(), token, old, w.code()); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want revoked", err)
	}
	if got := partners(w.find(token)); got != "one" {
		t.Errorf("got the partners %q, want one: the other grant was revoked", got)
	}
	if n := trips.Load(); n != 1 {
		t.Errorf("revoked: got %d round trips, want 1", n)
	}
	// The revocation is no longer in Redis.
	w.must(w.redis.Client.Del(t.Context(), "k:revoked:"+operatorID).Err())
	old.ClaimedAt -= operator.LogicalTime(session.RevocationWindow.Microseconds())
	cutAfterWrite(tap)
	if _, err := victim.AddPartner(t.Context(), token, old, w.code()); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("too old: got %v, want revoked", err)
	}
	if got := partners(w.find(token)); got != "one" {
		t.Errorf("got the partners %q, want one: the other grant is too old", got)
	}
	trips = cutAfterWrite(tap)
	_, err = victim.AddPartner(t.Context(), token, w.grant("three"), w.code())
	w.must(err)
	if n := trips.Load(); n != 2 {
		t.Errorf("not revoked: got %d round trips, want 2", n)
	}
}

// cutAfterWrite cuts a replica from Redis after its first write of a session. It counts the round trips without
// those that open a connection.
func cutAfterWrite(t *tap) *atomic.Int32 {
	n, cut := &atomic.Int32{}, &atomic.Bool{}
	f := tapFunc(func(ctx context.Context, names string, send func(context.Context) error) error {
		if strings.Contains(names, "get") || strings.Contains(names, "eval") {
			n.Add(1)
		}
		if cut.Load() {
			return errors.New("not sent")
		}
		cut.Store(strings.Contains(names, "eval:session"))
		return send(ctx)
	})
	t.do.Store(&f)
	return n
}

func TestSignOutWithLostReplyIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	w.tap.lose("eval")
	if _, err := w.End(t.Context(), token); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := w.Find(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("got %v, want none", err)
	}
	if _, err := w.End(t.Context(), token); !errors.Is(err, session.ErrNone) {
		t.Errorf("again: got %v, want none", err)
	}
}

// TestARepeatedStartKeepsWhatAnotherTabAdded loses the reply to a session's first write. Before go-redis retries it,
// another tab finds the session and adds its partner.
func TestARepeatedStartKeepsWhatAnotherTabAdded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := respproxy.Start(t, w.redis.Addr(), 1, func(c respproxy.Command) bool { return strings.HasPrefix(c.Key(), "k:session:") })
	behind, err := redis.ParseURL(p.URLs[0])
	w.must(err)
	client := redis.NewClient(behind)
	t.Cleanup(func() { client.Close() })
	slow, _ := w.open(func(o *session.Options) {
		o.Store = store.New(store.Options{Redis: client, Prefix: "k:", Timeout: 5 * time.Second})
	})
	arrivals := []string{"arrival"}
	p.Watch(1, respproxy.Fault{Action: respproxy.Cut, Moment: respproxy.AfterRest, Do: func(respproxy.Command) {
		found, err := w.FindArrivals(t.Context(), arrivals)
		if err != nil || len(found) != 1 {
			t.Errorf("the other tab found %d sessions: %v", len(found), err)
			return
		}
		w.add(found[0].Token, "two")
	}})
	s, err := slow.Start(t.Context(), w.grant("one"), w.code(), arrivals)
	w.must(err)
	if p.Heal() == nil {
		t.Error("no reply was lost")
	}
	if got := partners(w.find(s.Token)); got != "two one" {
		t.Errorf("got the partners %q, want both", got)
	}
}

// TestEndedSessionDoesNotSeparateTabs leaves the token of an ended session under an arrival. A landing that finds it,
// before or after it has started its own session, replaces it with its own token.
func TestEndedSessionDoesNotSeparateTabs(t *testing.T) {
	t.Parallel()
	for name, looksFirst := range map[string]bool{"found with the claim": true, "found with the save": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			arrivals := []string{"arrival"}
			for _, partner := range []string{"one", "two"} {
				if looksFirst {
					found, err := w.FindArrivals(t.Context(), arrivals)
					if err != nil || len(found) != 0 {
						t.Errorf("%s: found %d sessions: %v", partner, len(found), err)
					}
				}
				s, err := w.Start(t.Context(), w.grant(partner), w.code(), arrivals)
				w.must(err)
				if !looksFirst {
					met, err := w.Concurrent(t.Context(), s)
					if err != nil || len(met) != 0 {
						t.Errorf("%s: met %d sessions: %v", partner, len(met), err)
					}
				}
				found, err := w.FindArrivals(t.Context(), arrivals)
				if err != nil || len(found) != 1 || found[0].Token != s.Token {
					t.Errorf("%s: the next tab finds %d sessions: %v", partner, len(found), err)
				}
				_, err = w.End(t.Context(), s.Token)
				w.must(err)
			}
		})
	}
}

// TestRevokedSessionIsNotFoundUnderItsArrival: a write that arrives after the revocation leaves a session that another
// landing of the browser must not find.
func TestRevokedSessionIsNotFoundUnderItsArrival(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Start(t.Context(), w.grant("one"), w.code(), []string{"arrival"})
	w.must(err)
	if found, err := w.FindArrivals(t.Context(), []string{"arrival"}); err != nil || len(found) != 1 || found[0].Token != s.Token {
		t.Fatalf("before: got %d sessions, %v, want the one", len(found), err)
	}
	later := time.Now().Add(time.Minute).UnixMicro()
	w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, later, time.Minute).Err())
	if found, err := w.FindArrivals(t.Context(), []string{"arrival"}); err != nil || len(found) != 0 {
		t.Errorf("got %d sessions, %v, want none", len(found), err)
	}
	w.wantGone(s.Token)
}

// TestRevokeReportsSessionsThatItCouldNotEnd: the caller must know that it has to repeat the call.
func TestRevokeReportsSessionsThatItCouldNotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	w.tap.fail("eval:session")
	if n, err := w.Revoke(t.Context(), operatorID); !errors.Is(err, store.ErrUnavailable) || n != 0 {
		t.Errorf("got %d, %v, want unavailable", n, err)
	}
	w.wantIndexed(1)
	w.tap.do.Store(nil)
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 1 {
		t.Errorf("repeated: got %d, %v, want 1", n, err)
	}
	w.wantGone(token)
}

// TestUnreadableRevocationIsAnOutage: what cannot be read may be a revocation.
func TestUnreadableRevocationIsAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Start(t.Context(), w.grant("one"), w.code(), []string{"arrival"})
	w.must(err)
	g := w.grant("two")
	w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, "junk", time.Minute).Err())
	if found, err := w.FindArrivals(t.Context(), []string{"arrival"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("found under an arrival: got %d sessions, %v, want unavailable", len(found), err)
	}
	if _, err := w.begin(g); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("started: got %v, want unavailable", err)
	}
}

// TestWithdrawOfNothing: the write whose reply was lost was not carried out.
func TestWithdrawOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Withdraw(t.Context(), "none"); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

// TestCacheReportsWhyItServesNothing: Redis refuses the heartbeats.
func TestCacheReportsWhyItServesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, tap := w.open(func(o *session.Options) { o.CacheTTL = time.Minute })
	tap.fail("publish")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go m.Watch(ctx)
	testworld.Eventually(t, 10*time.Second, "the cache reports the refusal", func() error {
		if err := m.CacheErr(); !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

// TestRevocationIsWrittenAfterDeletions: a full Redis refuses the first write of a revocation. Revoke deletes the sessions
// and then writes the revocation, so an earlier grant becomes no session.
func TestRevocationIsWrittenAfterDeletions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := w.start("one")
	earlier := w.grant("two")
	w.tap.failAt("eval:revoked", 1)
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	w.wantGone(token)
	if _, err := w.begin(earlier); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("an earlier grant: got %v, want revoked", err)
	}
}

// TestLookupChangesNothing where no other landing of the browser has left a token.
func TestLookupChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.redis.Client.Set(t.Context(), "k:arrival:junk", "junk", time.Minute).Err())
	w.tap.before("eval:arrival", func() { t.Error("an arrival was written") })
	if found, err := w.FindArrivals(t.Context(), []string{"absent", "junk"}); err != nil || len(found) != 0 {
		t.Errorf("got %d sessions, %v, want none", len(found), err)
	}
}

// TestFindArrivalsReturnsEachSessionOnce, also after an arrival whose session is known already.
func TestFindArrivalsReturnsEachSessionOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Start(t.Context(), w.grant("one"), w.code(), []string{"a", "b"})
	w.must(err)
	second, err := w.Start(t.Context(), w.grant("two"), w.code(), []string{"c"})
	w.must(err)
	w.tap.before("eval:session", func() { t.Error("a session was written, and nothing was revoked") })
	found, err := w.FindArrivals(t.Context(), []string{"a", "b", "c"})
	if err != nil || len(found) != 2 || found[0].Token != first.Token || found[1].Token != second.Token {
		t.Fatalf("got %d sessions, %v, want both", len(found), err)
	}
	if partners(found[0].Session) != "one" || partners(found[1].Session) != "two" {
		t.Errorf("got the partners %q and %q", partners(found[0].Session), partners(found[1].Session))
	}
	w.tap.fail("get")
	if found, err := w.FindArrivals(t.Context(), []string{"a"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %d sessions, %v, want unavailable", len(found), err)
	}
}

// TestMetSessions: one arrival is new, and under the other there is the session of another landing.
func TestMetSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Start(t.Context(), w.grant("one"), w.code(), []string{"known"})
	w.must(err)
	second, err := w.Start(t.Context(), w.grant("two"), w.code(), []string{"new", "known"})
	w.must(err)
	if met, err := w.Concurrent(t.Context(), second); err != nil || len(met) != 1 || met[0].Token != first.Token || partners(met[0].Session) != "one" {
		t.Errorf("got %d sessions, %v, want the first", len(met), err)
	}
	w.tap.fail("get")
	if met, err := w.Concurrent(t.Context(), second); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %d sessions, %v, want unavailable", len(met), err)
	}
}

// TestArrivalOfAnotherSealKeyIsKept: a replica with another seal key may still use it.
func TestArrivalOfAnotherSealKeyIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	another, err := session.NewSealer([]byte(strings.Repeat("a", session.SealKeySize)))
	w.must(err)
	other, _ := w.open(func(o *session.Options) { o.Sealer = another })
	arrivals := []string{"arrival"}
	first, err := other.Start(t.Context(), w.grant("one"), w.code(), arrivals)
	w.must(err)
	second, err := w.Start(t.Context(), w.grant("two"), w.code(), arrivals)
	w.must(err)
	if met, err := w.Concurrent(t.Context(), second); err != nil || len(met) != 0 {
		t.Errorf("got %d sessions, %v, want none", len(met), err)
	}
	if found, err := other.FindArrivals(t.Context(), arrivals); err != nil || len(found) != 1 || found[0].Token != first.Token {
		t.Errorf("the other replica: got %d sessions, %v, want its own", len(found), err)
	}
}

// TestRevocationLeavesNewerEntries of a session that was left with revoked ones.
func TestRevocationLeavesNewerEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := func() session.Token {
		s, err := w.Start(t.Context(), w.grant("one"), w.code(), []string{"arrival"})
		w.must(err)
		return s.Token
	}
	revokeBefore := func(g operator.Grant) {
		w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, int64(g.ClaimedAt), time.Minute).Err())
	}
	wantTwo := func(s session.Session, token session.Token) {
		t.Helper()
		if partners(s) != "two" || partners(w.find(token)) != "two" {
			t.Errorf("got %q, and %q stored, want the newer entry", partners(s), partners(w.find(token)))
		}
	}
	token := start()
	g := w.grant("two")
	revokeBefore(g)
	s, err := w.AddPartner(t.Context(), token, g, w.code())
	w.must(err)
	wantTwo(s, token)
	_, err = w.End(t.Context(), token)
	w.must(err)
	w.must(w.redis.Client.FlushDB(t.Context()).Err())

	token = start()
	g = w.grant("two")
	_, err = w.AddPartner(t.Context(), token, g, w.code())
	w.must(err)
	revokeBefore(g)
	w.tap.fail("eval:session")
	if found, err := w.FindArrivals(t.Context(), []string{"arrival"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the write fails: got %d sessions, %v, want unavailable", len(found), err)
	}
	w.tap.do.Store(nil)
	found, err := w.FindArrivals(t.Context(), []string{"arrival"})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %d sessions, %v, want one", len(found), err)
	}
	wantTwo(found[0].Session, token)
}

// TestTakeBackKeepsAChangedSessionIndexed: another tab replaces the session's revoked entries with a newer one. The landing
// whose own entries are all revoked must leave that session in the index, or the next revocation does not find it.
func TestTakeBackKeepsAChangedSessionIndexed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, _ := w.open()
	token, _ := w.start("one")
	g := w.grant("two")
	w.tap.before("eval:operator", func() {
		newer := w.grant("three")
		w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, int64(newer.ClaimedAt), time.Minute).Err())
		s, err := other.AddPartner(t.Context(), token, newer, w.code())
		if err != nil || partners(s) != "three" {
			t.Errorf("the other tab got %q, %v, want its own entry", partners(s), err)
		}
	})
	if _, err := w.AddPartner(t.Context(), token, g, w.code()); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want revoked", err)
	}
	if got := partners(w.find(token)); got != "three" {
		t.Errorf("got %q, want the other tab's entry", got)
	}
	w.wantIndexed(1)
	if n, err := w.Revoke(t.Context(), operatorID); err != nil || n != 1 {
		t.Errorf("the next revocation: got %d, %v, want 1", n, err)
	}
	w.wantGone(token)
}

// TestEntryOfVersion01 has no time of its claim. The time of its exchange counts.
func TestEntryOfVersion01(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, s := w.start("one")
	key := "k:session:" + s.Hash()
	raw := regexp.MustCompile(`"claimed_at":\d+,`).ReplaceAllString(w.redis.Client.Get(t.Context(), key).Val(), "")
	w.must(w.redis.Client.Set(t.Context(), key, raw, time.Hour).Err())
	at := s.Newest().AuthenticatedAt.UnixMicro()
	for _, row := range []struct {
		revoked int64
		want    error
	}{{at - 1, nil}, {at, nil}, {at + 1, session.ErrNone}} {
		w.must(w.redis.Client.Set(t.Context(), "k:revoked:"+operatorID, row.revoked, time.Minute).Err())
		w.must(w.Withdraw(t.Context(), s.Hash()))
		if _, err := w.Find(t.Context(), token); !errors.Is(err, row.want) {
			t.Errorf("revoked %d µs after: got %v, want %v", row.revoked-at, err, row.want)
		}
	}
}
