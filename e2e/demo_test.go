package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/testworld"
)

// patience is how long anything may take before a test fails.
const patience = 30 * time.Second

// demo is the demo program, running in a separate process.
type demo struct {
	*testworld.Process
	t                              *testing.T
	portal, isv, service, internal string // addresses, each with a slash at its end but the last
}

var address = regexp.MustCompile(`http://\S+`)

// startDemo starts the demo on free ports. When the test ends, the demo must end well, and its log, which is at debug level,
// must not hold codes, tokens and keys.
func startDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{t: t}
	d.Process = testworld.StartProcess(t, testworld.Build(t, "demo"), append(os.Environ(), "REDIS_URL="), "--port=0", "--log-level=debug")
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

// api sends a request to the portal's control API.
func (d *demo) api(method, path string, in, out any) {
	d.t.Helper()
	if err := d.tryAPI(method, path, in, out); err != nil {
		d.t.Fatal(err)
	}
}

func (d *demo) tryAPI(method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequest(method, d.portal+"api/"+path, &body)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		return err
	}
	if a.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %d %s", method, path, a.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// person is one of the persons that the portal offers.
type person struct{ name, id, typ, partner, shops string }

// The persons, with and without a merchant.
var (
	provider          = person{"provider", "2088102150477652", "PROVIDER", noodles, ""}
	providerForCoffee = person{"provider-b", "2088102150477652", "PROVIDER", coffee, ""}
	providerStaff     = person{"provider-staff", "2088102150477660", "PROVIDER_STAFF", noodles, noodleShops}
	merchant          = person{"mer", noodles, "MER", noodles, ""}
	everybody         = []person{
		provider, {"provider-none", provider.id, "PROVIDER", "", ""},
		providerStaff, {"provider-staff-none", "2088102150477660", "PROVIDER_STAFF", "", ""},
		merchant, {"mer-none", noodles, "MER", "", ""},
		{"mer-staff", "2088102150477670", "MER_STAFF", noodles, noodleShops}, {"mer-staff-none", "2088102150477670", "MER_STAFF", "", ""},
		{"sales", "2088102150477680", "SALES", noodles, ""}, {"sales-none", "2088102150477680", "SALES", "", ""},
	}
)

const (
	noodles     = "2088102150477653"
	coffee      = "2088102150477701"
	noodleShops = "2015060900077000000000152345,2015060900077000000000152346"
)

// shop returns the address to which a landing of p leads.
func (d *demo) shop(p person) string { return d.isv + "shop?partner_id=" + p.partner }

// issue makes a code and returns it with the link that Koubei would redirect to.
func (d *demo) issue(p person) (code, link string) {
	d.t.Helper()
	var out struct{ Code, URL string }
	d.api(http.MethodPost, "codes", map[string]string{
		"operator_id": p.id, "operator_type": p.typ, "partner_id": p.partner, "shop_ids": p.shops}, &out)
	d.Log.KeepOut(out.Code)
	return out.Code, out.URL
}

// goWrong queues faults, one for each of the next gateway calls.
func (d *demo) goWrong(faults ...string) {
	d.t.Helper()
	d.api(http.MethodPost, "faults", map[string][]string{"faults": faults}, nil)
}

// call is one request that reached the gateway.
type call struct{ Code, Fault, Outcome string }

// calls returns the gateway's calls about a code, or all calls if code is empty.
func (d *demo) calls(code string) []call {
	d.t.Helper()
	var out struct{ Calls []call }
	d.api(http.MethodGet, "calls?code="+url.QueryEscape(code), nil, &out)
	return out.Calls
}

// wantCalls checks the outcomes of the gateway's calls about a code.
func (d *demo) wantCalls(code string, outcomes ...string) {
	d.t.Helper()
	var got []string
	for _, c := range d.calls(code) {
		got = append(got, c.Outcome)
	}
	if fmt.Sprint(got) != fmt.Sprint(outcomes) {
		d.t.Errorf("got gateway calls %q, want %q", got, outcomes)
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
