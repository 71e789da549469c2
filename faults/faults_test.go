package faults_test

import (
	"fmt"
	"slices"
	"time"

	"koubei-landing/internal/testworld/respproxy"
)

// fault is one kind of fault at one command.
type fault struct {
	name string
	respproxy.Fault

	untilAnswered bool // it lasts until the operation's response, not only for one command
	empties       bool // Redis restarts with empty data
	kills         bool // the replica that sent the command is killed
	signals       bool // the replica that sent the command gets SIGTERM
}

// reads are the commands that Redis executes even if it refuses writes.
var reads = map[string]bool{"get": true, "mget": true, "exists": true, "ttl": true, "pttl": true, "time": true, "zrange": true,
	"zscore": true, "zcard": true, "hget": true, "hgetall": true, "hello": true, "client": true, "select": true, "auth": true}

func everything(respproxy.Command) bool { return true }

func writes(c respproxy.Command) bool { return !reads[c.Name()] }

// sameKind selects the commands about the same kind of key.
func sameKind(respproxy.Command) bool { panic("replaced where the command is known") }

// replies are errors of Redis, and the commands that Redis refuses with each of them.
var replies = []struct {
	text    string
	refuses func(respproxy.Command) bool
	closes  bool
}{
	{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", writes, false},
	{"READONLY You can't write against a read only replica.", writes, false},
	{"OOM command not allowed when used memory > 'maxmemory'.", writes, false},
	{"NOREPLICAS Not enough good replicas to write.", writes, false},
	{"NOPERM No permissions to access a key", sameKind, false},
	{"NOAUTH Authentication required.", everything, false},
	{"LOADING Redis is loading the dataset in memory", everything, false},
	{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", everything, false},
	{"CLUSTERDOWN The cluster is down", everything, false},
	{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", everything, false},
	{"TRYAGAIN Multiple keys request during rehashing of slot", everything, false},
	{"MOVED 3999 127.0.0.1:1", everything, false},
	{"ERR max number of clients reached", everything, true},
}

// networkFaults and the others list the kinds of faults. Those of processFaults need replicas in separate processes.
var (
	inProcessFaults = slices.Concat(networkFaults(), delays(), errorReplies(), restarts())
	processFaults   = deaths()
)

func networkFaults() []fault {
	var all []fault
	for _, untilAnswered := range []bool{false, true} {
		for _, f := range []respproxy.Fault{
			{Action: respproxy.Cut, Moment: respproxy.Before},
			{Action: respproxy.Cut, Moment: respproxy.After},
			{Action: respproxy.Cut, Moment: respproxy.AfterRest},
			{Action: respproxy.Reset, Moment: respproxy.Before},
			{Action: respproxy.Reset, Moment: respproxy.After},
			{Action: respproxy.Partial, Moment: respproxy.After},
			{Action: respproxy.BlackHole, Moment: respproxy.Before},
			{Action: respproxy.BlackHole, Moment: respproxy.After},
			{Action: respproxy.BlackHole, Moment: respproxy.AfterRest},
		} {
			if untilAnswered {
				f.Lasts = everything
			}
			all = append(all, fault{name: fmt.Sprint(f.Action, " ", f.Moment), Fault: f, untilAnswered: untilAnswered})
		}
	}
	return all
}

// delays are a short one that must have no effect, and one longer than the timeout, after which Redis executes the command.
func delays() []fault {
	var all []fault
	for _, d := range []time.Duration{redisTimeout / 6, redisTimeout * 5 / 3} {
		for _, m := range []respproxy.Moment{respproxy.Before, respproxy.After} {
			all = append(all, fault{name: fmt.Sprintf("delay of %s %s", d, m), Fault: respproxy.Fault{Action: respproxy.Delay, Moment: m, Delay: d}})
		}
	}
	return all
}

func errorReplies() []fault {
	var all []fault
	for _, r := range replies {
		for _, untilAnswered := range []bool{false, true} {
			var word string
			if fmt.Sscan(r.text, &word); word == "ERR" {
				word = "max clients"
			}
			f := respproxy.Fault{Action: respproxy.Refuse, Moment: respproxy.Before, Reply: r.text, Close: r.closes}
			if untilAnswered {
				f.Lasts = r.refuses
			}
			all = append(all, fault{name: word, Fault: f, untilAnswered: untilAnswered})
		}
	}
	return all
}

func restarts() []fault {
	var all []fault
	for _, m := range []respproxy.Moment{respproxy.Before, respproxy.After, respproxy.AfterRest} {
		all = append(all, fault{name: fmt.Sprint("restarted empty ", m), Fault: respproxy.Fault{Action: respproxy.Reset, Moment: m}, empties: true})
	}
	return all
}

func deaths() []fault {
	var all []fault
	for _, m := range []respproxy.Moment{respproxy.Before, respproxy.After, respproxy.AfterRest} {
		all = append(all, fault{name: fmt.Sprint("replica killed ", m), Fault: respproxy.Fault{Action: respproxy.Reset, Moment: m}, kills: true})
	}
	for _, m := range []respproxy.Moment{respproxy.Before, respproxy.After} {
		all = append(all, fault{name: fmt.Sprint("SIGTERM ", m), Fault: respproxy.Fault{Action: respproxy.Delay, Moment: m}, signals: true})
	}
	return all
}

func (f fault) String() string {
	if f.untilAnswered {
		return f.name + ", until answered"
	}
	return f.name
}
