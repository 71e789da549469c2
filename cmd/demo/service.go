package main

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
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
	c := app.Defaults(koubei.AppID())
	c.Web.Targets, c.Web.EntryURL = targets, portal+"/"
	c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Alipay.PrivateKey, c.Alipay.PublicKey, c.Alipay.GatewayURL = private, public, gateway
	c.Redis.URL = redisURL
	c.Session.SealKeys = [][]byte{seal}
	c.Operations.PublicListen, c.Operations.InternalListen = "127.0.0.1:0", "127.0.0.1:0"
	c.Log = log
	return c, nil
}
