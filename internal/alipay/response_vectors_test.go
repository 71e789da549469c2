package alipay

import (
	"encoding/base64"
	"errors"
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
