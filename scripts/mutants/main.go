// Command mutants measures how many small faults in the code the tests notice. It takes a sample of mutants (a condition
// that is always true, a dropped error, a statement that is skipped), runs each against the tests that reach it, first those
// of its own package, then those of the packages that test it from outside, and prints the mutants that no test noticed.
//
// Why not gremlins or go-mutesting: they build the code once per mutant, and they run either the tests of the mutant's own
// package or all tests of the module. Here HTTP tests in other packages notice many faults of store, session and landing,
// and all tests take minutes. This command builds each test program once, with all mutants in it; an environment variable
// selects one. The mutants are in copies that go test -overlay reads, so the working tree does not change.
//
//	go run ./scripts/mutants -seed 1 -count 40 -v internal/landing internal/session
package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// testedBy lists, for each package, the packages that test it, in the order in which they run.
var testedBy = map[string][]string{
	"internal/landing":   {"internal/landing", "internal/handler"},
	"internal/session":   {"internal/session", "internal/landing", "internal/handler", "internal/app"},
	"internal/store":     {"internal/store", "internal/session", "internal/landing", "internal/app"},
	"internal/alipay":    {"internal/alipay", "internal/landing", "internal/handler", "internal/app"},
	"internal/handler":   {"internal/handler", "internal/app"},
	"internal/app":       {"internal/app", "cmd/server", "internal/handler", "internal/landing"},
	"internal/assertion": {"internal/assertion", "internal/handler"},
}

// A test program that takes longer than its timeout has failed. The timeout depends on what its tests took before.
const (
	minTimeout = 40 * time.Second
	maxTimeout = 5 * time.Minute
)

type run struct {
	dir     string // of the copies and the test programs
	overlay string
	mutants []*mutant
	tests   map[string][]test // by package
}

// test is a top-level test, with what it did without a mutant.
type test struct {
	name    string
	took    time.Duration
	reaches map[int]bool
	failed  string
}

var (
	seed        = flag.Uint64("seed", 1, "selects the sample")
	count       = flag.Int("count", 40, "mutants per package")
	jobs        = flag.Int("jobs", 2, "test programs at once")
	slowest     = flag.Duration("slowest", 2*time.Minute, "leave out tests that take longer")
	only        = flag.String("only", "", "`regexp` of the mutants of the sample to run")
	equivalents = flag.String("equivalent", "scripts/mutants/equivalent.txt", "`file` of mutants that no test can notice")
	verbose     = flag.Bool("v", false, "print the killed mutants, too")
)

func main() {
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = slices.Sorted(maps.Keys(testedBy))
	}
	if err := measure(packages); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func measure(packages []string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	known, err := readEquivalents(*equivalents)
	if err != nil {
		return err
	}
	r := &run{dir: dir, overlay: filepath.Join(dir, "overlay.json"), tests: map[string][]test{}}
	if err := r.sample(packages); err != nil {
		return err
	}
	if err := r.build(packages); err != nil {
		return err
	}
	for _, p := range packages {
		for _, tests := range testedBy[p] {
			if err := r.try(tests); err != nil {
				return err
			}
		}
	}
	each(r.mutants, func(m *mutant) {
		m.killer = r.kill(m)
		m.equivalent = m.killer == "" && known[m.String()]
		switch {
		case m.killer == "" && !m.equivalent:
			fmt.Printf("survived: %s:%d: %s\n", m.file, m.line, m)
		case m.killer != "" && known[m.String()]:
			fmt.Printf("not equivalent: %s:%d: %s: %s\n", m.file, m.line, m, m.killer)
		case *verbose && m.killer != "":
			fmt.Printf("killed: %s:%d: %s: %s\n", m.file, m.line, m, m.killer)
		}
	})
	fmt.Printf("\n%-20s %8s %8s %10s %9s %7s\n", "package", "mutants", "killed", "equivalent", "survived", "score")
	for _, p := range packages {
		var all, killed, equivalent int
		for _, m := range r.mutants {
			switch {
			case filepath.Dir(m.file) != p:
				continue
			case m.killer != "":
				killed++
			case m.equivalent:
				equivalent++
			}
			all++
		}
		score := 100 * float64(killed) / float64(max(all-equivalent, 1))
		fmt.Printf("%-20s %8d %8d %10d %9d %6.1f%%\n", p, all, killed, equivalent, all-killed-equivalent, score)
	}
	return nil
}

// sample takes mutants of each package.
func (r *run) sample(packages []string) error {
	selected, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	for _, p := range packages {
		found, err := find(p)
		if err != nil {
			return err
		}
		random := rand.New(rand.NewPCG(*seed, 0))
		random.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		for _, m := range found[:min(*count, len(found))] {
			if selected.MatchString(m.String()) {
				r.mutants = append(r.mutants, m)
				m.id = len(r.mutants)
			}
		}
	}
	return nil
}

// build writes the copies and drops the mutants that do not compile.
func (r *run) build(packages []string) error {
	args := []string{"build"}
	for _, p := range packages {
		args = append(args, "./"+p)
	}
	for {
		if err := writeCopies(r.mutants, r.dir, r.overlay); err != nil {
			return err
		}
		out, err := r.command("", "go", args...).CombinedOutput()
		if err == nil {
			return nil
		}
		before := len(r.mutants)
		for _, at := range regexp.MustCompile(`(?m)^(\S+\.go):(\d+):(\d+):`).FindAllStringSubmatch(string(out), -1) {
			id := mutantAt(at[1], at[2], at[3])
			r.mutants = slices.DeleteFunc(r.mutants, func(m *mutant) bool { return m.id == id })
		}
		if len(r.mutants) == before {
			return fmt.Errorf("the copies do not compile: %s", out)
		}
	}
}

// mutantAt returns the id of the mutant in a copy in which the compiler has found an error.
func mutantAt(file, line, column string) int {
	src, _ := os.ReadFile(file)
	row, _ := strconv.Atoi(line)
	end, _ := strconv.Atoi(column)
	lines := strings.Split(string(src), "\n")
	text := lines[min(row, len(lines))-1]
	ids := regexp.MustCompile(`mutant[A-Z][a-z]+\((\d+)`).FindAllStringSubmatch(text[:min(end-1+len("mutantZero(1234"), len(text))], -1)
	if len(ids) == 0 {
		return 0
	}
	id, _ := strconv.Atoi(ids[len(ids)-1][1])
	return id
}

// try builds a package's test program and runs each of its tests once without a mutant, to see which mutants it reaches.
func (r *run) try(p string) error {
	if r.tests[p] != nil {
		return nil
	}
	if out, err := r.command("", "go", "test", "-c", "-vet=off", "-o", r.program(p), "./"+p).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", p, err, out)
	}
	list, err := r.command(p, r.program(p), "-test.list", "^(Test|Fuzz|Example)").Output()
	if err != nil {
		return fmt.Errorf("%s: list of tests: %w", p, err)
	}
	var tests []*test
	for name := range strings.FieldsSeq(string(list)) {
		tests = append(tests, &test{name: name, reaches: map[int]bool{}})
	}
	each(tests, func(t *test) {
		file := r.program(p) + "." + t.name
		cmd := r.command(p, r.program(p), "-test.timeout", maxTimeout.String(), "-test.run", "^"+t.name+"$")
		cmd.Env = append(cmd.Env, "MUTANTS_REACHED="+file)
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.failed = failureIn(out)
		}
		t.took = time.Since(began)
		reached, _ := os.ReadFile(file) // no file: none
		for id := range strings.FieldsSeq(string(reached)) {
			n, _ := strconv.Atoi(id)
			t.reaches[n] = true
		}
	})
	for _, t := range tests {
		if t.failed != "" {
			fmt.Printf("left out, because it fails without a mutant: %s in %s: %s\n", t.name, p, t.failed)
			continue
		}
		if t.took > *slowest {
			fmt.Printf("left out, because it takes %s: %s in %s\n", t.took.Round(time.Second), t.name, p)
			continue
		}
		r.tests[p] = append(r.tests[p], *t)
	}
	slices.SortFunc(r.tests[p], func(a, b test) int { return int(a.took - b.took) })
	return nil
}

// kill runs the tests that reach a mutant until one fails, and returns which; empty when none does.
func (r *run) kill(m *mutant) string {
	for _, p := range testedBy[filepath.Dir(m.file)] {
		var names []string
		timeout := minTimeout
		for _, t := range r.tests[p] {
			if t.reaches[m.id] {
				names = append(names, t.name)
				timeout += t.took // at most: they run eight at a time
			}
		}
		if len(names) == 0 {
			continue
		}
		cmd := r.command(p, r.program(p), "-test.failfast", "-test.parallel", "8", // the tests mostly wait
			"-test.timeout", min(timeout, maxTimeout).String(), "-test.run", "^("+strings.Join(names, "|")+")$")
		cmd.Env = append(cmd.Env, "MUTANT="+strconv.Itoa(m.id))
		cmd.WaitDelay = 5 * time.Second
		if out, err := cmd.CombinedOutput(); err != nil {
			return p + " " + failureIn(out)
		}
	}
	return ""
}

// failureIn returns which test failed, or why the program ended, from its output.
func failureIn(out []byte) string {
	return cmp.Or(string(regexp.MustCompile(`(?m)^--- FAIL: \S+|^panic: .*|^fatal error: .*`).Find(out)), "the program ended without a failed test")
}

func (r *run) program(p string) string {
	return filepath.Join(r.dir, strings.ReplaceAll(p, "/", "-")+".test")
}

// command prepares a command in a package's folder. Tests that build a program build it with the mutants, too.
func (r *run) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+r.overlay)
	return cmd
}

// each calls f for every item, with at most *jobs calls at the same time.
func each[T any](items []T, f func(T)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, *jobs)
	for _, item := range items {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			f(item)
		})
	}
	group.Wait()
}
