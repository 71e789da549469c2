package respproxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/respproxy"
)

func connected(t *testing.T, protocol int) (*respproxy.Proxy, *redis.Client, *redis.Client) {
	t.Helper()
	r := testworld.StartRedis(t)
	p := respproxy.Start(t, r.Addr(), 1, func(c respproxy.Command) bool { return c.Name() != "hello" && c.Name() != "client" })
	o, err := redis.ParseURL(p.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	o.Protocol, o.MaxRetries, o.DisableIdentity, o.ContextTimeoutEnabled = protocol, -1, true, true
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return p, c, r.Client
}

// TestFaultsInAPipeline injects each fault at the second of three commands and looks at what Redis has executed, and at how
// many replies the client got.
func TestFaultsInAPipeline(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		action   respproxy.Action
		moment   respproxy.Moment
		executed int // of the three commands
		replies  int // go-redis gives none where the pipeline has failed
	}{
		{respproxy.Cut, respproxy.Before, 1, 0},
		{respproxy.Cut, respproxy.After, 2, 0},
		{respproxy.Cut, respproxy.AfterRest, 3, 0},
		{respproxy.Reset, respproxy.Before, 1, 0},
		{respproxy.Reset, respproxy.After, 2, 0},
		{respproxy.Partial, respproxy.After, 2, 0},
		{respproxy.BlackHole, respproxy.Before, 1, 0},
		{respproxy.BlackHole, respproxy.After, 2, 0},
		{respproxy.BlackHole, respproxy.AfterRest, 3, 0},
		{respproxy.Delay, respproxy.Before, 3, 3},
		{respproxy.Delay, respproxy.After, 3, 3},
		{respproxy.Refuse, respproxy.Before, 2, 2},
	} {
		for _, protocol := range []int{2, 3} {
			t.Run(fmt.Sprint(row.action, " ", row.moment, ", RESP", protocol), func(t *testing.T) {
				t.Parallel()
				p, client, direct := connected(t, protocol)
				called := 0
				p.Watch(2, respproxy.Fault{Action: row.action, Moment: row.moment, Delay: 10 * time.Millisecond, Reply: "OOM full",
					Do: func(respproxy.Command) { called++ }})
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				cmds, _ := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
					pipe.Set(ctx, "a", "x", 0)
					pipe.Eval(ctx, "return redis.call('INCR', KEYS[1])", []string{"b"})
					pipe.Set(ctx, "c", "x", 0)
					return nil
				})
				if fired := p.Heal(); fired == nil || fired.Name() != "eval" || fired.Key() != "b" || called != 1 {
					t.Fatalf("the fault happened at %v, and Do was called %d times", fired, called)
				}
				if n := direct.Exists(t.Context(), "a", "b", "c").Val(); int(n) != row.executed {
					t.Errorf("executed: got %d, want %d", n, row.executed)
				}
				executed, replies := 0, 0
				for _, c := range p.Record() {
					if c.Executed {
						executed++
					}
				}
				if executed != row.executed {
					t.Errorf("recorded as executed: got %d, want %d", executed, row.executed)
				}
				for _, c := range cmds {
					if c.Err() == nil {
						replies++
					}
				}
				if replies != row.replies {
					t.Errorf("replies: got %d, want %d", replies, row.replies)
				}
				if err := client.Set(t.Context(), "later", "x", 0).Err(); err != nil {
					t.Errorf("after the fault: %v", err)
				}
			})
		}
	}
}

func TestAFaultThatLasts(t *testing.T) {
	t.Parallel()
	p, client, _ := connected(t, 3)
	p.Watch(1, respproxy.Fault{Action: respproxy.Refuse, Moment: respproxy.Before, Reply: "READONLY replica",
		Lasts: func(c respproxy.Command) bool { return c.Name() == "set" }})
	ctx := t.Context()
	got := []string{
		client.Set(ctx, "a", "x", 0).String(), client.Get(ctx, "a").String(), client.Set(ctx, "a", "x", 0).String(),
	}
	p.Heal()
	got = append(got, client.Set(ctx, "a", "x", 0).String())
	for i, refused := range []bool{true, false, true, false} {
		if strings.Contains(got[i], "READONLY") != refused {
			t.Errorf("command %d: got %q, refused: want %t", i, got[i], refused)
		}
	}
}

// TestPushedMessages are those of a subscription: no request asks for them.
func TestPushedMessages(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			t.Parallel()
			p, client, direct := connected(t, protocol)
			sub := client.Subscribe(t.Context(), "news")
			defer sub.Close()
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := direct.Publish(t.Context(), "news", "message").Err(); err != nil {
					t.Fatal(err)
				}
				if m, err := sub.ReceiveMessage(t.Context()); err != nil || m.Payload != "message" {
					t.Fatalf("got %v, %v", m, err)
				}
			}
			if err := client.Info(t.Context()).Err(); err != nil { // a verbatim string in RESP3
				t.Error(err)
			}
			p.ResetAll()
			if _, err := sub.ReceiveTimeout(t.Context(), 5*time.Second); err == nil {
				t.Error("the subscription has outlived its connection")
			}
			names := []string{}
			for _, c := range p.Record() {
				names = append(names, c.Name())
			}
			if !slices.Contains(names, "subscribe") || !slices.Contains(names, "info") {
				t.Errorf("recorded: got %q", names)
			}
		})
	}
}
