package koubeisim_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"koubei-landing/koubeisim"
)

// api calls the control API as a shell script would.
func (w *world) api(method, path, body string, into any) int {
	w.t.Helper()
	r, err := http.NewRequest(method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			w.t.Fatal(err)
		}
	}
	return res.StatusCode
}

// The steps of a CI: configure, queue a fault, issue a code, land, read the calls.
func TestControlAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{LandingURL: landing})
	app := map[string]string{}
	w.api("GET", "/api/app", "", &app)
	if want := map[string]string{
		"app_id": w.koubei.AppID(), "app_private_key": w.koubei.AppPrivateKey(), "alipay_public_key": w.koubei.AlipayPublicKey(),
		"gateway_url": w.server.URL + "/gateway.do", "landing_url": landing, "sign_type": "RSA2",
	}; !reflect.DeepEqual(app, want) {
		t.Errorf("got %v, want %v", app, want)
	}

	var queue struct{ Queued []string }
	w.api("POST", "/api/faults", `{"faults":["busy","spend-then-drop"]}`, &queue)
	if want := []string{"busy", "spend-then-drop"}; !reflect.DeepEqual(queue.Queued, want) {
		t.Errorf("got %v, want %v", queue.Queued, want)
	}

	var issued struct {
		Code          string
		URL           string
		DocumentedURL string `json:"documented_url"`
	}
	if got := w.api("POST", "/api/codes", `{"operator_id":"7","operator_type":"MER_STAFF","partner_id":"8","shop_ids":"9","lifetime":"10m"}`, &issued); got != 201 {
		t.Errorf("got %d, want 201", got)
	}
	if issued.URL != w.koubei.LandingURL(issued.Code, koubeisim.Observed) || issued.DocumentedURL != w.koubei.LandingURL(issued.Code, koubeisim.Documented) {
		t.Errorf("got %+v", issued)
	}
	w.now = w.now.Add(9 * time.Minute)
	if a := w.send(w.query(issued.Code)); a.text("code") != "20000" {
		t.Errorf("got %s", a.body)
	}
	w.api("DELETE", "/api/faults", "", nil)
	if a := w.send(w.query(issued.Code)); a.text("operator_id") != "7" || a.text("shop_ids") != "9" {
		t.Errorf("got %s", a.body)
	}

	var log struct{ Calls []map[string]string }
	w.api("GET", "/api/calls?code="+issued.Code, "", &log)
	if len(log.Calls) != 2 || log.Calls[0]["fault"] != "busy" || log.Calls[0]["outcome"] != "isp.unknow-error" || log.Calls[1]["outcome"] != "success" {
		t.Errorf("got %v", log.Calls)
	}
	if log.Calls[1]["at"] != noon.Add(9*time.Minute).Format(time.RFC3339) || log.Calls[1]["method"] != "koubei.member.data.oauth.query" {
		t.Errorf("got %v", log.Calls[1])
	}
	w.api("GET", "/api/calls?code=another", "", &log)
	if log.Calls == nil || len(log.Calls) != 0 {
		t.Errorf("another code's calls: %v", log.Calls)
	}
}

func TestControlAPIReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.Hold)
	c := w.query(w.koubei.Issue(merchant))
	responses := make(chan response, 1)
	go func() { responses <- w.send(c) }()
	if err := w.koubei.AwaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var out struct{ Released int }
	if w.api("POST", "/api/release", "", &out); out.Released != 1 {
		t.Errorf("released %d, want 1", out.Released)
	}
	if a := <-responses; a.text("code") != "10000" {
		t.Errorf("got %s", a.body)
	}
}

func TestControlAPIListsFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	var out struct {
		Queued []string
		Known  []struct{ Name, About string }
	}
	w.api("GET", "/api/faults", "", &out)
	if out.Queued == nil || len(out.Known) != len(koubeisim.Faults()) || out.Known[0].About == "" {
		t.Errorf("got %+v", out)
	}
}

func TestControlAPIRollsCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Certificates: true})
	before, after := map[string]string{}, map[string]string{}
	w.api("GET", "/api/app", "", &before)
	w.api("POST", "/api/certificate/roll", "", nil)
	w.api("GET", "/api/app", "", &after)
	if before["alipay_cert"] == after["alipay_cert"] || after["app_cert"] == "" || before["alipay_root_cert"] != after["alipay_root_cert"] {
		t.Error("want another certificate under the same root")
	}
}

func TestControlAPIRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	for _, row := range []struct{ path, body string }{
		{"/api/codes", `{}`},
		{"/api/codes", `{"operator_id":"1"}`},
		{"/api/codes", `{"operator_id":"1","operator_type":"MER","patner_id":"2"}`},
		{"/api/codes", `{"operator_id":"1","operator_type":"MER","lifetime":"soon"}`},
		{"/api/codes", `{"operator_id":"1","operator_type":"MER","lifetime":"-1s"}`},
		{"/api/codes", `{"operator_id":"1","operator_type":"MER","state":"x"}`},
		{"/api/codes", `{"operator_id":"1","operator_type":"MER"}{}`},
		{"/api/codes", `not JSON`},
		{"/api/faults", `{"faults":["busy","bsuy"]}`},
		{"/api/faults", `{"faults":["` + strings.Repeat(`busy","`, 1000) + `busy"]}`},
		{"/api/faults", strings.Repeat(" ", 65<<10) + `{}`},
	} {
		var out struct{ Error string }
		if status := w.api("POST", row.path, row.body, &out); status != 400 || out.Error == "" {
			t.Errorf("%s %.60s: got %d %q, want 400", row.path, row.body, status, out.Error)
		}
	}
	if queued := w.koubei.Queued(); len(queued) != 0 {
		t.Errorf("a part of a list was queued: %v", queued)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	other := newWorld(t, koubeisim.Options{}).koubei.AppPrivateKey()
	for name, o := range map[string]koubeisim.Options{
		"both keys":         {AppPrivateKey: other, AppPublicKey: testdata(t, "keys/app_public.b64")},
		"not a public key":  {AppPublicKey: "AAAA"},
		"not a private key": {AppPrivateKey: "AAAA"},
		"Alipay's key":      {AlipayPrivateKey: "AAAA"},
		"not base64":        {AppPublicKey: "-"},
		"a private key":     {AppPublicKey: other},
		"sign type":         {SignType: "SM2"},
		"charset":           {Charset: "big5"},
		"encrypt key":       {EncryptKey: []byte("short")},
		"code lifetime":     {CodeLifetime: -1},
		"slowness":          {SlowFor: -1},
		"landing relative":  {LandingURL: "/x"},
	} {
		if _, err := koubeisim.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), other) {
			t.Errorf("%s: the error holds the key", name)
		}
	}
	k, err := koubeisim.New(koubeisim.Options{AppPublicKey: testdata(t, "keys/app_public.pem")})
	if err != nil || k.AppPrivateKey() != "" {
		t.Errorf("PEM: %v", err)
	}
}

// Every start has new keys.
func TestFreshKeys(t *testing.T) {
	t.Parallel()
	first, err1 := koubeisim.New(koubeisim.Options{})
	second, err2 := koubeisim.New(koubeisim.Options{})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if first.AppPrivateKey() == second.AppPrivateKey() || first.AlipayPublicKey() == second.AlipayPublicKey() || first.AppID() == second.AppID() {
		t.Error("two starts share keys or the app id")
	}
	if key := privateKey(t, first.AppPrivateKey()); key.N.BitLen() != 2048 {
		t.Errorf("%d bits", key.N.BitLen())
	}
}
