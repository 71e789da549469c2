package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// serving is the command serve, running in this process.
type serving struct {
	log   synced
	stop  context.CancelFunc
	ended chan int
}

// startServing runs serve until the test ends, and returns once it serves. Such tests do not run in parallel: go-redis has
// one log for the process.
func startServing(t *testing.T, env map[string]string) *serving {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &serving{stop: stop, ended: make(chan int, 1)}
	go func() { s.ended <- run(ctx, nil, environ(env), &s.log, &s.log) }()
	t.Cleanup(func() { s.end() })
	testworld.Eventually(t, 20*time.Second, "it serves", func() error {
		if !strings.Contains(s.log.String(), `"msg":"serving"`) {
			return errors.New(s.log.String())
		}
		return nil
	})
	return s
}

// end stops the command and returns the exit code.
func (s *serving) end() int {
	s.stop()
	code := <-s.ended
	s.ended <- code
	return code
}

// address returns the address of a listener with the scheme.
func (s *serving) address(listener string) string {
	_, after, _ := strings.Cut(s.log.String(), `"`+listener+`":"`)
	address, _, _ := strings.Cut(after, `"`)
	return "http://" + address
}

// socketSettings returns settings that listen on two new sockets.
func socketSettings(t *testing.T) (env map[string]string, public, internal string) {
	t.Helper()
	env, _ = good(t)
	dir := t.TempDir()
	public, internal = filepath.Join(dir, "public.sock"), filepath.Join(dir, "internal.sock")
	env["PUBLIC_LISTEN"], env["INTERNAL_LISTEN"] = "unix:"+public, "unix:"+internal
	return env, public, internal
}

// getFrom sends a request over a socket and returns the status.
func getFrom(t *testing.T, socket, path string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	response, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// Both listeners may be sockets: their mode is 0660, healthcheck can use them, and they are removed at the end.
func TestUnixListeners(t *testing.T) {
	t.Parallel()
	env, public, internal := socketSettings(t)
	s := startServing(t, env)
	for _, path := range []string{public, internal} {
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("%s: got %v %v, want a socket of mode 0660", path, info, err)
		}
	}
	if got := s.address("public"); got != "http://unix:"+public {
		t.Errorf("got %s in the log, want the socket", got)
	}
	if got := getFrom(t, public, "/signin"); got != http.StatusOK {
		t.Errorf("/signin: got %d, want 200", got)
	}
	if got := getFrom(t, internal, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: got %d, want 200", got)
	}
	if got := runWith(t.Context(), env, "healthcheck"); got.code != exitOK {
		t.Errorf("healthcheck: got %d %s", got.code, got.stderr)
	}
	if second := runWith(t.Context(), env, "serve"); second.code != exitFailed {
		t.Errorf("a second service on the same sockets: got exit code %d, want 1", second.code)
	}
	if got := getFrom(t, public, "/signin"); got != http.StatusOK {
		t.Errorf("/signin after that: got %d, want 200", got)
	}
	if code := s.end(); code != exitOK {
		t.Errorf("got exit code %d: %s", code, s.log.String())
	}
	for _, path := range []string{public, internal} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want it removed", path, err)
		}
	}
	if got := runWith(t.Context(), env, "healthcheck"); got.code != exitFailed {
		t.Errorf("healthcheck after the end: got %d, want 1", got.code)
	}
}

// If a socket that a killed process has left exists at the path, it is replaced. Anything else is kept.
func TestUnixListenerReplacesOnlyStaleSockets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		leave func(path string) error
		works bool
	}{
		{"stale socket", func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return l.Close()
		}, true},
		{"file", func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) }, false},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, false},
		{"link to a file", func(path string) error { return os.Symlink("/etc/hostname", path) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			env, public, _ := socketSettings(t)
			if err := row.leave(public); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(public)
			if err != nil {
				t.Fatal(err)
			}
			if row.works {
				startServing(t, env)
				if got := getFrom(t, public, "/signin"); got != http.StatusOK {
					t.Errorf("/signin: got %d, want 200", got)
				}
				return
			}
			if got := runWith(t.Context(), env, "serve"); got.code != exitFailed {
				t.Errorf("got exit code %d, want 1: %s", got.code, got.stderr)
			}
			after, err := os.Lstat(public)
			if err != nil || !os.SameFile(before, after) || after.Size() != before.Size() {
				t.Errorf("got %v %v, want it untouched", after, err)
			}
		})
	}
}

func TestListenAddresses(t *testing.T) {
	t.Parallel()
	env, _ := good(t)
	for address, valid := range map[string]bool{
		":8080": true, "0.0.0.0:80": true, "[::1]:9090": true, "localhost:0": true, "unix:/run/koubei.sock": true,
		"8080": false, "localhost": false, ":http": false, ":70000": false, "unix:": false, "unix:relative.sock": false, "unix:/": false,
		"unix:/run/": false, "unix:/" + strings.Repeat("x", 103): false, "http://localhost:8080": false, "localhost：8080": false,
	} {
		for _, name := range []string{"PUBLIC_LISTEN", "INTERNAL_LISTEN"} {
			env["PUBLIC_LISTEN"], env["INTERNAL_LISTEN"] = ":1", ":2"
			env[name] = address
			if got := concerning(parseWith(t, env).problems, name) == 0; got != valid {
				t.Errorf("%s=%s: got valid %v, want %v", name, address, got, valid)
			}
		}
	}
}
