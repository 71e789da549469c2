package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/setting"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Cure   string `json:"cure,omitempty"`
}

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Skipped Level = "skipped" // not looked at, because something else comes first
	Warning Level = "warning"
	Failure Level = "failure"
)

// How far our clock may be from the gateway's before it is worth a word, and before it is wrong: the gateway's tolerance is
// not documented.
const (
	noticedSkew = 30 * time.Second
	maxSkew     = 2 * time.Minute
)

// Check tries what the service will need: the keys, the gateway with a code that can't exist, the clock, and Redis. It
// changes nothing, logs nothing, and looks at every part whatever is wrong with the others. Of c it reads Alipay, Redis,
// Now, and where browsers come from; a part without a private key, or without an address, is skipped.
func Check(ctx context.Context, c Config) []Finding {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.Alipay.Now = now
	return slices.Concat(checkAlipay(ctx, c.Alipay, now()), checkRedis(ctx, c.Redis), []Finding{checkProxies(c)})
}

func checkAlipay(ctx context.Context, c alipay.Config, now time.Time) []Finding {
	if c.PrivateKey == nil {
		return []Finding{{"gateway", Skipped, "its settings come first", ""}}
	}
	client, err := alipay.New(c)
	found := slices.Concat(describeMode(c), describeCertificates(c.Certificates, now), keyProblems(c, client, err, now))
	if err != nil {
		return append(found, Finding{"gateway", Skipped, "the keys and settings come first", ""})
	}
	return append(found, checkGateway(ctx, client, c.GatewayURL.Host)...)
}

// describeMode says how the gateway is spoken to.
func describeMode(c alipay.Config) []Finding {
	mode := "public keys"
	if c.Certificates != nil {
		mode = "certificates"
	}
	if len(c.EncryptKey) > 0 {
		mode += ", AES content encryption"
	}
	if c.AppAuthToken != "" {
		mode += ", app auth token"
	}
	found := []Finding{
		{"mode", OK, fmt.Sprintf("%s; %s, %s", mode, cmp.Or(c.SignType, alipay.RSA2), cmp.Or(c.Charset, alipay.UTF8)), ""},
		{"app key", OK, fmt.Sprintf("RSA, %d bits", c.PrivateKey.N.BitLen()), ""},
	}
	if c.PublicKey != nil {
		found = append(found, Finding{"alipay key", OK, fmt.Sprintf("RSA, %d bits", c.PublicKey.N.BitLen()), ""})
	}
	return found
}

func describeCertificates(certs *alipay.Certificates, now time.Time) []Finding {
	if certs == nil {
		return nil
	}
	found := []Finding{
		{"app_cert_sn", OK, certs.AppSN(), ""},
		{"alipay_cert_sn", OK, certs.AlipaySN(), ""},
		{"alipay_root_cert_sn", OK, certs.RootSN(), ""},
	}
	for _, cert := range certs.List() {
		found = append(found, describeCertificate(cert, now))
	}
	return found
}

func describeCertificate(cert alipay.Certificate, now time.Time) Finding {
	days := int(cert.NotAfter.Sub(now).Hours() / 24)
	f := Finding{cert.Name + " certificate", OK, fmt.Sprintf("until %s, %d days left; ", cert.NotAfter.UTC().Format(time.DateOnly), days), ""}
	if w, ok := cert.Warning(now); ok {
		f.Level, f.Cure = Warning, w.Fix
		f.Detail = w.Problem + fmt.Sprintf(", %d days left; ", max(0, days))
		if cert.Name == "app" && now.After(cert.NotAfter) {
			f.Level = Failure
		}
	}
	if cert.KeyBits > 0 {
		f.Detail += fmt.Sprintf("RSA, %d bits; ", cert.KeyBits)
	}
	f.Detail += cert.Subject
	return f
}

// keyProblems says what New refused, or warned of. What concerns a certificate's dates stands beside the certificate.
func keyProblems(c alipay.Config, client *alipay.Client, err error, now time.Time) []Finding {
	var said []string
	if c.Certificates != nil {
		for _, cert := range c.Certificates.List() {
			if w, ok := cert.Warning(now); ok {
				said = append(said, w.Error())
			}
		}
	}
	var found []Finding
	add := func(level Level, p setting.Problem) {
		if !slices.Contains(said, p.Error()) {
			found = append(found, Finding{"keys", level, strings.Join(p.Settings, ", ") + " " + p.Problem, p.Fix})
		}
	}
	if problems, ok := errors.AsType[setting.Problems](err); ok {
		for _, p := range problems {
			add(Failure, p)
		}
		return found
	}
	if err != nil {
		return []Finding{{"keys", Failure, err.Error(), ""}}
	}
	for _, w := range client.Warnings() {
		add(Warning, w)
	}
	return found
}

// checkGateway asks about a code that can't exist. That the gateway says so proves keys, application and network.
func checkGateway(ctx context.Context, client *alipay.Client, host string) []Finding {
	probe, err := client.Probe(ctx)
	known := Finding{"gateway", OK, host + " knows the application and its signature, and signs its answers", ""}
	if e, ok := errors.AsType[*alipay.Error](err); ok && !knowsUs(err) {
		known = Finding{"gateway", Failure, host + " " + whatItSaid(e) + ": " + strings.TrimPrefix(e.Error(), "alipay: "), e.Advice()}
	}
	return []Finding{known, checkClock(probe)}
}

// knowsUs reports whether a signed verdict on the impossible code came back, of those that a code can be blamed for.
func knowsUs(err error) bool {
	return errors.Is(err, alipay.ErrCodeNotExist) || errors.Is(err, alipay.ErrCodeExpired) || errors.Is(err, alipay.ErrInvalidParameter)
}

func whatItSaid(e *alipay.Error) string {
	switch {
	case strings.HasSuffix(e.SubCode, "invalid-app-id"):
		return "doesn't know the app id"
	case strings.HasSuffix(e.SubCode, "invalid-signature"):
		return "doesn't accept the application's signature"
	case errors.Is(e, alipay.ErrUnavailable):
		return "can't be asked"
	case errors.Is(e, alipay.ErrUntrusted):
		return "gave an answer that Alipay's key didn't sign, or that makes no sense"
	}
	return "refused the call"
}

func checkClock(probe alipay.Probe) Finding {
	if probe.Date.IsZero() {
		return Finding{"clock", Skipped, "the gateway sent no Date to compare with", ""}
	}
	f := Finding{"clock", OK, "agrees with the gateway's, to a second or so", ""}
	if skew := probe.Skew.Round(time.Second); skew.Abs() > time.Second {
		direction := "behind"
		if skew < 0 {
			direction = "ahead of"
		}
		f.Detail = fmt.Sprintf("%s %s the gateway's", skew.Abs(), direction)
	}
	if probe.Skew.Abs() > noticedSkew {
		f.Level, f.Cure = Warning, "Set this machine's clock right, by NTP."
	}
	if probe.Skew.Abs() > maxSkew {
		f.Level = Failure
	}
	return f
}
