package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// TestCheckOutput prints on a terminal and elsewhere: problems first, each with its fix below it, then the passed checks,
// aligned, and every setting with its source.
func TestCheckOutput(t *testing.T) {
	t.Parallel()
	redis := testworld.StartRedis(t, "--maxmemory-policy", "allkeys-lru")
	for _, row := range []struct {
		name     string
		env      map[string]string
		terminal bool
		ok       string // the sign of a passed check
		failure  string
		fix      string
		colors   bool
	}{
		{"a pipe", nil, false, "ok      ", "failure ", "fix: ", false},
		{"a terminal", map[string]string{"TERM": "xterm"}, true, "✓", "✗", "→ ", true},
		{"a terminal, NO_COLOR", map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true, "✓", "✗", "→ ", false},
		{"a terminal that can't", map[string]string{"TERM": "dumb"}, true, "✓", "✗", "→ ", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := settingsFor(t, koubeisim.Options{})
			c.koubei.Next(koubeisim.InvalidAppID)
			c.env["REDIS_URL"], c.env["ADMIN_TOKEN"] = redis.URL(), strings.Repeat("secret", 6)
			for name, value := range row.env {
				c.env[name] = value
			}
			out := c.printed(t, row.terminal)
			plain := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(out, "")
			if (plain != out) != row.colors {
				t.Errorf("got colors %t, want %t", plain != out, row.colors)
			}
			sections := strings.Split(plain, "\n\n")
			titles := make([]string, len(sections))
			for i, section := range sections {
				titles[i], _, _ = strings.Cut(strings.TrimSpace(section), "\n")
			}
			want := []string{"Problems", "Settings", "Keys", "Gateway", "Redis", "Proxies", "Settings in effect", "failures: 1, warnings: 1"}
			if !slices.Equal(titles, want) {
				t.Fatalf("got sections %q, want %q", titles, want)
			}
			lines := strings.Split(sections[0], "\n")
			if len(lines) != 5 || !strings.HasPrefix(lines[1], row.failure+" gateway ") || !strings.HasPrefix(strings.TrimSpace(lines[2]), row.fix) ||
				!strings.HasPrefix(strings.TrimSpace(lines[4]), row.fix) {
				t.Errorf("got problems\n%s\nwant the failure and the warning, each with its fix", sections[0])
			}
			column := aligned(t, lines[1])
			for _, section := range sections[1:6] {
				for _, line := range strings.Split(section, "\n")[1:] {
					if at := aligned(t, line); at != column || !strings.HasPrefix(line, row.ok) && !strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "skipped") {
						t.Errorf("line %q has its detail in column %d, want %d", line, at, column)
					}
				}
			}
			for setting, want := range map[string]string{
				"REDIS_URL": "set variable", "ADMIN_TOKEN": "set variable", "REDIS_MODE": "single default", "SEAL_KEYS": "set default",
				"ENTRY_URL": "not set", "REDIS_TIMEOUT": "100ms variable", "REDIS_KEY_PREFIX": "koubei:" + c.koubei.AppID() + ": default",
			} {
				i := slices.IndexFunc(strings.Split(sections[6], "\n"), func(line string) bool {
					return strings.Join(strings.Fields(line), " ") == setting+" "+want
				})
				if i < 0 {
					t.Errorf("no %q for %s in\n%s", want, setting, sections[6])
				}
			}
			if strings.Contains(out, "secret") {
				t.Error("the secret is printed")
			}
		})
	}
}

// aligned returns the column in which a finding's detail starts.
func aligned(t *testing.T, line string) int {
	t.Helper()
	columns := regexp.MustCompile(`^(\S+ +\S.*?  +)\S`).FindStringSubmatch(line)
	if columns == nil {
		t.Fatalf("no columns in %q", line)
	}
	return len([]rune(columns[1]))
}

// printed returns what server check prints, to a terminal or to a pipe.
func (c checked) printed(t *testing.T, terminal bool) string {
	t.Helper()
	if !terminal {
		got := runWith(t.Context(), c.env, "check")
		if got.code != exitFailed || got.stderr != "" {
			t.Errorf("got %d, %q on stderr, want %d and nothing", got.code, got.stderr, exitFailed)
		}
		return got.stdout
	}
	master, slave := openTerminal(t)
	read := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = io.Copy(&all, master) // ends with an error when the other side is closed
		read <- all.String()
	}()
	code := run(t.Context(), []string{"check"}, environ(c.env), slave, io.Discard)
	must(t, slave.Close())
	if code != exitFailed {
		t.Errorf("got %d, want %d", code, exitFailed)
	}
	return strings.ReplaceAll(<-read, "\r\n", "\n")
}

// openTerminal opens a pseudoterminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return master, slave
}

// TestCheckWithRedisDown ends in a bounded time, and still lists all other findings.
func TestCheckWithRedisDown(t *testing.T) {
	t.Parallel()
	frozen := testworld.StartRedis(t)
	frozen.Freeze()
	for name, env := range map[string]map[string]string{
		"nothing listens":     {"REDIS_URL": "redis://127.0.0.1:1"},
		"frozen":              {"REDIS_URL": frozen.URL()},
		"frozen, a Cluster":   {"REDIS_URL": "redis://" + frozen.Addr(), "REDIS_MODE": "cluster"},
		"frozen, a Sentinel":  {"REDIS_URL": "redis://" + frozen.Addr() + "?master_name=koubei", "REDIS_MODE": "sentinel"},
		"frozen, a password":  {"REDIS_URL": "redis://:hush@" + frozen.Addr()},
		"frozen, TLS":         {"REDIS_URL": "rediss://" + frozen.Addr()},
		"an address unknown":  {"REDIS_URL": "redis://redis.invalid:6379"},
		"frozen, much waited": {"REDIS_URL": frozen.URL(), "REDIS_WAIT_REPLICAS": "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := settingsFor(t, koubeisim.Options{})
			for variable, value := range env {
				c.env[variable] = value
			}
			begun := time.Now()
			findings, code := c.check(t)
			// 20 x REDIS_TIMEOUT for all commands to Redis, plus time for a busy machine.
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if code != exitFailed || len(failures(findings)) == 0 || !has(findings, "gateway", "ok", "") || !has(findings, "proxies", "ok", "") {
				t.Errorf("got %d, %+v", code, findings)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
