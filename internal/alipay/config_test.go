package alipay

import (
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/setting"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	address := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   [][]string // the settings of each problem
	}{
		{"no app id", func(c *Config) { c.AppID = "" }, [][]string{{appIDSetting}}},
		{"app id of 33 bytes", func(c *Config) { c.AppID = strings.Repeat("2", 33) }, [][]string{{appIDSetting}}},
		{"app id with a line feed", func(c *Config) { c.AppID = "2021\n" }, [][]string{{appIDSetting}}},
		{"no gateway", func(c *Config) { c.GatewayURL = nil }, [][]string{{gatewaySetting}}},
		{"no scheme", func(c *Config) { c.GatewayURL = address("openapi.alipay.com/gateway.do") }, [][]string{{gatewaySetting}}},
		{"plain HTTP", func(c *Config) { c.GatewayURL = address("http://gateway.example") }, [][]string{{gatewaySetting, allowHTTPSetting}}},
		{"plain HTTP that looks local", func(c *Config) { c.GatewayURL = address("http://localhost.example") }, [][]string{{gatewaySetting, allowHTTPSetting}}},
		{"another scheme", func(c *Config) { c.GatewayURL = address("ftp://gateway.example") }, [][]string{{gatewaySetting}}},
		{"no host", func(c *Config) { c.GatewayURL = address("https:///gateway.do") }, [][]string{{gatewaySetting}}},
		{"fragment in the address", func(c *Config) { c.GatewayURL = address("https://gateway.example#a") }, [][]string{{gatewaySetting}}},
		{"query in the address", func(c *Config) { c.GatewayURL = address("https://gateway.example?a=b") }, [][]string{{gatewaySetting}}},
		{"user in the address", func(c *Config) { c.GatewayURL = address("https://u:secret@gateway.example") }, [][]string{{gatewaySetting}}},
		{"no private key", func(c *Config) { c.PrivateKey = nil }, [][]string{{privateKeySetting}}},
		{"empty private key", func(c *Config) { c.PrivateKey = &rsa.PrivateKey{} }, [][]string{{privateKeySetting}}},
		{"damaged private key", func(c *Config) {
			damaged := *c.PrivateKey
			damaged.D = new(big.Int).Add(damaged.D, big.NewInt(2))
			damaged.Precomputed = rsa.PrecomputedValues{}
			c.PrivateKey = &damaged
		}, [][]string{{privateKeySetting}}},
		{"no public key", func(c *Config) { c.PublicKey = nil }, [][]string{{publicKeySetting, appCertSetting, alipayCertSetting, rootCertSetting}}},
		{"own public key", func(c *Config) { c.PublicKey = &c.PrivateKey.PublicKey }, [][]string{{publicKeySetting}}},
		{"short public key", func(c *Config) { c.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1022), E: 65537} }, [][]string{{publicKeySetting}}},
		{"empty public key", func(c *Config) { c.PublicKey = &rsa.PublicKey{} }, [][]string{{publicKeySetting}}},
		{"both modes", func(c *Config) { c.Certificates = vectorCertificates(t, "certs/alipay_cert_chain.crt") }, [][]string{{publicKeySetting, appCertSetting, alipayCertSetting, rootCertSetting}}},
		{"empty certificates", func(c *Config) { c.PublicKey, c.Certificates = nil, &Certificates{} }, [][]string{{appCertSetting, alipayCertSetting, rootCertSetting}}},
		{"another's app certificate", func(c *Config) {
			*c = certificateMode(t, *c)
			c.PrivateKey = privateKey(t, "keys/other_private_pkcs1.pem")
		}, [][]string{{appCertSetting, privateKeySetting}}},
		{"short encryption key", func(c *Config) { c.EncryptKey = make([]byte, 15) }, [][]string{{encryptKeySetting}}},
		{"AES-256 key", func(c *Config) { c.EncryptKey = make([]byte, 32) }, [][]string{{encryptKeySetting}}},
		{"token with a space", func(c *Config) { c.AppAuthToken = "a b" }, [][]string{{appAuthTokenSetting}}},
		{"sign type", func(c *Config) { c.SignType = "SM2" }, [][]string{{signTypeSetting}}},
		{"charset", func(c *Config) { c.Charset = "big5" }, [][]string{{charsetSetting}}},
		{"timeouts", func(c *Config) { c.Timeout, c.AttemptTimeout = time.Second, 2*time.Second }, [][]string{{timeoutSetting, attemptTimeoutSetting}}},
		{"negative timeout", func(c *Config) { c.Timeout, c.AttemptTimeout = -1, -1 }, [][]string{{timeoutSetting}, {attemptTimeoutSetting}}},
		{"all together", func(c *Config) { *c = Config{SignType: "x"} }, [][]string{{appIDSetting}, {signTypeSetting}, {gatewaySetting},
			{privateKeySetting}, {publicKeySetting, appCertSetting, alipayCertSetting, rootCertSetting}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			tt.change(&cfg)
			c, err := New(cfg)
			problems, ok := errors.AsType[setting.Problems](err)
			if !ok || c != nil {
				t.Fatalf("got %v, want setting.Problems", err)
			}
			var got [][]string
			for _, p := range problems {
				got = append(got, p.Settings)
			}
			if !slices.EqualFunc(got, tt.want, slices.Equal) {
				t.Errorf("got problems of %v, want %v", got, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestNewAcceptsTheLongestAppID(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.AppID = strings.Repeat("2", 32)
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

// A key that was damaged after New signs nothing, so nothing is sent.
func TestAKeyThatCannotSign(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	c := newTestClient(t, cfg)
	c.transport = roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("sent")
		return nil, io.EOF
	})
	*cfg.PrivateKey = rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(15), E: 3}, D: big.NewInt(3)}
	if _, err := c.Exchange(t.Context(), testCode); !errors.Is(err, ErrRejected) {
		t.Errorf("got %v, want rejected", err)
	}
}

func TestNewAcceptsLoopbackOverHTTP(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost:8080", "LOCALHOST", "127.0.0.1:1", "127.8.8.8", "[::1]:80"} {
		cfg := testConfig(t)
		cfg.GatewayURL = &url.URL{Scheme: "http", Host: host}
		if _, err := New(cfg); err != nil {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(*Config) {}, ""},
		{"gb2312", func(c *Config) { c.Charset = "GB2312" }, charsetSetting},
		{"gb18030", func(c *Config) { c.Charset = GB18030 }, charsetSetting},
		{"gbk", func(c *Config) { c.Charset = GBK }, ""},
		{"SHA-1", func(c *Config) { c.SignType = RSA }, signTypeSetting},
		{"short own key", func(c *Config) { c.PrivateKey = privateKey(t, "keys/app1024_private_pkcs8.pem") }, privateKeySetting},
		{"short key of Alipay", func(c *Config) { c.PublicKey = publicKey(t, "keys/alipay1024_public.pem") }, publicKeySetting},
		{"HTTP", func(c *Config) { c.GatewayURL.Scheme, c.AllowHTTP = "http", true }, gatewaySetting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			tt.change(&cfg)
			ws := newTestClient(t, cfg).Warnings()
			if tt.want == "" && len(ws) > 0 || tt.want != "" && (len(ws) != 1 || !slices.Contains(ws[0].Settings, tt.want) || ws[0].Fix == "") {
				t.Errorf("got %+v, want a warning of %q", ws, tt.want)
			}
		})
	}
}
