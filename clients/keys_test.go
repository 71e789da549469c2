package clients_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hanging accepts connections and never responds.
func hanging(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// TestClientsBoundTheFetchOfKeys: if the service hangs, the clients return 503 after a short time.
func TestClientsBoundTheFetchOfKeys(t *testing.T) {
	t.Parallel()
	first, _ := keys(t)
	w := newISV(t, first)
	assertion, address := w.assertion(""), hanging(t)
	for _, p := range programs(t) {
		begun := time.Now()
		got := p.verify(t, assertion, "KOUBEI_ISSUER="+w.Config.Web.PublicURL.String(), "KOUBEI_JWKS_URL="+address+"/jwks.json")
		if got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %v, want 503", p.name, got)
		}
		// 3 s for the fetch, plus time for a busy machine.
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("%s: took %s", p.name, took)
		}
	}
}

// TestKnownKeysWhileTheServiceHangs verifies twice in one process. The second time is ten minutes later by the clock of the
// program, and the service hangs. The key is known, so no request waits.
func TestKnownKeysWhileTheServiceHangs(t *testing.T) {
	t.Parallel()
	first, _ := keys(t)
	w := newISV(t, first)
	if err := nodeModules(); err != nil {
		t.Fatal(err)
	}
	for _, script := range []struct {
		name, dir string
		command   []string
	}{
		{"node", "node", []string{"node", "--input-type=module", "-e", `
import { koubeiVerifier } from './koubei.mjs'
const { KOUBEI_ISSUER: issuer, ASSERTION: assertion, LINK: jwksUrl, CUT: cut } = process.env
const operatorOf = koubeiVerifier({ issuer, jwksUrl })
await operatorOf(assertion)
await fetch(cut)
const now = Date.now, claims = Date
Date.now = () => now() + 600_000
globalThis.Date = class extends claims { static now() { return now() + 600_000 } constructor(...a) { a.length ? super(...a) : super(now()) } } // exp is compared with new Date()
const begun = now()
for (let i = 0; i < 5; i++) await operatorOf(assertion)
console.log(now() - begun)`}},
		{"python", "python", []string{python, "-c", `
import os, time, urllib.request, koubei
verifier = koubei.Verifier(os.environ["KOUBEI_ISSUER"], jwks_url=os.environ["LINK"])
verifier.operator(os.environ["ASSERTION"])
urllib.request.urlopen(os.environ["CUT"]).read()
real = time.monotonic
time.monotonic = lambda: real() + 600
begun = real()
for _ in range(5): verifier.operator(os.environ["ASSERTION"])
print(int(1000 * (real() - begun)))`}},
		{"php", "php", []string{"php", "-r", `
require 'koubei.php';
$verifier = new Koubei\Verifier(getenv('KOUBEI_ISSUER'), getenv('CACHE'), null, getenv('LINK'));
$verifier->operator(getenv('ASSERTION'));
file_get_contents(getenv('CUT'));
$cache = json_decode(file_get_contents(getenv('CACHE')), true);
$cache['loaded'] -= 600; $cache['tried'] -= 600;
file_put_contents(getenv('CACHE'), json_encode($cache));
$begun = microtime(true);
for ($i = 0; $i < 5; $i++) $verifier->operator(getenv('ASSERTION'));
echo (int) (1000 * (microtime(true) - $begun));`}},
	} {
		t.Run(script.name, func(t *testing.T) {
			link := newLink(t, w.Public)
			out, err := run(script.dir, "", []string{"KOUBEI_ISSUER=" + w.Config.Web.PublicURL.String(), "ASSERTION=" + w.assertion(""), "PYTHONDONTWRITEBYTECODE=1",
				"LINK=" + link + "/.well-known/jwks.json", "CUT=" + link + "/cut", "CACHE=" + filepath.Join(t.TempDir(), "keys")}, script.command[0], script.command[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			if took, err := strconv.Atoi(strings.TrimSpace(out)); err != nil || took > 2000 {
				t.Errorf("five verifications took %q ms, %v, want less than the 3 s of a fetch", out, err)
			}
		})
	}
}

// newLink forwards requests to a service until /cut is requested. After that it never responds.
func newLink(t *testing.T, service string) string {
	t.Helper()
	to, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(to)
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/cut":
			cut.Store(true)
		case cut.Load():
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		default:
			proxy.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(func() { close(ended); s.Close() })
	return s.URL
}
