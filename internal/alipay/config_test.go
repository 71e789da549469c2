package alipay

import (
	"crypto/rsa"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
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
		want   []string
	}{
		{"no app id", func(c *Config) { c.AppID = "" }, []string{"app id"}},
		{"app id with a line feed", func(c *Config) { c.AppID = "2021\n" }, []string{"app id"}},
		{"no gateway", func(c *Config) { c.GatewayURL = nil }, []string{"https:// URL"}},
		{"no scheme", func(c *Config) { c.GatewayURL = address("openapi.alipay.com/gateway.do") }, []string{"https:// URL"}},
		{"plain HTTP", func(c *Config) { c.GatewayURL = address("http://gateway.example") }, []string{"use https://"}},
		{"plain HTTP that looks local", func(c *Config) { c.GatewayURL = address("http://localhost.example") }, []string{"use https://"}},
		{"query in the address", func(c *Config) { c.GatewayURL = address("https://gateway.example?a=b") }, []string{"no user, query"}},
		{"user in the address", func(c *Config) { c.GatewayURL = address("https://u:secret@gateway.example") }, []string{"no user, query"}},
		{"no private key", func(c *Config) { c.PrivateKey = nil }, []string{"private key is missing"}},
		{"damaged private key", func(c *Config) {
			damaged := *c.PrivateKey
			damaged.D = new(big.Int).Add(damaged.D, big.NewInt(2))
			damaged.Precomputed = rsa.PrecomputedValues{}
			c.PrivateKey = &damaged
		}, []string{"damaged"}},
		{"no public key", func(c *Config) { c.PublicKey = nil }, []string{"neither"}},
		{"own public key", func(c *Config) { c.PublicKey = &c.PrivateKey.PublicKey }, []string{"own public key"}},
		{"empty public key", func(c *Config) { c.PublicKey = &rsa.PublicKey{} }, []string{"too short"}},
		{"both modes", func(c *Config) { c.Certificates = vectorCertificates(t, "certs/alipay_cert_chain.crt") }, []string{"both"}},
		{"empty certificates", func(c *Config) { c.PublicKey, c.Certificates = nil, &Certificates{} }, []string{"ParseCertificates"}},
		{"another's app certificate", func(c *Config) {
			*c = certificateMode(t, *c)
			c.PrivateKey = privateKey(t, "keys/other_private_pkcs1.pem")
		}, []string{"not of the application's private key"}},
		{"short encryption key", func(c *Config) { c.EncryptKey = make([]byte, 15) }, []string{"15 bytes"}},
		{"AES-256 key", func(c *Config) { c.EncryptKey = make([]byte, 32) }, []string{"32 bytes"}},
		{"token with a space", func(c *Config) { c.AppAuthToken = "a b" }, []string{"app auth token"}},
		{"sign type", func(c *Config) { c.SignType = "SM2" }, []string{"RSA2 or RSA"}},
		{"charset", func(c *Config) { c.Charset = "big5" }, []string{"charset"}},
		{"time-outs", func(c *Config) { c.Timeout, c.AttemptTimeout = time.Second, 2*time.Second }, []string{"raise the latter"}},
		{"negative time-out", func(c *Config) { c.Timeout = -1 }, []string{"negative"}},
		{"negative connections", func(c *Config) { c.MaxConns = -1 }, []string{"negative"}},
		{"all at once", func(c *Config) { *c = Config{SignType: "x"} }, []string{"app id", "sign type", "https:// URL", "private key", "neither"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig(t)
			tt.change(&cfg)
			c, err := New(cfg)
			if err == nil || c != nil {
				t.Fatal("got a client")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
}

func TestNewAcceptsLoopbackOverHTTP(t *testing.T) {
	for _, host := range []string{"localhost:8080", "LOCALHOST", "127.0.0.1:1", "127.8.8.8", "[::1]:80"} {
		cfg := testConfig(t)
		cfg.GatewayURL = &url.URL{Scheme: "http", Host: host}
		if _, err := New(cfg); err != nil {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(*Config) {}, ""},
		{"gb2312", func(c *Config) { c.Charset = "GB2312" }, "utf-8 and gbk"},
		{"gb18030", func(c *Config) { c.Charset = GB18030 }, "utf-8 and gbk"},
		{"gbk", func(c *Config) { c.Charset = GBK }, ""},
		{"SHA-1", func(c *Config) { c.SignType = RSA }, "SHA-1"},
		{"short own key", func(c *Config) { c.PrivateKey = privateKey(t, "keys/app1024_private_pkcs8.pem") }, "1024 bits"},
		{"short key of Alipay's", func(c *Config) { c.PublicKey = publicKey(t, "keys/alipay1024_public.pem") }, "fewer than 2048"},
		{"HTTP", func(c *Config) { c.GatewayURL.Scheme, c.AllowHTTP = "http", true }, "without TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig(t)
			tt.change(&cfg)
			ws := newTestClient(t, cfg).Warnings()
			if tt.want == "" && len(ws) > 0 || tt.want != "" && (len(ws) != 1 || !strings.Contains(ws[0], tt.want)) {
				t.Errorf("got %q, want %q", ws, tt.want)
			}
		})
	}
}
