package alipay

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"
	"unicode/utf8"
)

// No error and no attempt contains the code, the token, a signature or a key, whatever the gateway or an attacker sends.
func TestNoErrorHoldsASecret(t *testing.T) {
	t.Parallel()
	const code, token = `c0de"<&>+%\/12345678901234X42`, "202601BBtoken&X40"
	cfg := testConfig(t)
	cfg.AppAuthToken = token
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	jsonText := func(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }
	forHTML, err := json.Marshal(code)
	if err != nil {
		t.Fatal(err)
	}
	spellings := []string{code, token, url.QueryEscape(code), html.EscapeString(code), jsonText(code), html.EscapeString(jsonText(code)), strings.Trim(string(forHTML), `"`)}

	var responses []func(r *http.Request) (*http.Response, error)
	for _, field := range []string{"code", "msg", "sub_code", "sub_msg"} {
		for _, s := range append(spellings, strings.Repeat("x", maxText-10)+code, "a\n"+code, "\x1b[31m\x7f\u009f", "验签字符串为：app_auth_token="+token+"&amp;biz_content="+html.EscapeString(jsonText(code))) {
			node := `{"code":"40002","` + field + `":"` + jsonText(s) + `"}`
			if field == "code" {
				node = `{"code":"` + jsonText(s) + `"}`
			}
			node = strings.NewReplacer("\n", `\n`, "\x1b", `\u001b`).Replace(node)
			for _, body := range []string{signedBy(t, key, node), `{"error_response":` + node + `}`, `{"error_response":` + node + `,"sign":"AAAA"}`} {
				responses = append(responses, answering(body))
			}
		}
	}
	responses = append(responses,
		func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: fmt.Errorf("malformed HTTP response %q about %s and %s", code, code, token)}
		},
		func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			return nil, errors.New("sent " + string(body))
		},
		func(r *http.Request) (*http.Response, error) {
			resp, err := answering(code)(r)
			resp.Header.Set("trace_id", code)
			resp.StatusCode = 500
			return resp, err
		},
	)
	synctest.Test(t, func(t *testing.T) {
		for i, respond := range responses {
			var signature string
			var told []string
			cfg.OnAttempt = func(a Attempt) { told = append(told, fmt.Sprintf("%+v", a), a.TraceID) }
			c := newTestClient(t, cfg)
			c.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				signature = r.URL.Query().Get("sign")
				return respond(r)
			})
			_, err := c.Exchange(t.Context(), code)
			if err == nil {
				t.Fatalf("response %d: no error", i)
			}
			e := asError(err)
			told = append(told, err.Error(), fmt.Sprintf("%+v %#v %q", e, e.SubMsg, e.Msg), e.Advice())
			for _, text := range told {
				for _, secret := range append(spellings, signature, url.QueryEscape(signature), "X40", "X42") {
					if strings.Contains(text, secret) {
						t.Errorf("response %d: %q holds %q", i, text, secret)
					}
				}
				if strings.ContainsFunc(err.Error(), unicode.IsControl) || !utf8.ValidString(err.Error()) || len(err.Error()) > 4*maxText+400 {
					t.Errorf("response %d: not fit for a log line: %q", i, err)
				}
			}
		}
	})
}

func TestShortenKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		strings.Repeat("店", 200):    strings.Repeat("店", 33) + "…",
		strings.Repeat("x", 100):    strings.Repeat("x", 100),
		strings.Repeat("x", 101):    strings.Repeat("x", 100) + "…",
		strings.Repeat("\x97", 101): "…",
	} {
		if got := shorten(text, 100); got != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// A secret may begin with another one.
func TestTheLongerSecretIsRemovedFirst(t *testing.T) {
	t.Parallel()
	for _, values := range [][]string{{"abc", "abcdef"}, {"abcdef", "abc"}} {
		if got, want := newSecrets(values...).strip("abcdef abc"), redacted+" "+redacted; got != want {
			t.Errorf("%q: got %q, want %q", values, got, want)
		}
	}
}
