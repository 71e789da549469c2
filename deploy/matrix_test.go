// Package deploy_test runs the shipped configurations in the real programs: the proxies with the service and a small
// application, the composition's processes, and the image's steps. Where no program can run a file, it checks the file.
package deploy_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// situation is a row of the matrix: a kind of request and its result.
type situation struct {
	name   string
	want   string
	except map[string]string // what another proxy does instead
	with   settings          // of the site
	own    bool              // it breaks the site, so it gets its own site
	try    func(*site) string
}

func (r situation) wanted(proxy string) string {
	if other, ok := r.except[proxy]; ok {
		return other
	}
	return r.want
}

const (
	// Cells that several rows have.
	cellIdentity    = "200, identity"
	cellUnavailable = "503, Retry-After"

	// Rows that some recipes lack.
	rowSockets       = "Signed in, by Unix sockets"
	rowTypes         = "Operator type not allowed"
	rowPartners      = "Another partner of the operator"
	rowOthersPartner = "Partner of another operator"
)

var situations = []situation{
	{name: "Signed in", want: cellIdentity, try: trySignedIn},
	{name: rowSockets, want: cellIdentity, with: settings{sockets: true}, try: trySignedIn,
		except: map[string]string{"Traefik": "not supported"}},
	{name: "Not signed in, a browser", want: "303 to the sign-in page", try: tryStranger},
	{name: "Not signed in, an API call", want: "401", try: tryStrangersProgram},
	{name: rowTypes, want: "403", try: tryWrongType},
	{name: rowPartners, want: "that partner", try: tryPartners,
		except: map[string]string{"Traefik": "that partner, with `X-Koubei-Select-Partner`"}},
	{name: rowOthersPartner, want: "403", try: trySomebodyElsesPartner},
	{name: "Forged `X-Koubei-*` headers", want: "removed", try: tryForgedHeaders},
	{name: "Forged headers, most identity headers empty", want: "removed", with: settings{quiet: true}, try: tryForgedHeaders},
	{name: "Ambiguous path", want: "400", try: tryAmbiguousPaths,
		except: map[string]string{"Traefik": "400, or forwarded as a cleaned path"}},
	{name: "Upload of 5 MB", want: cellIdentity, try: tryUpload},
	{name: "WebSocket", want: "101, identity", try: tryWebSocket},
	{name: "Upgrade to another protocol", want: "200, not upgraded", except: map[string]string{"Traefik": "400"}, try: tryOtherUpgrade},
	{name: "CORS preflight", want: "200, no identity", try: tryPreflight},
	{name: "60 shops", want: cellIdentity, try: trySixtyShops},
	{name: "30 KiB of cookies", want: cellIdentity, try: tryManyCookies},
	{name: "Headers too large", want: "4xx", try: tryLargeHeaders},
	{name: "HTTP/1.0", want: cellIdentity, try: tryHTTP10},
	{name: "HTTP/1.0 without Host", want: cellIdentity, try: tryNoHost, except: map[string]string{"Caddy": "421"}},
	{name: "Form of 20 KiB for the service", want: "413", try: tryLargeForm},
	{name: "Form for the service, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoForm,
		except: map[string]string{"Caddy": "cut off after 60 s"}},
	{name: "Page of the service, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoPage},
	{name: "Request for the application, body never arrives", want: "not forwarded", with: settings{brief: true}, try: tryNoBody,
		except: map[string]string{"Caddy": "cut off after 60 s", "Traefik": "cut off after 60 s"}},
	{name: "Connections to the check", want: "kept", except: map[string]string{"Traefik": "two kept"}, try: tryConnections},
	{name: "Concurrent operators", want: "never mixed", try: tryConcurrently},
	{name: "Redis down", want: cellUnavailable, own: true, try: tryNoRedis},
	{name: "Service down", want: cellUnavailable, own: true, try: tryNoService, except: map[string]string{"Traefik": "500"}},
	{name: "Service hangs", want: cellUnavailable, own: true, with: settings{brief: true}, try: tryHangingService, except: map[string]string{"Traefik": "500"}},
	{name: "Codes in the proxy's log", want: "none", own: true, try: tryLog},
}

// TestProxyMatrix sends every kind of request through every proxy. docs/proxies.md shows the result.
func TestProxyMatrix(t *testing.T) {
	t.Parallel()
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			shared := map[settings]*site{}
			for _, row := range situations {
				switch {
				case slices.Contains(r.lacks, row.name):
				case row.own:
					t.Run(row.name, func(t *testing.T) {
						t.Parallel()
						wantCell(t, row.try(newSite(t, r, row.with)), row.wanted(r.name))
					})
				default:
					if shared[row.with] == nil {
						shared[row.with] = newSite(t, r, row.with)
					}
					t.Run(row.name, func(t *testing.T) { wantCell(t, row.try(shared[row.with].in(t)), row.wanted(r.name)) })
				}
			}
		})
	}
}

func wantCell(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func keys(cells map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(cells)), " or ") }

func tryLog(s *site) string {
	b := s.Browser()
	landed := s.Koubei.Issue(testworld.Provider)
	a := b.Land(s.Landing(landed))
	if a.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("got %d, want 303", a.StatusCode)
	}
	to := s.get(a.Header.Get("Location"))
	to.Header.Set("Referer", s.Landing(landed)) // current browsers send none, because the service's Referrer-Policy forbids it
	wantIdentity(s.t, s.passes(b, to), s.identityOf(testworld.Provider))

	lost := s.Koubei.Issue(testworld.Provider)
	s.stopPages()
	for _, spelling := range []koubeisim.Spelling{koubeisim.Observed, koubeisim.Documented} {
		if a := b.Get(s.Koubei.LandingURL(lost, spelling)); a.StatusCode < 500 {
			s.t.Errorf("without the service: got %d", a.StatusCode)
		}
	}
	b.Do(s.get("/last")) // its line comes after the others
	var log string
	testworld.Eventually(s.t, 10*time.Second, "the log is written", func() error {
		if log = s.proxy.log(s.t); !strings.Contains(log, "/last") {
			return errors.New("no line yet")
		}
		return nil
	})
	if n := strings.Count(log, s.Config.Web.CallbackPath); n < 4 {
		s.t.Errorf("got %d lines about the callback, want 4", n)
	}
	for _, secret := range []string{landed, lost, url.QueryEscape(landed), b.Cookie(s.front, sessionCookie)} {
		if strings.Contains(log, secret) {
			return "some"
		}
	}
	return "none"
}

// TestUntestedRecipes compares the recipes that no test runs with the others: the headers that they forward, and the
// response if the service is unreachable.
func TestUntestedRecipes(t *testing.T) {
	t.Parallel()
	var routes struct {
		Routes []struct {
			ID      string `yaml:"id"`
			Plugins struct {
				ForwardAuth *struct {
					URI         string   `yaml:"uri"`
					Asked       []string `yaml:"request_headers"`
					Upstream    []string `yaml:"upstream_headers"`
					Client      []string `yaml:"client_headers"`
					OnError     int      `yaml:"status_on_error"`
					Degradation bool     `yaml:"allow_degradation"`
				} `yaml:"forward-auth"`
			} `yaml:"plugins"`
		} `yaml:"routes"`
	}
	text := slurp(t, "apisix/apisix.yaml")
	if err := yaml.Unmarshal([]byte(text), &routes); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text, "\n#END\n") {
		t.Error("APISIX ignores a file that doesn't end with #END")
	}
	checks := 0
	for _, r := range routes.Routes {
		check := r.Plugins.ForwardAuth
		if check == nil {
			continue
		}
		checks++
		if !strings.HasPrefix(check.URI, "http://127.0.0.1:9090/auth/verify?redirect=1") || check.OnError != http.StatusServiceUnavailable || check.Degradation ||
			!slices.Contains(check.Asked, "Cookie") || !slices.Contains(check.Client, "Location") || !slices.Contains(check.Client, "Retry-After") {
			t.Errorf("%s: got %+v", r.ID, check)
		}
		if want := append(slices.Clone(identity), "X-Koubei-Select-Partner"); !slices.Equal(check.Upstream, want) {
			t.Errorf("%s passes %q on, want %q", r.ID, check.Upstream, want)
		}
	}
	if checks != 2 {
		t.Errorf("got %d routes with a check, want 2", checks)
	}
	var envoy any
	if err := yaml.Unmarshal([]byte(slurp(t, "envoy/envoy.yaml")), &envoy); err != nil {
		t.Error(err) // make proxies compares it with Envoy's types
	}
}
