// Package faults_test injects every fault at every step. For each operation of the service it records the commands to Redis,
// and repeats the operation with each kind of fault at each of these commands. The person then retries, and the test checks
// the invariants: see scene.
package faults_test

import (
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"koubei-landing/internal/testworld/history"
	"koubei-landing/internal/testworld/respproxy"
)

var (
	all   = flag.Bool("faults.all", false, "run every cell, not only a sample")
	only  = flag.String("faults.only", "", "regular expressions for the cells to run: clocks/operation/step/fault")
	lanes = flag.Int("faults.lanes", 6, "how many cells run at once")
)

// sample: without -faults.all, one in sample cells runs.
const sample = 60

// clocks holds how far the replicas' clocks are ahead of the real time.
type clocks struct {
	name  string
	ahead [2]time.Duration
	turn  time.Duration // by how much the first replica's clock is turned at the moment of the fault
}

var allClocks = []clocks{
	{name: "clocks agree"},
	{name: "the first replica 5m ahead", ahead: [2]time.Duration{5 * time.Minute, 0}},
	{name: "the first replica 5m behind", ahead: [2]time.Duration{0, 5 * time.Minute}},
	{name: "the clock steps back 5m", ahead: [2]time.Duration{5 * time.Minute, 5 * time.Minute}, turn: -5 * time.Minute},
}

// cell is one fault at one command of one operation.
type cell struct {
	operation string
	run       func(*scene)
	clocks    clocks
	step      int
	label     string // of the command
	fault     fault
}

// name returns the parts of the cell's name that are known.
func (c cell) name() []string {
	parts := []string{c.clocks.name, c.operation}
	if c.step > 0 {
		parts = append(parts, fmt.Sprintf("%02d %s", c.step, c.label), c.fault.String())
	}
	return parts
}

func (c cell) String() string { return strings.Join(c.name(), "/") }

// asked reports whether the flags ask for the cell.
func (c cell) asked() bool {
	patterns := strings.Split(*only, "/")
	for i, part := range c.name() {
		if i < len(patterns) && !regexp.MustCompile(patterns[i]).MatchString(part) {
			return false
		}
	}
	return true
}

// result is the result of a cell.
type result struct {
	cell
	wrong, unavoided []string
	took             time.Duration
	report           history.Report
}

// TestFaults injects every fault of Redis and of the network.
func TestFaults(t *testing.T) {
	t.Parallel()
	l := newLane(t)
	var cells []cell
	for _, c := range allClocks {
		cells = append(cells, plan(t, l, c, inProcessFaults)...)
	}
	runAll(t, chosen(cells), l, newLane)
}

// TestReplicaDeaths ends a replica, which is a separate process, with SIGKILL or SIGTERM at each step.
func TestReplicaDeaths(t *testing.T) {
	t.Parallel()
	l := newProcessLane(t)
	runAll(t, chosen(plan(t, l, allClocks[0], processFaults)), l, newProcessLane)
}

// plan records each operation and lists its cells.
func plan(t *testing.T, l *lane, at clocks, faults []fault) []cell {
	t.Helper()
	var cells []cell
	for _, op := range operations {
		whole := cell{operation: op.name, run: op.run, clocks: at}
		if !whole.asked() {
			continue
		}
		s := l.playFairly(t, whole)
		if len(s.wrong) > 0 {
			t.Errorf("%s, %s, without a fault: %q", at.name, op.name, s.wrong)
		}
		for i, command := range s.record {
			for _, f := range faults {
				cells = append(cells, cell{op.name, op.run, at, i + 1, labelOf(command), f})
			}
		}
	}
	return cells
}

// chosen returns the cells that the flags select.
func chosen(cells []cell) []cell {
	return slices.DeleteFunc(cells, func(c cell) bool {
		h := fnv.New32()
		h.Write([]byte(c.String()))
		return !c.asked() || !*all && *only == "" && h.Sum32()%sample != 0
	})
}

// runAll runs the cells, several at the same time, and prints the table.
func runAll(t *testing.T, cells []cell, first *lane, open func(*testing.T) *lane) {
	t.Helper()
	began := time.Now()
	queue := make(chan cell)
	results := make(chan result, len(cells))
	var workers sync.WaitGroup
	work := func(l *lane) {
		for c := range queue {
			results <- l.run(t, c)
		}
	}
	workers.Go(func() { work(first) })
	for range min(*lanes, len(cells)) - 1 {
		l := open(t)
		workers.Go(func() { work(l) })
	}
	for _, c := range cells {
		queue <- c
	}
	close(queue)
	workers.Wait()
	close(results)
	var rows []result
	for r := range results {
		rows = append(rows, r)
		for _, w := range r.wrong {
			t.Errorf("%s: %s", r.cell, w)
		}
	}
	slices.SortFunc(rows, func(a, b result) int { return cmp.Compare(b.took, a.took) })
	for _, r := range rows[:min(len(rows), 10)] {
		t.Logf("%s: %s", r.took.Round(time.Millisecond), r.cell)
	}
	t.Logf("%d cells in %s\n%s", len(rows), time.Since(began).Round(time.Second), table(rows))
}

// run runs a cell.
func (l *lane) run(t *testing.T, c cell) result {
	began := time.Now()
	s := l.playFairly(t, c)
	if c.step > 0 && s.fired == nil {
		s.unavoidable("the command did not come")
	}
	return result{c, s.wrong, s.unavoided, time.Since(began), s.report}
}

// playFairly plays a cell, at most three times, until it shows what it is for. It does not if the command at the cell's step
// differs from the recorded one, which happens while two requests are in work at the same time, or if a busy machine kept a
// replica from the gateway's response until the attempt had timed out: then the code is lost.
func (l *lane) playFairly(t *testing.T, c cell) *scene {
	for n := 1; ; n++ {
		lateBefore := l.lateAttempts(t)
		s := l.play(t, c)
		missed := c.step > 0 && (s.fired == nil || labelOf(*s.fired) != c.label)
		late := l.lateAttempts(t) > lateBefore
		if n == 3 || !late && (!missed || len(s.wrong) > 0) {
			return s
		}
		if late {
			t.Logf("%s: played again, because an attempt at the gateway timed out; it said %q", c, s.wrong)
		}
	}
}

// play runs an operation, with the cell's fault.
func (l *lane) play(t *testing.T, c cell) *scene {
	l.setClocks(c.clocks.ahead)
	l.mu.Lock()
	l.keys = map[string]bool{}
	l.mu.Unlock()
	l.front.forget()
	s := &scene{lane: l, t: t, at: c.step, fault: c.fault.Fault, history: &history.History{}}
	var signaled []int // read after the proxy has healed
	s.fault.Do = func(cmd respproxy.Command) {
		if c.clocks.turn != 0 {
			l.turn(0, c.clocks.turn)
		}
		if c.fault.empties {
			s.emptied.Store(true)
			l.empty()
		}
		if c.fault.kills {
			s.killed.Store(true)
			l.nodes[cmd.Via].kill()
			signaled = append(signaled, cmd.Via)
		}
		if c.fault.signals {
			l.nodes[cmd.Via].signal()
			signaled = append(signaled, cmd.Via)
		}
	}
	s.onEnd = func() {
		for _, n := range signaled {
			if err := l.restart(n); err != nil && !s.killed.Load() {
				s.fail("replica %d, after SIGTERM: %v", n, err)
			}
		}
	}
	if f := c.fault; f.untilAnswered && strings.HasPrefix(f.name, "NOPERM") {
		s.fault.Lasts = func(cmd respproxy.Command) bool {
			return c.label != "" && labelKind(labelOf(cmd)) == labelKind(c.label)
		}
	}
	c.run(s)
	s.report = s.checkHistory()
	for _, b := range s.opened {
		b.Client.CloseIdleConnections()
	}
	return s
}

func labelKind(label string) string {
	_, kind, _ := strings.Cut(label, " ")
	return kind
}

// table counts the results of the cells, by step and by fault.
func table(rows []result) string {
	type counts struct{ cells, held, unavoidable, failed int }
	byStep, byFault, byClock := map[string]*counts{}, map[string]*counts{}, map[string]*counts{}
	reasons := map[string]int{}
	add := func(to map[string]*counts, key string, r result) {
		c := to[key]
		if c == nil {
			c = &counts{}
			to[key] = c
		}
		c.cells++
		switch {
		case len(r.wrong) > 0:
			c.failed++
		case len(r.unavoided) > 0:
			c.unavoidable++
		default:
			c.held++
		}
	}
	for _, r := range rows {
		add(byStep, fmt.Sprintf("%s: %02d %s", r.operation, r.step, r.label), r)
		add(byFault, r.fault.String(), r)
		add(byClock, r.clocks.name, r)
		slices.Sort(r.unavoided)
		for _, why := range slices.Compact(r.unavoided) {
			reasons[why]++
		}
	}
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	for _, group := range []struct {
		name string
		of   map[string]*counts
	}{{"clocks", byClock}, {"fault", byFault}, {"step", byStep}} {
		fmt.Fprintf(w, "%s\tcells\theld\tunavoidable\tfailed\n", group.name)
		for _, key := range sorted(group.of) {
			c := group.of[key]
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", key, c.cells, c.held, c.unavoidable, c.failed)
		}
	}
	for _, why := range sorted(reasons) {
		fmt.Fprintf(w, "unavoidable: %s\t%d\n", why, reasons[why])
	}
	var checked history.Report
	for _, r := range rows {
		checked = checked.Plus(r.report)
	}
	fmt.Fprintln(w, checked)
	_ = w.Flush()
	return s.String()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
