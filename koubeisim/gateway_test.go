package koubeisim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"koubei-landing/koubeisim"
)

func TestCodeIsExchangedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	p := koubeisim.Person{OperatorID: "2088102150477652", OperatorType: "PROVIDER_STAFF", PartnerID: "2088102150477653", ShopIDs: "1,2"}
	code := w.koubei.Issue(p)

	a := w.send(w.query(code))
	if !a.verified || a.text("code") != "10000" {
		t.Fatalf("got %s, want a signed success", a.body)
	}
	got := koubeisim.Person{OperatorID: a.text("operator_id"), OperatorType: a.text("operator_type"), PartnerID: a.text("operator_partner_id"), ShopIDs: a.text("shop_ids")}
	if got != p {
		t.Errorf("got %+v, want %+v", got, p)
	}
	if got := a.header.Get("trace_id"); len(got) != 32 {
		t.Errorf("trace_id %q", got)
	}
	if got, want := a.header.Get("Date"), noon.UTC().Format(http.TimeFormat); got != want {
		t.Errorf("Date %q, want %q", got, want)
	}

	if a := w.send(w.query(code)); !a.verified || a.text("sub_code") != "AUTH_CODE_NOT_EXIST" {
		t.Errorf("second time: got %s, want AUTH_CODE_NOT_EXIST", a.body)
	}
	var outcomes []string
	for _, c := range w.koubei.Calls() {
		outcomes = append(outcomes, c.Outcome)
	}
	if want := []string{"success", "AUTH_CODE_NOT_EXIST"}; !slices.Equal(outcomes, want) || w.koubei.CallsFor(code) != 2 {
		t.Errorf("calls %v, %d for the code, want %v", outcomes, w.koubei.CallsFor(code), want)
	}
}

func TestEmptyFieldsAreOmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	a := w.send(w.query(w.koubei.Issue(koubeisim.Person{OperatorID: "1", OperatorType: "SALES"})))
	for _, name := range []string{"operator_partner_id", "shop_ids"} {
		if _, there := a.fields[name]; there || !a.verified {
			t.Errorf("%s is in %s", name, a.body)
		}
	}
}

func TestCodesHaveTheRealFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	shape := regexp.MustCompile(`^[0-9A-Za-z]{29}X[0-9]{2}$`)
	seen := map[string]bool{}
	for range 100 {
		code := w.koubei.Issue(merchant)
		if !shape.MatchString(code) || seen[code] {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
	}
	if id := w.koubei.AppID(); !regexp.MustCompile(`^2021[0-9]{12}$`).MatchString(id) {
		t.Errorf("app id %q", id)
	}
}

func TestCodesExpire(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		lifetime time.Duration
		turn     time.Duration
		want     string
	}{
		{"default, in time", 0, 3*time.Minute - time.Second, ""},
		{"default, too late", 0, 3 * time.Minute, "AUTH_CODE_EXPIRES"},
		{"a day, in time", 24 * time.Hour, 23 * time.Hour, ""},
		{"a day, too late", 24 * time.Hour, 25 * time.Hour, "AUTH_CODE_EXPIRES"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, koubeisim.Options{CodeLifetime: row.lifetime})
			code := w.koubei.Issue(merchant)
			w.now = w.now.Add(row.turn)
			for range 2 { // an expired code stays expired
				a := w.send(w.query(code))
				if !a.verified || a.text("sub_code") != row.want {
					t.Fatalf("got %s, want %q", a.body, row.want)
				}
				if row.want == "" {
					return
				}
			}
		})
	}
}

func TestCodesInOtherStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	for state, want := range map[koubeisim.CodeState]string{
		koubeisim.CodeFresh:   "",
		koubeisim.CodeExpired: "AUTH_CODE_EXPIRES",
		koubeisim.CodeUsed:    "AUTH_CODE_NOT_EXIST",
		koubeisim.CodeUnknown: "AUTH_CODE_NOT_EXIST",
		koubeisim.CodeForeign: "ACCESS_NOT_ALLOWED",
	} {
		if a := w.send(w.query(w.koubei.IssueIn(state, merchant))); !a.verified || a.text("sub_code") != want {
			t.Errorf("%q: got %s, want %q", state, a.body, want)
		}
	}
}

func TestOldestCodesAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	first := w.koubei.Issue(merchant)
	for range 10_000 {
		w.koubei.Issue(merchant)
	}
	if a := w.send(w.query(first)); a.text("sub_code") != "AUTH_CODE_NOT_EXIST" {
		t.Errorf("got %s, want a forgotten code", a.body)
	}
}

func TestConcurrentCallsSucceedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	code := w.koubei.Issue(merchant)
	var calls []*call
	for range 8 {
		calls = append(calls, w.query(code))
	}
	var wins sync.Map
	var group sync.WaitGroup
	for i, c := range calls {
		group.Go(func() {
			if w.send(c).text("code") == "10000" {
				wins.Store(i, true)
			}
		})
	}
	group.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 || w.koubei.CallsFor(code) != 8 {
		t.Errorf("%d of %d calls got the person, want 1 of 8", n, w.koubei.CallsFor(code))
	}
}

// Successive responses differ wherever the protocol is silent, and each verifies.
func TestResponsesVary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	var bodies []string
	for range 42 {
		a := w.send(w.query(w.koubei.Issue(merchant)))
		if !a.verified || a.text("operator_id") != merchant.OperatorID {
			t.Fatalf("got %s", a.body)
		}
		bodies = append(bodies, string(a.body))
	}
	all := strings.Join(bodies, "\n")
	for _, want := range []string{`{"sign"`, `"ext_info"`, `https:\/\/`, `https://`, " \n\t", `{"code"`, `{"msg"`, `{"operator_type"`} {
		if !strings.Contains(all, want) {
			t.Errorf("no response has %s", want)
		}
	}
}

func TestPlainResponsesDoNotVary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Plain: true})
	shape := regexp.MustCompile(`^\{"koubei_member_data_oauth_query_response":\{"code":"10000","msg":"Success","operator_id":"\d+","operator_type":"MER","operator_partner_id":"\d+"\},"sign":"[^"]+"\}$`)
	for range 8 {
		if a := w.send(w.query(w.koubei.Issue(merchant))); !a.verified || !shape.Match(a.body) {
			t.Fatalf("got %s", a.body)
		}
	}
}

// If the simulator accepted what the real gateway refuses, an ISV would pass its tests and fail in production.
func TestStrictness(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*call) { return func(c *call) { c.query.Set(name, value) } }
	drop := func(name string) func(*call) { return func(c *call) { c.query.Del(name) } }
	biz := func(text string) func(*call) { return func(c *call) { c.form.Set("biz_content", text) } }
	later := func(edit func(*call)) func(*call) { return func(c *call) { c.after = edit } }
	at := func(d time.Duration) func(*call) {
		return set("timestamp", noon.Add(d).Format(time.DateTime))
	}
	strict := newWorld(t, koubeisim.Options{})
	for _, row := range []struct {
		name   string
		edit   func(*call)
		want   string
		signed bool
	}{
		{"correct", func(*call) {}, "", true},
		{"in the body", func(c *call) { c.form.Set("version", "1.0"); c.query.Del("version") }, "", true},
		{"charset in both places", func(c *call) { c.form.Set("charset", "utf-8") }, "", true},
		{"format", set("format", "JSON"), "", true},
		{"format in the spelling of the Java SDK", set("format", "json"), "", true},
		{"token", set("app_auth_token", "201610BBb507dc9f6cc24bd28f8a2fb3c0e7dX40"), "", true},
		{"unknown parameters, signed", set("alipay_sdk", "x"), "", true},
		{"a quarter of an hour late", at(-15 * time.Minute), "", true},
		{"ext_info", biz(`{"auth_type":"pay_member","code":"CODE","ext_info":"{}"}`), "", true},

		{"no charset in the query", func(c *call) { c.query.Del("charset"); c.form.Set("charset", "utf-8") }, "isv.invalid-charset", true},
		{"charset unknown", set("charset", "big5"), "isv.invalid-charset", true},
		{"charset differs in the body", func(c *call) { c.form.Set("charset", "UTF-8") }, "isv.suspected-attack", true},
		{"content type without charset", func(c *call) { c.header.Set("Content-Type", "application/x-www-form-urlencoded") }, "isv.invalid-charset", true},
		{"content type of another charset", func(c *call) { c.header.Set("Content-Type", "application/x-www-form-urlencoded;charset=gbk") }, "isv.invalid-charset", true},
		{"JSON body", func(c *call) { c.header.Set("Content-Type", "application/json;charset=utf-8") }, "isv.invalid-parameter", true},
		{"repeated in the query", later(func(c *call) { c.query.Add("version", "1.0") }), "isv.suspected-attack", true},
		{"repeated in the body", later(func(c *call) { c.form.Set("version", "1.0") }), "isv.suspected-attack", true},
		{"no app id", drop("app_id"), "isv.missing-app-id", false},
		{"another app id", set("app_id", "2021000000009999"), "isv.invalid-app-id", false},
		{"another app id and no signature", later(func(c *call) { c.query.Set("app_id", "1"); c.query.Del("sign") }), "isv.invalid-app-id", false},
		{"no sign type", drop("sign_type"), "isv.missing-signature-type", true},
		{"sign type unknown", set("sign_type", "MD5"), "isv.invalid-signature-type", true},
		{"sign type without a key", set("sign_type", "RSA"), "isv.missing-signature-config", false},
		{"no signature", later(drop("sign")), "isv.missing-signature", true},
		{"changed after signing", later(set("version", "1.1")), "isv.invalid-signature", true},
		{"added after signing", later(set("alipay_sdk", "x")), "isv.invalid-signature", true},
		{"signature not base64", later(func(c *call) { c.query.Set("sign", c.query.Get("sign")+"=") }), "isv.invalid-signature", true},
		{"plus signs lost", later(func(c *call) { c.query.Set("sign", " "+c.query.Get("sign")[1:]) }), "isv.invalid-signature", true},
		{"empty value sent", set("notify_url", ""), "isv.invalid-signature", true},
		{"no method", drop("method"), "isv.missing-method", true},
		{"method unknown", set("method", "alipay.trade.pay"), "isv.invalid-method", true},
		{"no version", drop("version"), "isv.missing-version", true},
		{"version", set("version", "2.0"), "isv.invalid-parameter", true},
		{"format unknown", set("format", "XML"), "isv.invalid-format", true},
		{"no timestamp", drop("timestamp"), "isv.missing-timestamp", true},
		{"timestamp in UTC", set("timestamp", noon.UTC().Format(time.DateTime)), "isv.invalid-timestamp", true},
		{"timestamp too old", at(-15*time.Minute - time.Second), "isv.invalid-timestamp", true},
		{"timestamp too young", at(15*time.Minute + time.Second), "isv.invalid-timestamp", true},
		{"timestamp spelled otherwise", set("timestamp", noon.Format(time.RFC3339)[:19]), "isv.invalid-timestamp", true},
		{"timestamp without zeros", set("timestamp", "2026-01-02 3:04:05"), "isv.invalid-timestamp", true},
		{"token too long", set("app_auth_token", strings.Repeat("x", 41)), "aop.invalid-app-auth-token", true},
		{"encrypted without a key", set("encrypt_type", "AES"), "isv.invalid-encrypt-type", true},
		{"no biz_content", func(c *call) { c.form.Del("biz_content") }, "isv.missing-parameter", true},
		{"biz_content not JSON", biz("code=1"), "isv.illegal-json", true},
		{"biz_content with more behind", biz(`{"auth_type":"pay_member","code":"CODE"}{}`), "isv.illegal-json", true},
		{"biz_content not UTF-8", biz("{\"auth_type\":\"pay_member\",\"code\":\"CODE\",\"ext_info\":\"\xd5\x5c\"}"), "isv.invalid-charset", true},
		{"a name twice", biz(`{"auth_type":"pay_member","code":"x","code":"CODE"}`), "isv.illegal-json", true},
		{"code as a number", biz(`{"auth_type":"pay_member","code":1}`), "isv.illegal-json", true},
		{"names in other cases", biz(`{"auth_type":"pay_member","Code":"CODE"}`), "INVALID_PARAMETER", true},
		{"token in biz_content", biz(`{"auth_type":"pay_member","code":"CODE","app_auth_token":"x"}`), "INVALID_PARAMETER", true},
		{"another auth type", biz(`{"auth_type":"auth_base","code":"CODE"}`), "INVALID_PARAMETER", true},
		{"no auth type", biz(`{"code":"CODE"}`), "INVALID_PARAMETER", true},
		{"no code", biz(`{"auth_type":"pay_member"}`), "INVALID_PARAMETER", true},
		{"code too long", biz(`{"auth_type":"pay_member","code":"` + strings.Repeat("x", 33) + `"}`), "INVALID_PARAMETER", true},
		{"ext_info not JSON", biz(`{"auth_type":"pay_member","code":"CODE","ext_info":"x"}`), "INVALID_PARAMETER", true},
		{"ext_info too long", biz(`{"auth_type":"pay_member","code":"CODE","ext_info":"\"` + strings.Repeat("x", 512) + `\""}`), "INVALID_PARAMETER", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := strict.in(t)
			code := w.koubei.Issue(merchant)
			c := w.query(code)
			row.edit(c)
			c.form.Set("biz_content", strings.ReplaceAll(c.form.Get("biz_content"), "CODE", code))
			if c.form.Get("biz_content") == "" {
				c.form.Del("biz_content")
			}
			a := w.send(c)
			if a.status != http.StatusOK || a.text("sub_code") != row.want || a.verified != row.signed {
				t.Fatalf("got %d, %q, signed %t, want 200, %q, %t: %s", a.status, a.text("sub_code"), a.verified, row.want, row.signed, a.body)
			}
			if again := w.send(w.query(code)); (again.text("code") == "10000") != (row.want != "") {
				t.Errorf("a refused request has spent the code: %s", again.body)
			}
		})
	}
}

func TestRefusalQuotesTheStringToSign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	c := w.query("x")
	c.after = func(c *call) { c.query.Set("sign", "AAAA") }
	if a := w.send(c); !strings.Contains(a.text("sub_msg"), "app_id="+w.koubei.AppID()+"&amp;biz_content=") {
		t.Errorf("got %q", a.text("sub_msg"))
	}
}

func TestGatewayAcceptsOnlyPOST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.Busy)
	c := w.query("x")
	c.method = http.MethodGet
	if a := w.send(c); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" || len(w.koubei.Queued()) != 1 {
		t.Errorf("got %d, %d queued", a.status, len(w.koubei.Queued()))
	}
}

func TestLongRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	c := w.query("x")
	c.form.Set("more", strings.Repeat("x", 65<<10))
	if a := w.send(c); a.text("sub_code") != "isv.invalid-parameter" {
		t.Errorf("got %s", a.body)
	}
}

// The simulator accepts the signatures of the official SDK.
func TestVectorsAreAccepted(t *testing.T) {
	t.Parallel()
	parent := t
	var aes struct {
		KeyBase64 []byte `json:"key_base64"`
	}
	if err := json.Unmarshal([]byte(testdata(t, "aes.json")), &aes); err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name        string
		SignType    string `json:"sign_type"`
		PublicKey   string `json:"public_key"`
		Params      map[string]string
		Sign        string
		FormEncoded map[string]string `json:"form_encoded"`
	}
	if err := json.Unmarshal([]byte(testdata(t, "requests.json")), &rows); err != nil {
		t.Fatal(err)
	}
	worlds := map[string]*world{} // making one takes time
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			o := koubeisim.Options{AppID: row.Params["app_id"], AppPublicKey: testdata(t, row.PublicKey), SignType: row.SignType}
			if row.Params["encrypt_type"] != "" {
				o.EncryptKey = aes.KeyBase64
			}
			name := o.AppID + o.AppPublicKey + o.SignType + string(o.EncryptKey)
			if worlds[name] == nil {
				worlds[name] = newWorld(parent, o)
			}
			w := worlds[name].in(t)
			form := []string{"sign=" + url.QueryEscape(row.Sign)}
			for name, value := range row.FormEncoded {
				if name != "charset" && name != "sign" && value != "" {
					form = append(form, name+"="+value)
				}
			}
			a := w.post("?charset="+row.Params["charset"], "application/x-www-form-urlencoded;charset="+row.Params["charset"], strings.Join(form, "&"))
			if !a.verified || a.text("sub_code") != "AUTH_CODE_NOT_EXIST" { // because it was never issued here
				t.Errorf("got %s", a.body)
			}
			if w.koubei.AppPrivateKey() != "" {
				t.Error("got a private key, although only a public key was given")
			}
		})
	}
}

func TestWireOfTheOfficialSDK(t *testing.T) {
	t.Parallel()
	var rows []struct {
		Name     string
		Headers  map[string]string
		RawQuery string `json:"raw_query"`
		RawBody  string `json:"raw_body"`
	}
	if err := json.Unmarshal([]byte(testdata(t, "wire.json")), &rows); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, koubeisim.Options{AppID: "2021000000000001", AppPublicKey: testdata(t, "keys/app_public.b64")})
	for _, row := range rows {
		a := w.post("?"+row.RawQuery, row.Headers["content-type"], row.RawBody)
		if !a.verified || a.text("sub_code") != "AUTH_CODE_NOT_EXIST" {
			t.Errorf("%s: got %s", row.Name, a.body)
		}
		if a := w.post("?"+strings.Replace(row.RawQuery, "2026-01-02", "2026-01-03", 1), row.Headers["content-type"], row.RawBody); a.text("sub_code") != "isv.invalid-signature" {
			t.Errorf("%s, changed: got %s", row.Name, a.body)
		}
	}
}

// post sends a request that is already signed.
func (w *world) post(query, contentType, body string) response {
	w.t.Helper()
	res, err := w.http.Post(w.server.URL+"/gateway.do"+query, contentType, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.receive(res)
}
