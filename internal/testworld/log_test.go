package testworld_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

func TestLeaks(t *testing.T) {
	k, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	code := k.Issue(testworld.Provider)
	der, err := base64.StdEncoding.DecodeString(k.AppPrivateKey())
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	line := func(what string) string { return `{"level":"INFO","msg":"request","x":"` + what + `"}` + "\n" }
	for _, row := range []struct {
		name, text string
		leaks      bool
	}{
		{"nothing", line("landed"), false},
		{"empty", "", false},
		{"a code", line(code), true},
		{"a code and nothing else", code, true},
		{"a code in a longer word", line("x" + code + "x"), true},
		{"most of a code", line(code[:31]), false},
		{"a code after one that begins alike", line(code[:31] + code), true},
		{"an address with a code", line(k.LandingURL(code, koubeisim.Observed)), true},
		{"a code that the gateway doesn't know", line(k.IssueIn(koubeisim.CodeUnknown, testworld.Provider)), true},
		{"a code that was dead when it was made", line(k.IssueIn(koubeisim.CodeExpired, testworld.Provider)), true},
		{"a key", line(k.AppPrivateKey()), true},
		{"a key in an address", line(url.QueryEscape(k.AppPrivateKey())), true},
		{"a line from a key's middle", line(strings.Split(key, "\n")[12]), true},
		{"a key's end", line(k.AppPrivateKey()[len(k.AppPrivateKey())-40:]), true},
		{"a short secret", line("hush"), true},
	} {
		if got := testworld.Leaks(row.text, append(testworld.SecretsOf(k), "", "hush")...); len(got) > 0 != row.leaks {
			t.Errorf("%s: got %q, want leaks %t", row.name, got, row.leaks)
		}
	}
	other := k.Issue(testworld.Provider)
	if got := testworld.Leaks(line(code)+line(other)+line(code), code, other, code); !slices.Equal(got, []string{code, other}) {
		t.Errorf("two codes, one of them twice: got %q", got)
	}
}

// TestALogKeepsOutWhatAWorldIsMadeOf: no way of logging the parts of a world hides their secrets from the search.
func TestALogKeepsOutWhatAWorldIsMadeOf(t *testing.T) {
	w := testworld.New(t)
	b := w.Browser()
	b.Land(w.Landing(w.Koubei.Issue(testworld.Provider)))
	private, seal := w.Config.Alipay.PrivateKey, w.Config.Session.SealKeys[0]
	for name, text := range map[string]string{
		"the session's token":      b.Cookie(w.Public, "koubei_session"),
		"the key in its old form":  base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(private)),
		"the key as %v prints it":  fmt.Sprint(*private),
		"the seal keys, likewise":  fmt.Sprint(w.Config.Session.SealKeys),
		"a seal key as %x does":    fmt.Sprintf("%x", seal),
		"a seal key as JSON holds": base64.StdEncoding.EncodeToString(seal),
	} {
		if got := testworld.Leaks(text, w.Log.Secrets()...); len(got) == 0 {
			t.Errorf("%s would not be noticed in a log", name)
		}
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func TestALogWithACodeFailsItsTest(t *testing.T) {
	k, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	failing, log := &recorder{TB: t}, &testworld.Log{}
	log.Logger().Debug("landing", "result", "landed")
	if log.Check(failing, testworld.SecretsOf(k)...); len(failing.said) > 0 {
		t.Errorf("a log without a code: got %q", failing.said)
	}
	log.Logger().Debug("landing", "code", k.Issue(testworld.Provider))
	if log.Check(failing, testworld.SecretsOf(k)...); len(failing.said) != 1 || !strings.Contains(failing.said[0], "holds a code") {
		t.Errorf("a log with a code: got %q, want one complaint", failing.said)
	}
}
