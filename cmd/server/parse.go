package main

import (
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/session"
)

// parser turns texts into values and collects what is wrong with them.
type parser struct {
	settings
	problems
}

// config returns the settings as values. It fails with problems: all that is wrong, and never a secret.
func (s settings) config(getenv func(string) string) (app.Config, error) {
	p := &parser{settings: s}
	p.secrets(getenv, &p.problems)
	c := app.Config{
		InternalListen:  p.listen("INTERNAL_LISTEN", p.InternalListen),
		EntryURL:        p.entryURL(),
		SessionLifetime: p.duration("SESSION_LIFETIME", p.SessionLifetime, time.Second, 24*time.Hour),
		SessionIdle:     p.duration("SESSION_IDLE_TIMEOUT", p.SessionIdleTimeout, 0, 24*time.Hour),
		SessionCacheTTL: p.duration("SESSION_CACHE_TTL", p.SessionCacheTTL, 0, time.Hour),
		ArrivalCheck:    p.oneOf("ARRIVAL_CHECK", p.ArrivalCheck, "auto", "off") == "auto",
		ConfirmSwitch:   p.boolean("CONFIRM_OPERATOR_SWITCH", p.ConfirmOperatorSwitch),
		ForwardCode:     p.boolean("FORWARD_AUTH_CODE", p.ForwardAuthCode),
		MaxRequests:     p.number("MAX_REQUESTS", p.MaxRequests, 1, 1_000_000),
		ShutdownDelay:   p.duration("SHUTDOWN_DELAY", p.ShutdownDelay, 0, time.Hour),
		ShutdownTimeout: p.duration("SHUTDOWN_TIMEOUT", p.ShutdownTimeout, time.Millisecond, time.Hour),
		Now:             time.Now,
	}
	p.clients(&c)
	c.CallbackPath = p.callbackPath(c.PublicURL)
	c.Cookie = p.cookie(c.PublicURL)
	c.FrameAncestors = p.frameAncestors()
	c.Targets = p.targets(c)
	c.Alipay = p.alipay()
	c.Redis = p.redis()
	c.SealKeys = p.sealKeys(c.Alipay)
	c.CORSOrigins = p.origins("CORS_ORIGINS", p.CorsOrigins)
	c.AdminToken = p.adminToken()
	c.Assertions = p.assertions(c.PublicURL)
	if len(p.problems) > 0 {
		return app.Config{}, p.problems
	}
	return c, nil
}

// clients sets how browsers come, and how they are counted.
func (p *parser) clients(c *app.Config) {
	c.PublicURL, c.PublicListen = p.publicURL(), p.listen("PUBLIC_LISTEN", p.PublicListen)
	c.CallbackRate = p.number("CALLBACK_RATE", p.CallbackRate, 0, 1_000_000)
	c.TrustedProxies = p.prefixes("TRUSTED_PROXIES", p.TrustedProxies)
}

// logger returns the log that the settings ask for, before anything else can be wrong with them.
func (s settings) logger(w io.Writer) (*slog.Logger, error) {
	p := &parser{settings: s}
	var level slog.Level
	switch p.oneOf("LOG_LEVEL", strings.ToLower(s.LogLevel), "debug", "info", "warn", "error") {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewJSONHandler(w, o)
	if p.oneOf("LOG_FORMAT", s.LogFormat, "json", "text") == "text" {
		h = slog.NewTextHandler(w, o)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return slog.New(h), nil
}

func (p *parser) oneOf(name, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		p.add(name, "is %q: use %s", value, strings.Join(allowed, " or "))
	}
	return value
}

func (p *parser) boolean(name, value string) bool {
	b, err := strconv.ParseBool(value)
	if err != nil {
		p.add(name, "is %q: use true or false", value)
	}
	return b
}

func (p *parser) number(name, value string, least, most int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		p.add(name, "is %q: use a whole number from %d to %d", value, least, most)
		return least
	}
	return n
}

func (p *parser) duration(name, value string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		p.add(name, "is %q: use a duration from %s to %s, as 90s or 2h", value, least, most)
		return most
	}
	return d
}

func (p *parser) listen(name, value string) string {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		p.add(name, "is %q: use host:port or :port", value)
	}
	return value
}

// list returns the items of a comma-separated list.
func list(value string) []string {
	var items []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (p *parser) prefixes(name, value string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, item := range list(value) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			p.add(name, "has %q: use CIDRs, as 10.0.0.0/8", item)
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}

// origins returns origins as browsers write them.
func (p *parser) origins(name, value string) []string {
	var origins []string
	for _, item := range list(value) {
		u, err := url.Parse(item)
		if err != nil || handler.Origin(u) == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
			u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
			p.add(name, "has %q: use exact origins, as https://shop.example", item)
			continue
		}
		origins = append(origins, handler.Origin(u))
	}
	return origins
}

func (p *parser) publicURL() *url.URL {
	u, err := url.Parse(p.PublicURL)
	if err != nil || handler.Origin(u) == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !routePath.MatchString(u.Path+"/") {
		p.add("PUBLIC_URL", "is %q: use how browsers reach the service, as https://isv.example or https://isv.example/koubei", p.PublicURL)
		return &url.URL{Scheme: "http", Host: "localhost"}
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	u.Path = strings.TrimRight(u.Path, "/")
	return u
}

// routePath is a path that a router reads as it stands.
var routePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/$`)

// ownRoutes are the routes under PUBLIC_URL that the callback must not hide.
var ownRoutes = []string{"", "/session", "/signin", "/signed-out", "/logout", "/static", "/.well-known"}

func (p *parser) callbackPath(public *url.URL) string {
	path := p.CallbackPath
	if path == "/" || !routePath.MatchString(path+"/") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../") {
		p.add("CALLBACK_PATH", "is %q: use a path such as /koubei/callback, of letters, digits and ._~-", path)
		return path
	}
	for _, route := range ownRoutes {
		own := public.Path + route
		if path == own || path == own+"/" || route != "" && strings.HasPrefix(path, own+"/") || own == path+"/switch" {
			p.add("CALLBACK_PATH", "is %q, which collides with the route %s", path, own)
		}
	}
	return path
}

func (p *parser) entryURL() string {
	if p.EntryURL == "" {
		return ""
	}
	u, err := url.Parse(p.EntryURL)
	if err != nil || handler.Origin(u) == "" {
		p.add("ENTRY_URL", "is %q: use the https:// address of the page at Koubei that leads here", p.EntryURL)
	}
	return p.EntryURL
}

// cookieName is a token of RFC 6265.
var cookieName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")

func (p *parser) cookie(public *url.URL) session.CookieOptions {
	o := session.CookieOptions{Name: p.SessionCookieName, Secure: public.Scheme == "https", SameSite: http.SameSiteLaxMode}
	if !cookieName.MatchString(o.Name) || strings.HasPrefix(strings.ToLower(o.Name), "__") {
		p.add("SESSION_COOKIE_NAME", "is %q: use letters, digits and _ (the prefix is added by itself)", o.Name)
	}
	switch strings.ToLower(p.SessionCookieSamesite) {
	case "lax":
	case "none":
		o.SameSite = http.SameSiteNoneMode
		if !o.Secure {
			p.add("SESSION_COOKIE_SAMESITE", "is none, which needs an https:// PUBLIC_URL")
		}
	case "strict":
		p.add("SESSION_COOKIE_SAMESITE", "is strict: the cookie would not come back after the cross-site landing; use lax or none")
	default:
		p.add("SESSION_COOKIE_SAMESITE", "is %q: use lax or none", p.SessionCookieSamesite)
	}
	if d := strings.TrimPrefix(strings.ToLower(p.SessionCookieDomain), "."); d != "" {
		host := public.Hostname()
		if !strings.Contains(d, ".") || net.ParseIP(host) != nil || host != d && !strings.HasSuffix(host, "."+d) {
			p.add("SESSION_COOKIE_DOMAIN", "is %q: use a parent domain of PUBLIC_URL's host %s", p.SessionCookieDomain, host)
		}
		o.Domain = d
	}
	return o
}

func (p *parser) frameAncestors() []string {
	origins := p.origins("FRAME_ANCESTORS", p.FrameAncestors)
	if len(origins) > 0 && strings.ToLower(p.SessionCookieSamesite) != "none" {
		p.add("FRAME_ANCESTORS", "needs SESSION_COOKIE_SAMESITE=none: in an iframe a lax cookie does not come back")
	}
	return origins
}

func (p *parser) targets(c app.Config) handler.Targets {
	t := handler.Targets{Public: c.PublicURL, Callback: c.CallbackPath, Origins: p.origins("RETURN_TO_ORIGINS", p.ReturnToOrigins)}
	var err error
	if t.Home, err = t.ParseHome(p.HomeURL); err != nil {
		p.add("HOME_URL", "%v", err)
	}
	t.Homes = handler.TypedHomes{}
	for _, item := range list(p.HomeURLs) {
		name, address, _ := strings.Cut(item, "=")
		typ := operator.Type(strings.TrimSpace(name))
		home, err := t.ParseHome(strings.TrimSpace(address))
		switch {
		case !typ.Known():
			p.add("HOME_URLS", "names %q: use operator types, as PROVIDER=/p/{partner_id},MER=/m", name)
		case err != nil:
			p.add("HOME_URLS", "%v", err)
		}
		t.Homes[typ] = home
	}
	return t
}

func (p *parser) alipay() alipay.Config {
	c := alipay.Config{
		AppID:          p.AlipayAppID,
		AppAuthToken:   p.AlipayAppAuthToken,
		AllowHTTP:      p.boolean("ALIPAY_ALLOW_HTTP", p.AlipayAllowHTTP),
		SignType:       alipay.SignType(p.oneOf("ALIPAY_SIGN_TYPE", p.AlipaySignType, "RSA2", "RSA")),
		Charset:        alipay.Charset(p.oneOf("ALIPAY_CHARSET", strings.ToLower(p.AlipayCharset), "utf-8", "gbk", "gb2312", "gb18030")),
		Timeout:        p.duration("ALIPAY_TIMEOUT", p.AlipayTimeout, 10*time.Millisecond, 5*time.Minute),
		AttemptTimeout: p.duration("ALIPAY_ATTEMPT_TIMEOUT", p.AlipayAttemptTimeout, 10*time.Millisecond, 5*time.Minute),
	}
	if c.AttemptTimeout > c.Timeout {
		c.AttemptTimeout = c.Timeout
	}
	if c.AppID == "" {
		p.add("ALIPAY_APP_ID", "is missing: copy the APPID from Alipay's console")
	}
	p.alipayKeys(&c)
	u, err := url.Parse(p.AlipayGatewayURL)
	if err != nil || handler.Origin(u) == "" {
		p.add("ALIPAY_GATEWAY_URL", "is no address: use https://openapi.alipay.com/gateway.do")
		return c
	}
	c.GatewayURL = u
	if c.AppID != "" && c.PrivateKey != nil && (c.PublicKey != nil || c.Certificates != nil) {
		if _, err := alipay.New(c); err != nil {
			p.add("ALIPAY_*", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	return c
}

func (p *parser) alipayKeys(c *alipay.Config) {
	var err error
	if p.AlipayAppPrivateKey == "" {
		p.add("ALIPAY_APP_PRIVATE_KEY", "is missing: the application's private key")
	} else if c.PrivateKey, err = alipay.ParsePrivateKey(p.AlipayAppPrivateKey); err != nil {
		p.add("ALIPAY_APP_PRIVATE_KEY", "%v", err)
	}
	if p.AlipayEncryptKey != "" {
		if c.EncryptKey, err = alipay.ParseEncryptKey(p.AlipayEncryptKey); err != nil {
			p.add("ALIPAY_ENCRYPT_KEY", "%v", err)
		}
	}
	files := []string{p.AlipayAppCertFile, p.AlipayCertFile, p.AlipayRootCertFile}
	set := len(files) - len(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f != "" }))
	switch {
	case set == len(files):
		p.certificates(c, files)
	case set > 0:
		p.add("ALIPAY_APP_CERT_FILE, ALIPAY_CERT_FILE, ALIPAY_ROOT_CERT_FILE", "must be set all three or not at all")
	case p.AlipayPublicKey == "":
		p.add("ALIPAY_PUBLIC_KEY", "is missing: Alipay's public key (not the application's), or the three certificate files")
	default:
		if c.PublicKey, err = alipay.ParsePublicKey(p.AlipayPublicKey); err != nil {
			p.add("ALIPAY_PUBLIC_KEY", "%v", err)
		}
	}
	if set == len(files) && p.AlipayPublicKey != "" {
		p.add("ALIPAY_PUBLIC_KEY", "is set, and certificates too: keep the one that the application uses in Alipay's console")
	}
}

func (p *parser) certificates(c *alipay.Config, files []string) {
	names := []string{"ALIPAY_APP_CERT_FILE", "ALIPAY_CERT_FILE", "ALIPAY_ROOT_CERT_FILE"}
	var contents [3][]byte
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			p.add(names[i], "can't be read: %v", err)
			return
		}
		contents[i] = raw
	}
	certs, err := alipay.ParseCertificates(contents[0], contents[1], contents[2])
	if err != nil {
		p.add("ALIPAY_*_CERT_FILE", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	c.Certificates = certs
}

func (p *parser) redis() app.Redis {
	r := app.Redis{
		URL:      p.RedisURL,
		Mode:     app.RedisMode(p.oneOf("REDIS_MODE", p.RedisMode, "single", "sentinel", "cluster")),
		Timeout:  p.duration("REDIS_TIMEOUT", p.RedisTimeout, time.Millisecond, time.Minute),
		Prefix:   p.RedisKeyPrefix,
		Replicas: p.number("REDIS_WAIT_REPLICAS", p.RedisWaitReplicas, 0, 100),
	}
	if r.Prefix == "" {
		r.Prefix = "koubei:" + p.AlipayAppID + ":"
	}
	if r.URL == "" {
		p.add("REDIS_URL", "is missing: as redis://localhost:6379/0")
		return r
	}
	client, err := app.OpenRedis(r)
	if err != nil {
		p.add("REDIS_URL", "can't be used: %v", err)
		return r
	}
	if err := client.Close(); err != nil {
		p.add("REDIS_URL", "can't be used: %v", err)
	}
	return r
}

func (p *parser) assertions(public *url.URL) app.Assertions {
	a := app.Assertions{
		Audiences: list(p.AssertionAudience),
		TTL:       p.duration("ASSERTION_TTL", p.AssertionTTL, time.Second, time.Hour),
	}
	if len(a.Audiences) == 0 {
		a.Audiences = []string{public.String()}
	}
	if p.AssertionKeysFile == "" {
		return a
	}
	file, err := os.ReadFile(p.AssertionKeysFile)
	if err == nil {
		a.Keys, err = assertion.ParseKeys(file)
	}
	if err != nil {
		p.add("ASSERTION_KEYS_FILE", "can't be used: %v", err)
	}
	return a
}

// minAdminToken is the least that nobody guesses.
const minAdminToken = 32

func (p *parser) adminToken() string {
	if p.AdminToken != "" && len(p.AdminToken) < minAdminToken {
		p.add("ADMIN_TOKEN", "has %d characters: use at least %d, made by: openssl rand -hex 32", len(p.AdminToken), minAdminToken)
	}
	return p.AdminToken
}

// sealKeys returns the keys of SEAL_KEYS, or the one that follows from the application's private key.
func (p *parser) sealKeys(c alipay.Config) [][]byte {
	if p.SealKeys == "" {
		if c.PrivateKey == nil {
			return nil // said already
		}
		key, err := session.DeriveSealKey(x509.MarshalPKCS1PrivateKey(c.PrivateKey))
		if err != nil {
			p.add("SEAL_KEYS", "can't be derived: %v", err)
		}
		return [][]byte{key}
	}
	var keys [][]byte
	for i, item := range list(p.SealKeys) {
		key, err := base64.StdEncoding.DecodeString(item)
		if err != nil || len(key) != session.SealKeySize {
			p.add("SEAL_KEYS", "has a key, number %d, that is not base64 of %d bytes: make one by: openssl rand -base64 32", i+1, session.SealKeySize)
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 && len(p.problems) == 0 {
		p.add("SEAL_KEYS", "holds no key")
	}
	return keys
}
