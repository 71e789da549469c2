package handler_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// In certificate mode a signed error may lack alipay_cert_sn, but a success may not. The log contains each untrusted
// response and what to do.
func TestResponsesInCertificateMode(t *testing.T) {
	t.Parallel()
	koubei, err := koubeisim.New(koubeisim.Options{Certificates: true})
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(koubei.Gateway())
	t.Cleanup(gateway.Close)
	w := testworld.New(t, func(c *app.Config) { c.Alipay = certificateMode(t, koubei, gateway.URL) })
	if err := koubei.SetLandingURL(w.Public + w.Config.Web.CallbackPath); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		fault  koubeisim.Fault // empty for none
		status int
		code   string
		calls  int
		log    []string // in the log line of the request
	}{
		{"success", "", 303, "", 1, nil},
		{"expired without SN", koubeisim.ExpiredNoCertSN, 410, "code_expired", 1, nil},
		{"busy without SN", koubeisim.BusyNoCertSN, 303, "", 2, nil},
		{"success without SN", koubeisim.NoCertSN, 502, "gateway_untrusted", 1, nil},
		{"renewed certificate, download refused", koubeisim.UnknownCert, 502, "gateway_untrusted", 2, []string{"into ALIPAY_CERT_FILE"}},
		{"sign is null", koubeisim.NullSign, 502, "gateway_untrusted", 1, []string{"isv.invalid-app-id", "unverified", "Check ALIPAY_APP_ID"}},
		{"numeric code", koubeisim.NumberErrorCode, 502, "gateway_untrusted", 1, []string{"40002", "isv.invalid-app-id", "unverified"}},
		{"another node", koubeisim.OtherNodeError, 502, "gateway_untrusted", 1, []string{"isv.invalid-app-id", "unverified"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.fault != "" {
				koubei.Next(tt.fault)
			}
			code, before := koubei.Issue(testworld.Merchant), len(koubei.Calls())
			a := w.Browser().Land(koubei.LandingURL(code, koubeisim.Observed))
			if a.StatusCode != tt.status || len(koubei.Calls())-before != tt.calls {
				t.Fatalf("got %d after %d calls, want %d after %d", a.StatusCode, len(koubei.Calls())-before, tt.status, tt.calls)
			}
			if tt.status == 303 {
				return
			}
			checkErrorPage(t, a, code, tt.code)
			lines := linesOf(t, w, "request", a)
			if len(lines) != 1 || lines[0]["code"] != tt.code {
				t.Fatalf("got lines %v, want one with %s", lines, tt.code)
			}
			text, _ := lines[0]["error"].(string)
			advice, _ := lines[0]["advice"].(string)
			for _, want := range tt.log {
				if !strings.Contains(text+advice, want) {
					t.Errorf("got error %q, advice %q, want %q in them", text, advice, want)
				}
			}
		})
	}
}

// certificateMode returns the settings of a gateway in certificate mode.
func certificateMode(t *testing.T, koubei *koubeisim.Koubei, address string) alipay.Config {
	t.Helper()
	files := koubei.Certificates()
	certs, err := alipay.ParseCertificates(pemfile.File{Data: files.App}, pemfile.File{Data: files.Alipay}, pemfile.File{Data: files.Root})
	if err != nil {
		t.Fatal(err)
	}
	key, err := alipay.ParsePrivateKey(koubei.AppPrivateKey())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return alipay.Config{
		AppID: koubei.AppID(), GatewayURL: u, PrivateKey: key, Certificates: certs, Timeout: 10 * time.Second, AttemptTimeout: 6 * time.Second,
	}
}
