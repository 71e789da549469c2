package alipay

import (
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"koubei-landing/internal/operator"
)

// In certificate mode some signed errors name no certificate. They count if the configured one verifies them. A success
// must name its certificate.
func TestErrorsWithoutCertificateSN(t *testing.T) {
	t.Parallel()
	own, stranger := privateKey(t, "keys/alipay_private_pkcs8.pem"), privateKey(t, "keys/other_private_pkcs1.pem")
	sn := `"alipay_cert_sn":"e99fb9d1935b9cafb4ede943f117c2ea",`
	verdict := `{"code":"40004","msg":"Business Failed","sub_code":"AUTH_CODE_EXPIRES"}`
	busy := `{"code":"20000","msg":"Service Currently Unavailable","sub_code":"isp.unknow-error"}`
	for _, tt := range []struct {
		name, node string
		key        *rsa.PrivateKey
		member     string // further member of the body
		want       error
		signed     bool
	}{
		{"verdict", verdict, own, "", ErrCodeExpired, true},
		{"verdict with SN", verdict, own, sn, ErrCodeExpired, true},
		{"verdict with a null SN", verdict, own, `"alipay_cert_sn":null,`, ErrCodeExpired, true},
		{"verdict with an empty SN", verdict, own, `"alipay_cert_sn":"",`, ErrCodeExpired, true},
		{"busy", busy, own, "", ErrUnavailable, true},
		{"other error", `{"code":"40006","msg":"m","sub_code":"isv.insufficient-isv-permissions"}`, own, "", ErrRejected, true},
		{"verdict by a stranger", verdict, stranger, "", ErrUntrusted, false},
		{"busy by a stranger", busy, stranger, "", ErrUntrusted, false},
		{"numeric SN", verdict, own, `"alipay_cert_sn":1,`, ErrUntrusted, false},
		{"success", successNode, own, "", ErrUntrusted, false},
		{"success with a null SN", successNode, own, `"alipay_cert_sn":null,`, ErrUntrusted, false},
		{"success with SN", successNode, own, sn, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newTestClient(t, certificateMode(t, testConfig(t)))
			c.transport = roundTripper(func(*http.Request) (*http.Response, error) {
				t.Error("downloaded a certificate")
				return nil, io.EOF
			})
			body := "{" + tt.member + strings.TrimPrefix(signedBy(t, tt.key, tt.node), "{")
			_, err := c.read(t.Context(), response{status: 200, body: []byte(body)})
			if tt.want == nil {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.Is(err, tt.want) || asError(err).Signed != tt.signed {
				t.Errorf("got %v, want %v, signed %t", err, tt.want, tt.signed)
			}
		})
	}
}

// An unverified response decides nothing, but often contains the actual error: the error and the advice include it.
func TestUnverifiedDetails(t *testing.T) {
	t.Parallel()
	appID := `{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id","sub_msg":"无效的AppID参数"}`
	numeric := strings.Replace(appID, `"40002"`, `40002`, 1)
	expired := `{"code":"40004","msg":"Business Failed","sub_code":"AUTH_CODE_EXPIRES"}`
	strangers := func(node string) string { return signedBy(t, privateKey(t, "keys/other_private_pkcs1.pem"), node) }
	for _, tt := range []struct {
		name, body string
		kind       error
		code, sub  string
	}{
		{"wrong signature", strangers(appID), ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"verdict with a wrong signature", strangers(expired), ErrUntrusted, "40004", "AUTH_CODE_EXPIRES"},
		{"sign null", `{"` + queryNode + `":` + appID + `,"sign":null}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"sign a number", `{"` + queryNode + `":` + appID + `,"sign":1}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"sign first, and null", `{"sign":null,"` + queryNode + `":` + appID + `}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"numeric code", `{"` + queryNode + `":` + numeric + `}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"numeric code under error_response", `{"error_response":` + numeric + `}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"numeric 20000", `{"` + queryNode + `":{"code":20000,"msg":"m","sub_code":"isp.unknow-error"}}`, ErrUntrusted, "20000", "isp.unknow-error"},
		{"node with another name", `{"alipay_system_oauth_token_response":` + appID + `}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"no node", appID, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"both nodes", `{"error_response":` + expired + `,"` + queryNode + `":` + appID + `}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"foreign object first", `{"x":` + expired + `,"` + queryNode + `":` + appID + `,"sign":null}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"foreign object last", `{"` + queryNode + `":` + appID + `,"x":` + expired + `,"sign":null}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"empty node last", `{"` + queryNode + `":` + appID + `,"error_response":{},"sign":null}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"null message", `{"` + queryNode + `":{"code":"40002","msg":null,"sub_code":"isv.invalid-app-id"}}`, ErrUntrusted, "40002", "isv.invalid-app-id"},
		{"only a sub_code", `{"` + queryNode + `":{"sub_code":"isv.invalid-app-id"}}`, ErrUntrusted, "", "isv.invalid-app-id"},
		{"success", `{"` + queryNode + `":` + successNode + `}`, ErrUntrusted, "", ""},
		{"success, numeric", `{"` + queryNode + `":{"code":10000}}`, ErrUntrusted, "", ""},
		{"nothing to name", `{"a":[{"code":"1"}],"b":null,"c":"code"}`, ErrUntrusted, "", ""},
		{"array", `[` + appID + `]`, ErrUntrusted, "", ""},
		{"text", `"` + queryNode + `"`, ErrUntrusted, "", ""},
		{"number", ` 1`, ErrUntrusted, "", ""},
		{"null", `null`, ErrUntrusted, "", ""},
		{"two values", `{"` + queryNode + `":` + appID + `} {}`, ErrUntrusted, "", ""},
		{"not JSON", `<html>isv.invalid-app-id`, ErrUnavailable, "", ""},
		{"an ordinary unsigned error", `{"` + queryNode + `":` + appID + `}`, ErrRejected, "40002", "isv.invalid-app-id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newTestClient(t, testConfig(t)).read(t.Context(), response{status: 200, body: []byte(tt.body)})
			e := asError(err)
			if !errors.Is(err, tt.kind) || e.Signed || e.Code != tt.code || e.SubCode != tt.sub {
				t.Errorf("got %+v, want %v with %s %s", e, tt.kind, tt.code, tt.sub)
			}
			if tt.sub != "" && (!strings.Contains(err.Error(), tt.sub) || errors.Is(tt.kind, ErrUntrusted) && !strings.Contains(e.Advice(), tt.sub)) {
				t.Errorf("got %v with advice %q, want %s in both", err, e.Advice(), tt.sub)
			}
		})
	}
}

// Nothing is added to the error of a signed response.
func TestSignedErrorsHoldOnlySignedDetails(t *testing.T) {
	t.Parallel()
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), `{"operator_id":"2088000000000101"}`)
	body = `{"x":{"code":"40002","sub_code":"isv.invalid-app-id"},` + strings.TrimPrefix(body, "{")
	_, err := newTestClient(t, testConfig(t)).read(t.Context(), response{status: 200, body: []byte(body)})
	if e := asError(err); !errors.Is(err, ErrUntrusted) || !e.Signed || e.Code != "" || e.SubCode != "" {
		t.Errorf("got %+v, want a signed error without a code", e)
	}
}

// A field that is not a string makes every response untrusted: a signed one, an unsigned one, and a downloaded certificate. The
// error names the field.
func TestFieldsThatAreNoStrings(t *testing.T) {
	t.Parallel()
	cfg := certificateMode(t, testConfig(t))
	c := newTestClient(t, testConfig(t))
	signed := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), strings.Replace(successNode, `"2088000000000202"`, "1", 1))
	_, err := c.read(t.Context(), response{status: 200, body: []byte(signed)})
	if e := asError(err); !errors.Is(err, ErrUntrusted) || !e.Signed || !strings.Contains(err.Error(), "operator_partner_id") {
		t.Errorf("signed: got %+v", e)
	}
	_, err = c.read(t.Context(), response{status: 200, body: []byte(`{"error_response":{"code":"40002","sub_msg":1}}`)})
	if e := asError(err); !errors.Is(err, ErrUntrusted) || e.Signed || e.Code != "40002" || e.SubMsg != "1" || !strings.Contains(err.Error(), "sub_msg") {
		t.Errorf("unsigned: got %+v", e)
	}
	_, err = newTestClient(t, cfg).readCertificate(response{status: 200, body: []byte(`{"` + downloadNode + `":{"code":"10000","alipay_cert_content":1}}`)}, "")
	if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "alipay_cert_content") {
		t.Errorf("download: got %v", err)
	}
	if _, err := cfg.Certificates.verified("", ""); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "alipay_cert_content") {
		t.Errorf("empty certificate: got %v", err)
	}
}

func TestExchangeReturnsTheGrant(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, testConfig(t))
	var attempts []Attempt
	c.onAttempt = func(a Attempt) { attempts = append(attempts, a) }
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), successNode)
	c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := answering(body)(r)
		resp.Header.Set("trace_id", "21 0a\x01b店")
		return resp, err
	})
	got, err := c.Exchange(t.Context(), testCode)
	want := operator.Grant{
		AppID:     "2021000000000001",
		Operator:  operator.Operator{ID: "2088000000000101", Type: operator.Provider},
		PartnerID: "2088000000000202", ExchangedAt: testNow,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if len(attempts) != 1 || attempts[0].Outcome != OutcomeSuccess || attempts[0].TraceID != "210ab" || attempts[0].Retry {
		t.Errorf("attempts: got %+v", attempts)
	}
}

func TestInvalidCodesAreNotSent(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, testConfig(t))
	c.transport = roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("sent")
		return nil, io.EOF
	})
	for _, code := range []string{"", strings.Repeat("x", 33), "a b", "a\n", "店"} {
		if _, err := c.Exchange(t.Context(), code); !errors.Is(err, ErrRejected) {
			t.Errorf("%q: got %v", code, err)
		}
	}
}

// The cipher text is the decoded string of the node, however its slashes are spelled.
func TestEncryptedNodeWithEscapedSlashes(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.EncryptKey = []byte("0123456789abcdef")
	c := newTestClient(t, cfg)
	text := encrypt(c.block, []byte(successNode))
	if !strings.Contains(text, "/") {
		t.Fatalf("no slash in %s", text)
	}
	node := `"` + strings.ReplaceAll(text, "/", `\/`) + `"`
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), node)
	if _, err := c.read(t.Context(), response{status: 200, body: []byte(body)}); err != nil {
		t.Error(err)
	}
}

// A row is what the gateway has encrypted and signed.
func TestEncryptedNodes(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.EncryptKey = []byte("0123456789abcdef")
	c := newTestClient(t, cfg)
	for plain, want := range map[string]error{
		successNode:  nil,
		"{\xff\xff}": ErrUntrusted,
		"":           ErrUntrusted,
		"[]":         ErrUntrusted,
		"{}":         ErrUntrusted,
		"\x00":       ErrUntrusted,
		`{"code":"40004","sub_code":"AUTH_CODE_EXPIRES"}`: ErrCodeExpired,
	} {
		body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), `"`+encrypt(c.block, []byte(plain))+`"`)
		_, err := c.read(t.Context(), response{status: 200, body: []byte(body)})
		if want == nil && err != nil || !errors.Is(err, want) || err != nil && !asError(err).Signed {
			t.Errorf("%q: got %v, want %v", plain, err, want)
		}
	}
	// What cannot be decrypted is another mistake than an empty text.
	explained := map[string]bool{}
	for _, text := range []string{encrypt(c.block, nil), "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="} {
		body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), `"`+text+`"`)
		_, err := c.read(t.Context(), response{status: 200, body: []byte(body)})
		explained[err.Error()] = true
	}
	if len(explained) != 3 {
		t.Errorf("got %v, want three explanations", explained)
	}
	for _, undecryptable := range []string{"", "*", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="} {
		body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), `"`+undecryptable+`"`)
		_, err := c.read(t.Context(), response{status: 200, body: []byte(body)})
		if e := asError(err); !errors.Is(err, ErrUntrusted) || !e.Signed {
			t.Errorf("%q: got %+v, want a signed response that is untrusted", undecryptable, e)
		}
	}
}

// A signature has only one valid spelling.
func TestSignatureIsStrictBase64(t *testing.T) {
	t.Parallel()
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), successNode)
	c := newTestClient(t, testConfig(t))
	end := strings.LastIndex(body, `=="}`)
	respelled := body[:end-1] + string(rune(body[end-1]+1)) + body[end:] // differs only in unused bits
	for _, changed := range []string{
		respelled,
		body[:end-8] + `\n` + body[end-8:],
		body[:end] + `"}`,
	} {
		if _, err := c.read(t.Context(), response{status: 200, body: []byte(changed)}); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: got %v", changed[end-8:], err)
		}
	}
}

// After the slash retry the signature covers another text than the received one. Only that text counts.
func TestOnlyTheVerifiedSpellingIsRead(t *testing.T) {
	t.Parallel()
	node := func(shops string) string {
		return strings.Replace(successNode, `"code"`, `"shop_ids":"`+shops+`","code"`, 1)
	}
	body := signedBy(t, privateKey(t, "keys/alipay_private_pkcs8.pem"), node(`1\/2`))
	received := strings.Replace(body, node(`1\/2`), node(`1\\/2`), 1)
	got, err := newTestClient(t, testConfig(t)).read(t.Context(), response{status: 200, body: []byte(received)})
	if err != nil || got.ShopIDs != "1/2" {
		t.Errorf("got %q, %v, want 1/2", got.ShopIDs, err)
	}
}
