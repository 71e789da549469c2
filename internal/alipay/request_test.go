package alipay

import (
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

type requestVector struct {
	Name         string            `json:"name"`
	SignType     SignType          `json:"sign_type"`
	Charset      Charset           `json:"charset"`
	PrivateKey   string            `json:"private_key"`
	Params       map[string]string `json:"params"`
	StringToSign string            `json:"string_to_sign"`
	SignedBytes  string            `json:"signed_bytes_base64"`
	Sign         string            `json:"sign"`
	FormEncoded  map[string]string `json:"form_encoded"`
}

// paramsOf returns m in an order that is not the sorted one.
func paramsOf(m map[string]string) []param {
	var ps []param
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(m))) {
		ps = append(ps, param{name, m[name]})
	}
	return ps
}

func TestRequestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors[[]requestVector](t, "requests.json") {
		t.Run(v.Name, func(t *testing.T) {
			params := paramsOf(v.Params)
			content := canonical(params)
			if content != v.StringToSign {
				t.Errorf("string to sign: got\n%s\nwant\n%s", content, v.StringToSign)
			}
			want := []byte(v.StringToSign)
			if v.SignedBytes != "" {
				want, _ = base64.StdEncoding.DecodeString(v.SignedBytes)
			}
			if got, err := v.Charset.encode(content); err != nil || !bytes.Equal(got, want) {
				t.Errorf("bytes in %s: got %q, %v, want %q", v.Charset, got, err, want)
			}
			signature, err := sign(privateKey(t, v.PrivateKey), v.SignType.hash(), v.Charset, content)
			if err != nil || signature != v.Sign {
				t.Errorf("signature: got %s, %v, want %s", signature, err, v.Sign)
			}
			checkForm(t, v, append(params, param{"sign", signature}))
		})
	}
}

// checkForm compares the decoded values of the form, because clients may escape different characters.
func checkForm(t *testing.T, v requestVector, params []param) {
	t.Helper()
	query, body := layout(params, v.Charset)
	got := formValues(t, query)
	maps.Copy(got, formValues(t, body))
	want := url.Values{}
	for name, value := range v.FormEncoded {
		if raw, err := url.QueryUnescape(value); err != nil {
			t.Fatal(err)
		} else if raw != "" {
			want.Set(name, raw)
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("form: got %q, want %q", got, want)
	}
	if formValues(t, query).Get("charset") != string(v.Charset) {
		t.Errorf("charset in the query: got %q", query)
	}
}

func formValues(t *testing.T, s string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(s)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

type wireVector struct {
	Name    string            `json:"name"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Body    map[string]string `json:"body"`
	RawBody string            `json:"raw_body"`
}

// The client sends the same as the official Node SDK, except that it keeps app_auth_token out of the URL.
func TestWireVectors(t *testing.T) {
	t.Parallel()
	vectors := loadVectors[[]wireVector](t, "wire.json")
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			c := newTestClient(t, testConfig(t))
			all := maps.Clone(v.Query)
			delete(all, "sign")
			maps.Copy(all, v.Body)
			req, err := c.newRequest(t.Context(), paramsOf(all))
			if err != nil {
				t.Fatal(err)
			}
			sent, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			query, body := formValues(t, req.URL.RawQuery), formValues(t, string(sent))
			if token := v.Query["app_auth_token"]; token != "" {
				if query.Has("app_auth_token") || body.Get("app_auth_token") != token {
					t.Errorf("app_auth_token: in query %t, in body %q", query.Has("app_auth_token"), body.Get("app_auth_token"))
				}
				query.Set("app_auth_token", token)
				body.Del("app_auth_token")
			}
			for name, want := range v.Query {
				if got := query.Get(name); got != want {
					t.Errorf("query %s: got %q, want %q", name, got, want)
				}
			}
			if len(query) != len(v.Query) {
				t.Errorf("query: got %d parameters, want %d", len(query), len(v.Query))
			}
			if body.Encode() != formValues(t, v.RawBody).Encode() {
				t.Errorf("body: got %s, want %s", sent, v.RawBody)
			}
			if req.Method != http.MethodPost || req.URL.Path != "/gateway.do" {
				t.Errorf("got %s %s", req.Method, req.URL.Path)
			}
		})
	}
}

// With an AES key, only the gateway can read the code.
func TestEncryptedRequest(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.EncryptKey = []byte("0123456789abcdef")
	c := newTestClient(t, cfg)
	var query, body url.Values
	c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		query, body = formValues(t, r.URL.RawQuery), formValues(t, string(sent))
		return answering("{}")(r)
	})
	_, _ = c.Probe(t.Context())
	if got := query.Get("encrypt_type"); got != "AES" {
		t.Errorf("encrypt_type: got %q", got)
	}
	plain, err := decrypt(c.block, body.Get("biz_content"))
	if want := `{"auth_type":"pay_member","code":"` + impossibleCode + `"}`; err != nil || string(plain) != want {
		t.Errorf("biz_content: got %q, %v, want %s", plain, err, want)
	}
}

func TestRequestOfExchange(t *testing.T) {
	t.Parallel()
	cfg := certificateMode(t, testConfig(t))
	cfg.AppAuthToken = "202601BBtokenX40"
	// A zone in which the local time is a day off.
	cfg.Now = func() time.Time { return testNow.In(time.FixedZone("west", -12*60*60)) }
	c := newTestClient(t, cfg)
	var sent *http.Request
	var body []byte
	c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r
		body, _ = io.ReadAll(r.Body)
		return answering("{}")(r)
	})
	_, _ = c.Exchange(t.Context(), "a&b<c>\"d\\e+f=g%20")

	want := url.Values{
		"app_id": {"2021000000000001"}, "method": {queryMethod}, "charset": {"utf-8"}, "sign_type": {"RSA2"},
		"timestamp": {"2026-01-02 11:04:05"}, "version": {"1.0"},
		"app_cert_sn":         {"b894794efffbdedceea2d3e1dce6670a"},
		"alipay_root_cert_sn": {"622e717b6d41807479a4fadb5c9db707_b92f627be287189461e31a65732a6dea"},
	}
	query := formValues(t, sent.URL.RawQuery)
	signature := query.Get("sign")
	query.Del("sign")
	if query.Encode() != want.Encode() {
		t.Errorf("query: got %v, want %v", query, want)
	}
	wantBody := url.Values{
		"app_auth_token": {"202601BBtokenX40"},
		"biz_content":    {`{"auth_type":"pay_member","code":"a&b<c>\"d\\e+f=g%20"}`},
	}
	if got := formValues(t, string(body)); got.Encode() != wantBody.Encode() {
		t.Errorf("body: got %v, want %v", got, wantBody)
	}
	if got, want := sent.Header.Get("Content-Type"), "application/x-www-form-urlencoded;charset=utf-8"; got != want {
		t.Errorf("Content-Type: got %q, want %q", got, want)
	}
	if got := sent.Header.Get("User-Agent"); got != "koubei-landing" {
		t.Errorf("User-Agent: got %q", got)
	}
	if got := sent.Header.Get("Accept-Encoding"); got != "" {
		t.Errorf("Accept-Encoding: got %q, want none", got)
	}
	if len(signature) != 344 {
		t.Errorf("signature: got %q", signature)
	}
}
