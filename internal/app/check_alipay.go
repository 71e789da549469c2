package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/setting"
)

// Clock differences at which the check warns, and at which it fails. The gateway's tolerance is not documented.
const (
	noticedSkew = 30 * time.Second
	maxSkew     = 2 * time.Minute
)

func checkAlipay(ctx context.Context, c alipay.Config, now time.Time) []Finding {
	if c.PrivateKey == nil {
		return []Finding{{Group: groupGateway, Check: "gateway", Level: Skipped, Detail: "its settings have problems"}}
	}
	client, err := alipay.New(c)
	found := slices.Concat(describeMode(c), describeCertificates(c.Certificates, now), keyProblems(c, client, err, now))
	if err != nil {
		return append(found, Finding{Group: groupGateway, Check: "gateway", Level: Skipped, Detail: "the keys and settings have problems"})
	}
	return append(found, checkGateway(ctx, client, c.GatewayURL.Host)...)
}

// right returns a finding about keys without a problem.
func right(check, detail string) Finding {
	return Finding{Group: groupKeys, Check: check, Level: OK, Detail: detail}
}

// describeMode returns findings that describe the configured mode.
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
		right("mode", fmt.Sprintf("%s; %s, %s", mode, cmp.Or(c.SignType, alipay.RSA2), cmp.Or(c.Charset, alipay.UTF8))),
		right("app key", fmt.Sprintf("RSA, %d bits", c.PrivateKey.N.BitLen())),
	}
	if c.PublicKey != nil {
		found = append(found, right("alipay key", fmt.Sprintf("RSA, %d bits", c.PublicKey.N.BitLen())))
	}
	return found
}

func describeCertificates(certs *alipay.Certificates, now time.Time) []Finding {
	if certs == nil {
		return nil
	}
	found := []Finding{
		right("app_cert_sn", certs.AppSN()),
		right("alipay_cert_sn", certs.AlipaySN()),
		right("alipay_root_cert_sn", certs.RootSN()),
	}
	for _, cert := range certs.List() {
		found = append(found, describeCertificate(cert, now))
	}
	return found
}

func describeCertificate(cert alipay.Certificate, now time.Time) Finding {
	days := int(cert.NotAfter.Sub(now).Hours() / 24)
	f := Finding{Group: groupKeys, Check: cert.Name + " certificate", Level: OK}
	f.Detail = fmt.Sprintf("until %s, %d days left; ", cert.NotAfter.UTC().Format(time.DateOnly), days)
	if w, ok := cert.Warning(now); ok {
		f.Level, f.Settings, f.Fix = Warning, w.Settings, w.Fix
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

// keyProblems returns the problems and warnings of New. Warnings about the dates of certificates are reported with the
// certificates.
func keyProblems(c alipay.Config, client *alipay.Client, err error, now time.Time) []Finding {
	problems, _ := errors.AsType[setting.Problems](err)
	level := Failure
	if err == nil {
		problems, level = client.Warnings(), Warning
	}
	var dates []setting.Problem
	if c.Certificates != nil {
		for _, cert := range c.Certificates.List() {
			if w, ok := cert.Warning(now); ok {
				dates = append(dates, w)
			}
		}
	}
	var found []Finding
	for _, p := range problems {
		same := func(w setting.Problem) bool { return w.Problem == p.Problem && slices.Equal(w.Settings, p.Settings) }
		if !slices.ContainsFunc(dates, same) {
			found = append(found, problemFinding(groupKeys, "keys", level, p))
		}
	}
	return found
}

// checkGateway sends a code that cannot exist. If the gateway responds with a signed verdict on the code, the keys, the
// application and the network are right.
func checkGateway(ctx context.Context, client *alipay.Client, host string) []Finding {
	probe, err := client.Probe(ctx)
	f := Finding{Group: groupGateway, Check: "gateway", Level: OK, Detail: host + " knows the application and its signature, and signs its responses"}
	if e, ok := errors.AsType[*alipay.Error](err); ok && !acceptsApplication(err) {
		f.Level, f.Detail, f.Fix = Failure, host+" "+describeFailure(e)+": "+e.Detail(), e.Advice()
	}
	return []Finding{f, checkGatewayClock(probe)}
}

// acceptsApplication reports whether err is a signed verdict on the impossible code.
func acceptsApplication(err error) bool {
	return errors.Is(err, alipay.ErrCodeNotExist) || errors.Is(err, alipay.ErrCodeExpired) || errors.Is(err, alipay.ErrInvalidParameter)
}

func describeFailure(e *alipay.Error) string {
	switch {
	case e.BareSubCode() == "invalid-app-id":
		return "does not know the app id"
	case e.BareSubCode() == "invalid-signature":
		return "does not accept the application's signature"
	case errors.Is(e, alipay.ErrUnavailable):
		return "is unavailable"
	case errors.Is(e, alipay.ErrUntrusted):
		return "sent a response that Alipay's key did not sign, or that is malformed"
	}
	return "refused the call"
}

func checkGatewayClock(probe alipay.Probe) Finding {
	if probe.Date.IsZero() {
		return Finding{Group: groupGateway, Check: "clock", Level: Skipped, Detail: "the gateway sent no Date to compare with"}
	}
	return clockFinding(groupGateway, "clock", "the gateway's", probe.Skew)
}

// clockFinding compares this machine's clock with another clock, which is ahead by skew.
func clockFinding(group, check, whose string, skew time.Duration) Finding {
	f := Finding{Group: group, Check: check, Level: OK, Detail: "agrees with " + whose + ", within about a second"}
	if rounded := skew.Round(time.Second); rounded.Abs() > time.Second {
		direction := "behind"
		if rounded < 0 {
			direction = "ahead of"
		}
		f.Detail = fmt.Sprintf("%s %s %s", rounded.Abs(), direction, whose)
	}
	if skew.Abs() > noticedSkew {
		f.Level, f.Fix = Warning, "set this machine's clock, for example with NTP"
	}
	if skew.Abs() > maxSkew {
		f.Level = Failure
	}
	return f
}
