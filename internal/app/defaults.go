package app

import (
	"net/http"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/landing"
	"koubei-landing/internal/session"
)

// Defaults returns the default settings for an application. The caller adds what has no default: addresses, keys and Log.
// cmd/server documents each setting.
func Defaults(appID string) Config {
	return Config{
		Web:     handler.Config{ArrivalCheck: true, MaxRequests: 1000, AccessLog: handler.AccessPublic},
		Landing: landing.Config{Confirm: true, Memory: 30 * 24 * time.Hour, Rate: 60},
		Alipay:  alipay.Config{AppID: appID, Timeout: 10 * time.Second, AttemptTimeout: 6 * time.Second},
		Redis:   Redis{Mode: Single, Timeout: 500 * time.Millisecond, Prefix: "koubei:" + appID + ":"},
		Session: session.Config{
			Lifetime: 12 * time.Hour, Idle: 2 * time.Hour,
			Cookie: session.CookieOptions{Name: "koubei_session", SameSite: http.SameSiteLaxMode},
		},
		Operations: Operations{PublicListen: ":8080", InternalListen: "127.0.0.1:9090", ShutdownTimeout: 15 * time.Second},
		Now:        time.Now,
	}
}
