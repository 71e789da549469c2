package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"koubei-landing/internal/testworld"
	"koubei-landing/internal/testworld/chromium"
	"koubei-landing/koubeisim"
)

// demo is the demo program, running in a separate process.
type demo struct {
	*testworld.Process
	t                              *testing.T
	client                         *testworld.Browser
	portal, isv, service, internal string // addresses, each with a slash at its end but the last
}

var address = regexp.MustCompile(`http://\S+`)

// startDemo starts the demo on free ports. When the test ends, the demo must end well, and its log, which is at debug level,
// must not hold codes, tokens and keys.
func startDemo(t *testing.T) *demo {
	t.Helper()
	process := testworld.StartProcess(t, testworld.Build(t, "demo"), append(os.Environ(), "REDIS_URL="), "--port=0", "--log-level=debug")
	d := &demo{Process: process, t: t, client: testworld.NewBrowser(t, &process.Log)}
	d.Await("Ctrl-C")
	_, text, _ := strings.Cut(d.Log.String(), "  Open ")
	text, _, _ = strings.Cut(text, "Ctrl-C")
	all := address.FindAllString(text, -1)
	if len(all) != 4 {
		t.Fatalf("got addresses %q, want four", all)
	}
	d.portal, d.isv, d.service, d.internal = all[0], all[1], all[2], strings.TrimSuffix(all[3], "/metrics")
	t.Cleanup(d.end)
	var app struct {
		Key string `json:"app_private_key"`
	}
	d.api(http.MethodGet, "app", nil, &app)
	d.Log.KeepOut(testworld.Fragments(app.Key)...)
	return d
}

// end ends the demo like Ctrl-C. The log must not contain any code that reached the gateway. Most of them come from the portal.
func (d *demo) end() {
	for _, c := range d.calls("") {
		d.Log.KeepOut(c.Code)
	}
	d.Signal(os.Interrupt)
	testworld.Eventually(d.t, patience, "the demo ends on Ctrl-C", func() error {
		if !d.Ended() {
			return errors.New(d.Log.String())
		}
		return d.Wait()
	})
	d.Log.Check(d.t)
}

// api sends a request to the portal's control API, and reads the answer into out unless that is nil.
func (d *demo) api(method, path string, in, out any) {
	d.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := http.NewRequest(method, d.portal+"api/"+path, strings.NewReader(string(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	a := d.client.Do(r)
	if a.StatusCode >= http.StatusBadRequest {
		d.t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, a.Body)
	}
	if out != nil && json.Unmarshal([]byte(a.Body), out) != nil {
		d.t.Fatalf("%s %s: %s", method, path, a.Body)
	}
}

// The persons of the portal whom most tests are.
var (
	provider          = personNamed("provider")
	providerForCoffee = personNamed("provider-b")
	providerStaff     = personNamed("provider-staff")
	merchant          = personNamed("mer")
)

func personNamed(name string) koubeisim.Person {
	p, _ := koubeisim.PersonNamed(name)
	return p
}

// shop returns the address to which a landing of p leads.
func (d *demo) shop(p koubeisim.Person) string { return d.isv + "shop?partner_id=" + p.PartnerID }

// issue makes a code and returns it with the link that Koubei would redirect to.
func (d *demo) issue(p koubeisim.Person) (code, link string) {
	d.t.Helper()
	var out struct{ Code, URL string }
	d.api(http.MethodPost, "codes", p, &out)
	d.Log.KeepOut(out.Code)
	return out.Code, out.URL
}

// goWrong queues faults, one for each of the next gateway calls.
func (d *demo) goWrong(faults ...string) {
	d.t.Helper()
	d.api(http.MethodPost, "faults", map[string][]string{"faults": faults}, nil)
}

// calls returns the gateway's calls about a code, or all calls if code is empty.
func (d *demo) calls(code string) []koubeisim.Call {
	d.t.Helper()
	var out struct{ Calls []koubeisim.Call }
	d.api(http.MethodGet, "calls?code="+url.QueryEscape(code), nil, &out)
	return out.Calls
}

// wantCalls checks the outcomes of the gateway's calls about a code.
func (d *demo) wantCalls(code string, outcomes ...string) {
	d.t.Helper()
	wantOutcomes(d.t, d.calls(code), outcomes)
}

func wantOutcomes(t *testing.T, calls []koubeisim.Call, want []string) {
	t.Helper()
	var got []string
	for _, c := range calls {
		got = append(got, c.Outcome)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got gateway calls %q, want %q", got, want)
	}
}

// lastCode returns the code of the last call, for landings whose code the portal issued.
func (d *demo) lastCode() string {
	d.t.Helper()
	all := d.calls("")
	if len(all) == 0 {
		d.t.Fatal("nothing has reached the gateway")
	}
	code := all[len(all)-1].Code
	d.Log.KeepOut(code)
	return code
}

// tokens returns the values of the browser's session cookies. The demo's log must contain no cookie.
func (b tab) tokens(d *demo) []string {
	b.T.Helper()
	var tokens []string
	for _, c := range chromium.Call(b.Tab, network.GetCookies, network.GetCookiesParams{}).Cookies {
		if c.Name == "koubei_session" {
			tokens = append(tokens, c.Value)
		}
		d.Log.KeepOut(c.Value)
	}
	return tokens
}
