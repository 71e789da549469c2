package alipay

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/operator"
)

type responseVector struct {
	Name          string            `json:"name"`
	Status        int               `json:"http_status"`
	ContentType   string            `json:"content_type"`
	IsBase64      bool              `json:"body_base64"`
	Body          string            `json:"body"`
	Charset       Charset           `json:"charset"`
	SignType      SignType          `json:"sign_type"`
	Mode          string            `json:"mode"`
	VerifyWith    string            `json:"verify_with"`
	Expected      string            `json:"expected"`
	Outcome       string            `json:"outcome"`
	Fields        map[string]string `json:"fields"`
	Error         map[string]string `json:"error"`
	Advice        string            `json:"advice"`
	SignedContent string            `json:"signed_content_base64"`
	Flags         []string          `json:"flags"`
}

func (v responseVector) response(t testing.TB) response {
	t.Helper()
	body := []byte(v.Body)
	if v.IsBase64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(v.Body); err != nil {
			t.Fatal(err)
		}
	}
	return response{status: v.Status, contentType: v.ContentType, body: body}
}

func (v responseVector) config(t testing.TB) Config {
	t.Helper()
	cfg := testConfig(t)
	cfg.Charset, cfg.SignType = v.Charset, v.SignType
	if v.Mode == "cert" {
		cfg.PublicKey, cfg.Certificates = nil, vectorCertificates(t, v.VerifyWith)
	} else {
		cfg.PublicKey = publicKey(t, v.VerifyWith)
	}
	return cfg
}

// deviations are the rows that the outcomes of the vectors leave open. Broken JSON does not come from the gateway, so the
// call may be retried.
var deviations = map[string]error{
	"truncated_after_node": ErrUnavailable,
	"truncated_in_sign":    ErrUnavailable,
	"aes_plain_success":    ErrUntrusted, // policy: the response to an encrypted request must be encrypted
}

func TestResponseVectors(t *testing.T) {
	t.Parallel()
	vectors := loadVectors[[]responseVector](t, "responses.json")
	if len(vectors) < 90 {
		t.Fatalf("got %d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			c := newTestClient(t, v.config(t))
			downloads := 0
			c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				downloads++
				return answering(`{"alipay_open_app_alipaycert_download_response":{"code":"40004","msg":"Business Failed"}}`)(r)
			})
			v.check(t, c)
			want := 0
			if slices.Contains(v.Flags, "needs_download") {
				want = 1
			}
			if downloads != want {
				t.Errorf("downloads: got %d, want %d", downloads, want)
			}
		})
	}
}

func TestEncryptedVectors(t *testing.T) {
	t.Parallel()
	vectors := loadVectors[struct {
		Key       string           `json:"key_base64"`
		Responses []responseVector `json:"responses"`
	}](t, "aes.json")
	for _, v := range vectors.Responses {
		t.Run(v.Name, func(t *testing.T) {
			v.Status, v.ContentType = http.StatusOK, "text/html;charset="+string(v.Charset)
			cfg := v.config(t)
			key, err := ParseEncryptKey(vectors.Key)
			if err != nil {
				t.Fatal(err)
			}
			cfg.EncryptKey = key
			v.check(t, newTestClient(t, cfg))
		})
	}
}

// check reads the vector's response and compares everything that the vector specifies.
func (v responseVector) check(t *testing.T, c *Client) {
	t.Helper()
	grant, err := c.read(t.Context(), v.response(t))
	if err == nil {
		v.checkGrant(t, grant)
	} else {
		v.checkError(t, grant, finish(err, response{}, nil))
	}
	if v.SignedContent != "" {
		v.checkSignedContent(t, c)
	}
}

func (v responseVector) checkGrant(t *testing.T, got operator.Grant) {
	t.Helper()
	want := operator.Grant{
		Operator:  operator.Operator{ID: v.Fields["operator_id"], Type: operator.Type(v.Fields["operator_type"])},
		PartnerID: v.Fields["operator_partner_id"],
		ShopIDs:   v.Fields["shop_ids"],
	}
	if v.Outcome != "success" || deviations[v.Name] != nil || got != want {
		t.Errorf("got %+v, want %s %+v", got, v.Outcome, want)
	}
}

func (v responseVector) checkError(t *testing.T, grant operator.Grant, e *Error) {
	t.Helper()
	if grant != (operator.Grant{}) {
		t.Errorf("got a grant beside the error: %+v", grant)
	}
	if want := v.wantKinds(); !slices.ContainsFunc(want, func(kind error) bool { return errors.Is(e, kind) }) {
		t.Errorf("got %v, want one of %v", e, want)
	}
	if want := v.Expected == "verified"; e.Signed != want {
		t.Errorf("Signed: got %t, want %t (%v)", e.Signed, want, e)
	}
	if v.Outcome != "error" {
		return
	}
	wantSubMsg, _, cut := strings.Cut(v.Error["sub_msg"], "app_id=")
	if cut {
		wantSubMsg += "[string to sign removed]"
	}
	got := []string{e.Code, e.Msg, e.SubCode, e.SubMsg}
	want := []string{v.Error["code"], v.Error["msg"], v.Error["sub_code"], wantSubMsg}
	if !slices.Equal(got, want) {
		t.Errorf("texts: got %q, want %q", got, want)
	}
}

func (v responseVector) wantKinds() []error {
	if kind := deviations[v.Name]; kind != nil {
		return []error{kind}
	}
	switch v.Outcome {
	case "rejected", "malformed":
		return []error{ErrUntrusted}
	case "transport":
		return []error{ErrUnavailable}
	case "error":
		if v.Expected != "verified" {
			return []error{ErrRejected}
		}
		switch v.Advice {
		case "retry":
			return []error{ErrUnavailable}
		case "new_code":
			return []error{ErrCodeNotExist, ErrCodeExpired}
		case "fix_request":
			return []error{ErrInvalidParameter, ErrAccessNotAllowed}
		}
		return []error{ErrRejected}
	}
	return nil
}

// checkSignedContent compares the raw bytes of the node. With slash_retry the signature covers another spelling.
func (v responseVector) checkSignedContent(t *testing.T, c *Client) {
	t.Helper()
	a := v.response(t)
	body, err := decode(a.body, a.contentType, c.charset)
	if err != nil {
		return // invalid_bytes: checked above
	}
	env, err := openEnvelope(body.text, queryNode)
	if err != nil {
		return // checked above
	}
	node := body.slice(env.node)
	if slices.Contains(v.Flags, "slash_retry") {
		node, _ = node.withoutSlashEscapes()
	}
	want, err := base64.StdEncoding.DecodeString(v.SignedContent)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(v.Expected, "verified") && string(node.raw) != string(want) {
		t.Errorf("signed bytes: got %q, want %q", node.raw, want)
	}
}

// A row is the gateway's response, and the kind of error with and without a signature.
func TestKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code, subCode    string
		signed, unsigned error
	}{
		{"40004", "INVALID_PARAMETER", ErrInvalidParameter, ErrRejected},
		{"40004", "AUTH_CODE_NOT_EXIST", ErrCodeNotExist, ErrRejected},
		{"40004", "AUTH_CODE_EXPIRES", ErrCodeExpired, ErrRejected},
		{"40004", "ACCESS_NOT_ALLOWED", ErrAccessNotAllowed, ErrRejected},
		{"40004", "SYSTEM_ERROR", ErrUnavailable, ErrRejected},
		{"20000", "SYSTEM_ERROR", ErrUnavailable, ErrUnavailable},
		{"20000", "AUTH_CODE_EXPIRES", ErrCodeExpired, ErrUnavailable},
		{"40002", "isv.AUTH_CODE_NOT_EXIST", ErrCodeNotExist, ErrRejected},
		{"40004", "isp.SYSTEM_ERROR", ErrUnavailable, ErrRejected},
		{"40004", "aop.ACCESS_NOT_ALLOWED", ErrAccessNotAllowed, ErrRejected},
		{"40004", "ACQ.INVALID_PARAMETER", ErrInvalidParameter, ErrRejected},
		{"40004", "KOUBEI.AUTH_CODE_EXPIRES", ErrCodeExpired, ErrRejected},
		{"40004", "isv.isv.AUTH_CODE_EXPIRES", ErrRejected, ErrRejected},
		{"40004", "auth_code_expires", ErrRejected, ErrRejected},
		{"40002", "isv.invalid-parameter", ErrRejected, ErrRejected},
		{"20000", "isp.unknow-error", ErrUnavailable, ErrUnavailable},
		{"20000", "", ErrUnavailable, ErrUnavailable},
		{"40005", "isv.app-call-limited", ErrUnavailable, ErrRejected},
		{"20001", "aop.invalid-auth-token", ErrRejected, ErrRejected},
		{"40006", "isv.insufficient-isv-permissions", ErrRejected, ErrRejected},
		{"10003", "", ErrRejected, ErrRejected},
		{"10000", "", ErrUntrusted, ErrUntrusted},
		{"10000 ", "", ErrRejected, ErrRejected},
	}
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range tests {
		t.Run(tt.code+" "+tt.subCode, func(t *testing.T) {
			node := `{"code":"` + tt.code + `","msg":"m","sub_code":"` + tt.subCode + `"}`
			for _, signed := range []bool{true, false} {
				for _, name := range []string{queryNode, errorNode} {
					body, want := signedBy(t, key, node), tt.signed
					if !signed {
						body, want = `{"`+queryNode+`":`+node+`}`, tt.unsigned
					}
					body = strings.Replace(body, queryNode, name, 1)
					_, err := c.read(t.Context(), response{status: 200, contentType: "text/html", body: []byte(body)})
					if !errors.Is(err, want) || asError(err).Signed != signed {
						t.Errorf("%s, signed %t: got %v, want %v", name, signed, err, want)
					}
				}
			}
		})
	}
}

// Conditions of a signed success, beyond the vectors.
func TestIdentity(t *testing.T) {
	t.Parallel()
	field := func(name, value string) string {
		return strings.Replace(successNode, `"operator_type"`, `"`+name+`":"`+value+`","operator_type"`, 1)
	}
	replace := func(old, with string) string { return strings.Replace(successNode, old, with, 1) }
	tests := []struct {
		name, node string
		want       error
	}{
		{"as documented", successNode, nil},
		{"null in every optional field", replace(`"2088000000000202"`, `null,"shop_ids":null,"ext_info":null,"sub_code":null,"sub_msg":null`), nil},
		{"null code", replace(`"10000"`, "null"), ErrUntrusted},
		{"null msg", replace(`"Success"`, "null"), ErrUntrusted},
		{"null operator", replace(`"2088000000000101"`, "null"), ErrUntrusted},
		{"null type", replace(`"PROVIDER"`, "null"), ErrUntrusted},
		{"numeric partner", replace(`"2088000000000202"`, "2088000000000202"), ErrUntrusted},
		{"boolean sub_code", replace(`"code"`, `"sub_code":false,"code"`), ErrUntrusted},
		{"array for the partner", replace(`"2088000000000202"`, `["2088000000000202"]`), ErrUntrusted},
		{"64 bytes of id", replace("2088000000000101", strings.Repeat("x", 64)), nil},
		{"65 bytes of id", replace("2088000000000101", strings.Repeat("x", 65)), ErrUntrusted},
		{"space in id", replace("2088000000000101", "2088 1"), ErrUntrusted},
		{"line feed in id", replace("2088000000000101", `2088\n1`), ErrUntrusted},
		{"Chinese id", replace("2088000000000101", "店"), ErrUntrusted},
		{"DEL in type", replace("PROVIDER", `MER\u007f`), ErrUntrusted},
		{"65 bytes of type", replace("PROVIDER", strings.Repeat("x", 65)), ErrUntrusted},
		{"space in partner", replace("2088000000000202", "2088 2"), ErrUntrusted},
		{"empty partner", replace("2088000000000202", ""), nil},
		{"empty sub_code", field("sub_code", ""), nil},
		{"sub_code", field("sub_code", "x"), ErrUntrusted},
		{"shops", field("shop_ids", "1, 2"), nil},
		{"16 KiB of shops", field("shop_ids", strings.Repeat("1", 16<<10)), nil},
		{"more than 16 KiB of shops", field("shop_ids", strings.Repeat("1", 16<<10+1)), ErrUntrusted},
		{"tab in shops", field("shop_ids", `1\t2`), ErrUntrusted},
		{"escaped duplicate", field(`operator\u005fid`, "1"), ErrUntrusted},
		{"repeated unknown name", field("x", `1","x":"2`), ErrUntrusted},
	}
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.read(t.Context(), response{status: 200, body: []byte(signedBy(t, key, tt.node))})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// The documentation does not say how shop_ids lists several shops.
func TestShopIDs(t *testing.T) {
	t.Parallel()
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range []struct {
		name, value string
		want        string
		kind        error
	}{
		{"text", `"1,2"`, "1,2", nil},
		{"null", `null`, "", nil},
		{"empty text", `""`, "", nil},
		{"array", `["1","2","3"]`, "1,2,3", nil},
		{"one in an array", `["1"]`, "1", nil},
		{"empty array", `[ ]`, "", nil},
		{"array with white space and escapes", "[ \"1\" ,\n\t\"\\u0032\" ]", "1,2", nil},
		{"number", `1`, "", ErrUntrusted},
		{"boolean", `true`, "", ErrUntrusted},
		{"object", `{"1":"2"}`, "", ErrUntrusted},
		{"array of numbers", `[1,2]`, "", ErrUntrusted},
		{"null in an array", `["1",null]`, "", ErrUntrusted},
		{"array in an array", `["1",["2"]]`, "", ErrUntrusted},
		{"control character in an array", `["1","2\n3"]`, "", ErrUntrusted},
		{"16 KiB", `"` + strings.Repeat("1", 16<<10) + `"`, strings.Repeat("1", 16<<10), nil},
		{"more than 16 KiB in an array", `["` + strings.Repeat("1", 8<<10) + `","` + strings.Repeat("2", 8<<10) + `"]`, "", ErrUntrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := strings.Replace(successNode, `"code"`, `"shop_ids":`+tt.value+`,"code"`, 1)
			got, err := c.read(t.Context(), response{status: 200, body: []byte(signedBy(t, key, node))})
			if got.ShopIDs != tt.want || tt.kind == nil && err != nil || !errors.Is(err, tt.kind) {
				t.Errorf("got %q, %v, want %q, %v", got.ShopIDs, err, tt.want, tt.kind)
			}
		})
	}
}

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

// An unverified response decides nothing, but often contains the real reason: the error and the advice include it.
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
			if tt.sub != "" && (!strings.Contains(err.Error(), tt.sub) || errors.Is(e.kind, ErrUntrusted) && !strings.Contains(e.Advice(), tt.sub)) {
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
	if len(attempts) != 1 || attempts[0].Outcome != OutcomeSuccess || attempts[0].TraceID != "210ab" || attempts[0].Retry || attempts[0].Err != nil {
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
