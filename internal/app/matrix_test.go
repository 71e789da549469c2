package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/pemfile"
	"koubei-landing/koubeisim"
)

// koubeisim and the client share no code. They must work together in every mode, and the client must classify every fault
// of koubeisim correctly.

// person has text that each charset encodes differently.
var person = koubeisim.Person{
	OperatorID: "2088102150477660", OperatorType: "PROVIDER_STAFF", PartnerID: "2088102150477653", ShopIDs: "2015060900077000000000152345,口碑《測試》店",
}

// fault is a row of the matrix: the gateway's behavior, and the client's result.
type fault struct {
	name koubeisim.Fault // empty for none

	want   error // nil: landed
	signed bool  // the error came with a valid signature
	calls  int   // about the code; 1 when zero

	onlyCertificates, onlyAES bool // there is no such fault in other modes
}

// faults are the important ones: each group of koubeisim's, and every step of reading a response.
var faults = []fault{
	{},
	// No response, or busy: retried. The code may be spent in the meantime.
	{name: koubeisim.Drop, calls: 2},
	{name: koubeisim.Busy, calls: 2},
	{name: koubeisim.SpendThenDrop, want: alipay.ErrCodeNotExist, signed: true, calls: 2},
	// Verdicts on the code, and refusals.
	{name: koubeisim.Expired, want: alipay.ErrCodeExpired, signed: true},
	{name: koubeisim.PrefixedNotExist, want: alipay.ErrCodeNotExist, signed: true},
	{name: koubeisim.AccessDenied, want: alipay.ErrAccessNotAllowed, signed: true},
	{name: koubeisim.InvalidParameter, want: alipay.ErrInvalidParameter, signed: true},
	{name: koubeisim.NoPermission, want: alipay.ErrRejected, signed: true},
	{name: koubeisim.ErrorNode, want: alipay.ErrRejected, signed: true},
	{name: koubeisim.InvalidAppID, want: alipay.ErrRejected},
	{name: koubeisim.ExpiredNoCertSN, want: alipay.ErrCodeExpired, signed: true},
	{name: koubeisim.BusyNoCertSN, calls: 2},
	// Forgeries.
	{name: koubeisim.UnsignedExpired, want: alipay.ErrRejected},
	{name: koubeisim.Unsigned, want: alipay.ErrUntrusted},
	{name: koubeisim.WrongKey, want: alipay.ErrUntrusted},
	{name: koubeisim.Tampered, want: alipay.ErrUntrusted},
	{name: koubeisim.SecondNode, want: alipay.ErrUntrusted},
	{name: koubeisim.EscapedSecondNode, want: alipay.ErrUntrusted},
	{name: koubeisim.BothNodes, want: alipay.ErrUntrusted},
	{name: koubeisim.SuccessAsError, want: alipay.ErrUntrusted, signed: true},
	{name: koubeisim.OtherNode, want: alipay.ErrUntrusted},
	{name: koubeisim.UnknownCert, want: alipay.ErrUntrusted, onlyCertificates: true},
	{name: koubeisim.RogueCert, want: alipay.ErrUntrusted, onlyCertificates: true},
	{name: koubeisim.NoCertSN, want: alipay.ErrUntrusted, onlyCertificates: true},
	{name: koubeisim.NotEncrypted, want: alipay.ErrUntrusted, signed: true, onlyAES: true},
	{name: koubeisim.NullSign, want: alipay.ErrUntrusted},
	{name: koubeisim.NumberErrorCode, want: alipay.ErrUntrusted},
	{name: koubeisim.OtherNodeError, want: alipay.ErrUntrusted},
	// Signed, but without a valid identity.
	{name: koubeisim.Malformed, want: alipay.ErrUntrusted, signed: true},
	{name: koubeisim.RepeatedField, want: alipay.ErrUntrusted, signed: true},
	// Correct, but unusual.
	{name: koubeisim.CaseField},
	{name: koubeisim.NullFields},
	{name: koubeisim.ShopArray},
	{name: koubeisim.GBK},
	{name: koubeisim.GBKUndeclared},
	{name: koubeisim.EscapedSlashes},
	{name: koubeisim.SignFirst},
	{name: koubeisim.Spaced},
}

// meeting is a koubeisim and a client in one mode, with any charset.
type meeting struct {
	koubei       *koubeisim.Koubei
	config       alipay.Config
	certificates bool
	encrypted    bool
}

func TestKoubeisimAndClientAgree(t *testing.T) {
	t.Parallel()
	key := freshKey(t) // one key for all applications, because making keys takes time
	for _, certificates := range []bool{false, true} {
		for _, signType := range []alipay.SignType{alipay.RSA2, alipay.RSA} {
			for _, encryptKey := range [][]byte{nil, []byte("0123456789abcdef")} {
				name := strings.Join([]string{word(certificates, "certificates", "keys"), string(signType), word(encryptKey != nil, "AES", "plain")}, " ")
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					m := newMeeting(t, key, certificates, signType, encryptKey)
					for _, charset := range []alipay.Charset{alipay.UTF8, alipay.GBK, alipay.GB2312, alipay.GB18030} {
						t.Run(string(charset), func(t *testing.T) { m.in(t, charset) })
					}
				})
			}
		}
	}
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func freshKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return key
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newMeeting(t *testing.T, key *rsa.PrivateKey, certificates bool, signType alipay.SignType, encryptKey []byte) *meeting {
	t.Helper()
	k, err := koubeisim.New(koubeisim.Options{
		AppPrivateKey: base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key)),
		SignType:      string(signType), EncryptKey: encryptKey, Certificates: certificates,
	})
	must(t, err)
	gateway := httptest.NewServer(k.Gateway())
	t.Cleanup(gateway.Close)
	u, err := url.Parse(gateway.URL)
	must(t, err)
	m := &meeting{koubei: k, certificates: certificates, encrypted: encryptKey != nil, config: alipay.Config{
		AppID: k.AppID(), GatewayURL: u, PrivateKey: key, SignType: signType, EncryptKey: encryptKey,
		Timeout: 30 * time.Second, AttemptTimeout: 10 * time.Second,
	}}
	if certificates {
		c := k.Certificates()
		m.config.Certificates, err = alipay.ParseCertificates(pemfile.File{Data: c.App}, pemfile.File{Data: c.Alipay}, pemfile.File{Data: c.Root})
	} else {
		m.config.PublicKey, err = alipay.ParsePublicKey(k.AlipayPublicKey())
	}
	must(t, err)
	return m
}

// in tests all faults in one charset.
func (m *meeting) in(t *testing.T, charset alipay.Charset) {
	config := m.config
	config.Charset = charset
	client, err := alipay.New(config)
	must(t, err)
	for _, f := range faults {
		if f.onlyCertificates && !m.certificates || f.onlyAES && !m.encrypted {
			continue
		}
		if problem := m.exchange(t.Context(), client, f); problem != "" {
			t.Errorf("%s: %s", f.title(), problem)
		}
	}
}

func (f fault) title() string {
	if f.name == "" {
		return "no fault"
	}
	return string(f.name)
}

// exchange applies the fault to one exchange, and returns what differs from the expectation.
func (m *meeting) exchange(ctx context.Context, client *alipay.Client, f fault) string {
	if f.name != "" {
		m.koubei.Next(f.name)
	}
	code := m.koubei.Issue(person)
	grant, err := client.Exchange(ctx, code)
	var e *alipay.Error
	switch {
	case f.want == nil && err != nil:
		return "got " + err.Error()
	case f.want == nil && (grant.Operator != operator.Operator{ID: person.OperatorID, Type: operator.Type(person.OperatorType)} ||
		grant.PartnerID != person.PartnerID || grant.ShopIDs != person.ShopIDs || grant.AppID != m.koubei.AppID()):
		return "got another grant"
	case f.want != nil && (grant != operator.Grant{}):
		return "a grant beside an error"
	case f.want != nil && !errors.Is(err, f.want):
		return "got " + errorText(err) + ", want " + f.want.Error()
	case f.want != nil && errors.As(err, &e) && e.Signed != f.signed:
		return word(e.Signed, "signed, want unsigned: ", "not signed, want signed: ") + e.Error()
	case f.want != nil && strings.Contains(err.Error(), code):
		return "the code is shown: " + err.Error()
	}
	if got, want := m.koubei.CallsFor(code), max(1, f.calls); got != want {
		return fmt.Sprintf("called %d times, want %d", got, want)
	}
	return ""
}

func errorText(err error) string {
	if err == nil {
		return "a grant"
	}
	return err.Error()
}
