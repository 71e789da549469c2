package main

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
	"koubei-landing/koubeisim"
)

// callbackPath is the path of the address that the ISV registered at Koubei.
const callbackPath = servicePath + "/callback"

// serviceConfig returns the settings of a service that shares its host with the ISV's pages. They are the documented
// defaults, except for addresses, keys and the home page.
func serviceConfig(koubei *koubeisim.Koubei, portal, isv, redisURL string, log *slog.Logger) (app.Config, error) {
	private, privateErr := alipay.ParsePrivateKey(koubei.AppPrivateKey())
	public, publicErr := alipay.ParsePublicKey(koubei.AlipayPublicKey())
	gateway, gatewayErr := url.Parse(portal + "/gateway.do")
	here, hereErr := url.Parse(isv + servicePath)
	if err := errors.Join(privateErr, publicErr, gatewayErr, hereErr); err != nil {
		return app.Config{}, err
	}
	seal, err := session.DeriveSealKey(x509.MarshalPKCS1PrivateKey(private))
	if err != nil {
		return app.Config{}, err
	}
	targets := handler.Targets{PublicURL: here, CallbackPath: callbackPath}
	if targets.Home, err = targets.ParseHome(shopPath + "?partner_id={partner_id}"); err != nil {
		return app.Config{}, err
	}
	return app.Config{
		Web: handler.Config{
			Targets: targets, EntryURL: portal + "/", ArrivalCheck: true,
			MaxRequests: 1000, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
		Landing: landing.Config{Confirm: true, Memory: 30 * 24 * time.Hour, Rate: 60},
		Alipay: alipay.Config{
			AppID: koubei.AppID(), PrivateKey: private, PublicKey: public, GatewayURL: gateway,
			Timeout: 10 * time.Second, AttemptTimeout: 6 * time.Second,
		},
		Redis: app.Redis{URL: redisURL, Mode: app.Single, Timeout: 500 * time.Millisecond, Prefix: "koubei:" + koubei.AppID() + ":"},
		Session: session.Config{
			SealKeys: [][]byte{seal}, Lifetime: 12 * time.Hour, Idle: 2 * time.Hour,
			Cookie: session.CookieOptions{Name: "koubei_session", SameSite: http.SameSiteLaxMode},
		},
		Operations: app.Operations{PublicListen: "127.0.0.1:0", InternalListen: "127.0.0.1:0", ShutdownTimeout: 15 * time.Second},
		Log:        log,
		Now:        time.Now,
	}, nil
}
