package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

const settingsNote = `Every setting is an environment variable and, unless it is secret, a flag of the same name; the flag wins. ` +
	`A secret may be given as NAME_FILE instead, a path to read it from.`

// otelNote is what the help and the README say of the variables that OpenTelemetry reads itself.
const otelNote = "The standard variables of OpenTelemetry. Tracing starts when an OTLP endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT); it goes by http/protobuf."

// settings is the one table of settings: flags, variables, defaults, help and the README's table come from it. All are
// texts here, and are judged together in parse.go: kong would stop at the first bad value, and print it.
//
// A field with a secret tag has no flag. Its tag names the variable.
type settings struct {
	PublicListen   string `default:":8080" help:"Browsers' listener."`
	InternalListen string `default:"127.0.0.1:9090" help:"Proxies' and operators' listener: never exposed to browsers."`
	PublicURL      string `name:"public-url" default:"http://localhost:8080" help:"How browsers reach the service. https makes cookies Secure. It may carry a path, under which every public route but the callback then lies."`
	CallbackPath   string `default:"/koubei/callback" help:"The address registered at Koubei."`

	AlipayAppID          string `name:"alipay-app-id" help:"The application's id. Required."`
	AlipayAppPrivateKey  string `kong:"-" secret:"ALIPAY_APP_PRIVATE_KEY" help:"The application's private key: PKCS#1 or PKCS#8, PEM or bare base64. Required."`
	AlipayPublicKey      string `kong:"-" secret:"ALIPAY_PUBLIC_KEY" help:"Alipay's public key, PEM or bare base64. Required, unless certificates are set."`
	AlipayAppCertFile    string `help:"Certificate mode: the application's certificate. All three or none."`
	AlipayCertFile       string `help:"Certificate mode: Alipay's certificate."`
	AlipayRootCertFile   string `help:"Certificate mode: Alipay's root certificates."`
	AlipayEncryptKey     string `kong:"-" secret:"ALIPAY_ENCRYPT_KEY" help:"Base64 AES key: content encryption."`
	AlipayAppAuthToken   string `kong:"-" secret:"ALIPAY_APP_AUTH_TOKEN" help:"Sent when set."`
	AlipayGatewayURL     string `name:"alipay-gateway-url" default:"https://openapi.alipay.com/gateway.do" help:"The gateway: production, the sandbox or koubeisim."`
	AlipayAllowHTTP      string `name:"alipay-allow-http" default:"false" help:"Allow an http:// gateway that is not on this machine."`
	AlipaySignType       string `default:"RSA2" help:"RSA2 or RSA."`
	AlipayCharset        string `default:"utf-8" help:"utf-8, gbk, gb2312 or gb18030."`
	AlipayTimeout        string `default:"10s" help:"The whole exchange, its retries included."`
	AlipayAttemptTimeout string `default:"6s" help:"One attempt."`

	RedisURL          string `kong:"-" secret:"REDIS_URL" help:"redis://, rediss:// or unix://, in go-redis's URL syntax. Required."`
	RedisMode         string `default:"single" help:"single, sentinel or cluster: how REDIS_URL is read."`
	RedisTimeout      string `default:"500ms" help:"One command, connecting and pool included, whatever the URL says."`
	RedisKeyPrefix    string `help:"Begins every key. Default: koubei: and the application's id and a colon."`
	RedisWaitReplicas string `default:"0" help:"Replicas that must have a claim, a session, a sign-out or a revocation before it counts."`

	SealKeys              string `kong:"-" secret:"SEAL_KEYS" help:"Base64 32-byte keys, comma-separated: the first seals, all open. Default: derived from the application's private key."`
	SessionLifetime       string `default:"12h" help:"Of a partner's entry, since its own landing; at most 24h."`
	SessionIdleTimeout    string `default:"2h" help:"Since the last read; 0 turns it off."`
	SessionCacheTTL       string `name:"session-cache-ttl" default:"0s" help:"Keep read sessions in the process for at most this long; changes on any replica take effect within 100 ms."`
	SessionCookieName     string `default:"koubei_session" help:"Gets __Host- before it on https, __Secure- when there is a domain."`
	SessionCookieSamesite string `default:"lax" help:"lax, or none for pages shown in Koubei's iframe (needs https)."`
	SessionCookieDomain   string `help:"A parent domain of PUBLIC_URL's host, to share the session with sibling hosts."`

	FrameAncestors  string `help:"Origins that may show the pages in an iframe, separated by commas (needs SESSION_COOKIE_SAMESITE=none)."`
	ArrivalCheck    string `default:"auto" help:"auto or off: whether a browser must show that it keeps cookies before a code is spent."`
	HomeURL         string `name:"home-url" default:"/" help:"Where a browser goes after landing; {partner_id}, {operator_id} and {operator_type} are filled in."`
	HomeURLs        string `name:"home-urls" help:"The same per operator type: PROVIDER=/p/{partner_id},MER=/m"`
	ReturnToOrigins string `help:"Origins, besides the service's own, that return_to and home addresses may name, separated by commas."`
	EntryURL        string `name:"entry-url" help:"The page at Koubei that leads here; shown on pages that say: enter again from Koubei."`

	ConfirmOperatorSwitch string `default:"true" help:"Ask before a live session of another operator is replaced."`
	ForwardAuthCode       string `default:"false" help:"Let /auth/verify hand the code to the application behind."`

	AssertionKeysFile string `help:"PEM file with EC P-256 or Ed25519 private keys: the first signs assertions, all are published."`
	AssertionAudience string `help:"Comma-separated audiences; the first unless ?audience= names another of them. Default: PUBLIC_URL."`
	AssertionTTL      string `name:"assertion-ttl" default:"60s" help:"How long an assertion is good for."`
	AdminToken        string `kong:"-" secret:"ADMIN_TOKEN" help:"At least 32 characters: bearer token of /admin/* and /debug/pprof/*, which answer 404 without it."`

	CorsOrigins     string `name:"cors-origins" help:"Exact origins, of the same site, whose pages may read /session with credentials and sign out, separated by commas."`
	CallbackRate    string `default:"60" help:"Landings per minute per client address; 0 turns it off."`
	TrustedProxies  string `help:"CIDRs whose X-Forwarded-For is believed, separated by commas."`
	MaxRequests     string `default:"1000" help:"Requests in work at a time on the public listener; more get 503."`
	ShutdownDelay   string `default:"0s" help:"After SIGTERM: unready but serving for so long."`
	ShutdownTimeout string `default:"15s" help:"Then: finishing what is in flight for at most so long."`

	LogLevel  string `default:"info" help:"debug, info, warn or error."`
	LogFormat string `default:"json" help:"json or text."`
}

// Help is kong's detailed help of each command that has settings: what has no flag, and so no line among the flags.
func (settings) Help() string {
	var b strings.Builder
	b.WriteString("Secret settings have no flag. Each is a variable, or NAME_FILE, a path to read it from.\n")
	for f := range reflect.TypeFor[settings]().Fields() {
		if name, ok := f.Tag.Lookup("secret"); ok {
			fmt.Fprintf(&b, "\n    %s\n        %s\n", name, f.Tag.Get("help"))
		}
	}
	fmt.Fprintf(&b, "\n    OTEL_*\n        %s\n", otelNote)
	return b.String()
}

// secrets fills the fields that have no flag, from NAME or the file that NAME_FILE names.
func (s *settings) secrets(getenv func(string) string, p *problems) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		name, ok := v.Type().Field(i).Tag.Lookup("secret")
		if !ok {
			continue
		}
		text, err := secret(getenv, name)
		if err != nil {
			p.add(name, "%v", err)
		}
		v.Field(i).SetString(text)
	}
}

func secret(getenv func(string) string, name string) (string, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return "", fmt.Errorf("is set, and %s_FILE too: keep one of them", name)
	case file == "":
		return value, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("can't be read from %s_FILE: %w", name, err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("is empty in the file that %s_FILE names", name)
	}
	return text, nil
}

// problems is everything that is wrong with the settings, each with its variable's name.
type problems []string

func (p *problems) add(name, format string, args ...any) {
	*p = append(*p, name+" "+fmt.Sprintf(format, args...))
}

func (p problems) Error() string {
	return "server: the settings can't be used:\n  - " + strings.Join(p, "\n  - ") + "\n"
}
