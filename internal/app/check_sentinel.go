package app

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/setting"
)

// sentinelAnswer is one Sentinel's reply about the master.
type sentinelAnswer struct {
	address string
	master  string
	err     error
}

// checkSentinels asks every Sentinel in REDIS_URL for the master, and reports whether one of them knows it. The client asks
// them too, but it joins their errors into one, in which it is unclear whose password is wrong.
func checkSentinels(ctx context.Context, c Redis) (found []Finding, ok bool) {
	master := ""
	for _, a := range askSentinels(ctx, c) {
		f := Finding{Group: groupRedis, Check: "sentinel " + a.address, Level: OK, Detail: "the master is " + a.master}
		switch {
		case a.err != nil:
			f = failure(f.Check, explainSentinel(a.err, c))
		case master != "" && a.master != master:
			f.Level, f.Settings, f.Fix = Warning, []string{"REDIS_URL"}, "wait until a failover is over; the Sentinels in REDIS_URL must watch the same Redis"
			f.Detail += ", but another Sentinel names another one"
		default:
			master = a.master
		}
		found = append(found, f)
	}
	if master == "" {
		return found, false
	}
	for i := range found {
		if found[i].Level == Failure { // the other Sentinels are enough
			found[i].Level = Warning
		}
	}
	return found, true
}

// askSentinels returns the Sentinels' replies in the order of REDIS_URL, which OpenRedis has accepted.
func askSentinels(ctx context.Context, c Redis) []sentinelAnswer {
	o, _ := redis.ParseFailoverURL(c.URL)
	_ = c.secure(o.TLSConfig)
	answers := make([]sentinelAnswer, len(o.SentinelAddrs))
	var all sync.WaitGroup
	for i, address := range o.SentinelAddrs {
		all.Go(func() {
			client := redis.NewSentinelClient(&redis.Options{
				Addr: address, Username: o.SentinelUsername, Password: o.SentinelPassword, Dialer: dial(c, o.TLSConfig),
				DialTimeout: dialRoundTrips * c.Timeout, DialerRetries: 1, MaxRetries: -1, ReadTimeout: c.Timeout,
				ContextTimeoutEnabled: true, DisableIdentity: true, Protocol: 2,
			})
			defer client.Close()
			master, err := client.GetMasterAddrByName(ctx, o.MasterName).Result()
			if err == nil && len(master) != 2 {
				err = errors.New("not an address")
			}
			answers[i] = sentinelAnswer{address: address, err: err}
			if err == nil {
				answers[i].master = net.JoinHostPort(master[0], master[1])
			}
		})
	}
	all.Wait()
	return answers
}

func explainSentinel(err error, c Redis) setting.Problem {
	switch {
	case err == redis.Nil: //nolint:errorlint // the Sentinel's own reply, not a dial error that Nil was joined into
		return setting.Bad("REDIS_URL", "has a master_name that the Sentinel does not know", "correct ?master_name=: redis-cli -p 26379 SENTINEL MASTERS lists the names")
	case redis.HasErrorPrefix(err, "NOAUTH"):
		return setting.Bad("REDIS_URL", "has no password in front of the host, but the Sentinel requires one (NOAUTH)", "write the Sentinels' user and password there; the master's are the options username and password")
	case redis.HasErrorPrefix(err, "WRONGPASS"), redis.HasErrorPrefix(err, "AUTH <password> called without any password"):
		return setting.Bad("REDIS_URL", "has a user or password in front of the host that the Sentinel refuses (WRONGPASS)", "write the Sentinels' user and password there, or none; "+masterPassword)
	case redis.HasErrorPrefix(err, "unknown command"):
		return setting.Bad("REDIS_MODE", "is sentinel, but this is not a Sentinel", "write the Sentinels' addresses into REDIS_URL (their port is 26379), or set REDIS_MODE=single")
	}
	return explain(err, Redis{Mode: Single, Certificate: c.Certificate})
}
