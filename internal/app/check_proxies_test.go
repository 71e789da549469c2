package app_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"koubei-landing/internal/app"
)

func TestCheckOfProxies(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name           string
		public, listen string
		rate           int
		trusted        bool
		want           app.Level
		detail         string
	}{
		{"https", "https://isv.example", ":8080", 60, false, app.Warning, "https"},
		{"https, the proxy is known", "https://isv.example", ":8080", 60, true, app.OK, "trusted: 1"},
		{"https without a limit", "https://isv.example", ":8080", 0, false, app.OK, "rate limit is off"},
		{"a listener that only this machine reaches", "http://isv.example", "127.0.0.1:8080", 60, false, app.Warning, "PUBLIC_LISTEN"},
		{"the same by name", "http://isv.example", "localhost:8080", 60, false, app.Warning, "PUBLIC_LISTEN"},
		{"a socket, whose proxy is always trusted", "https://isv.example", "unix:/run/koubei.sock", 60, false, app.OK, "Unix socket"},
		{"everything on one machine", "http://localhost:8080", "127.0.0.1:8080", 60, false, app.OK, "no proxy"},
		{"nothing in front", "http://isv.example:8080", ":8080", 60, false, app.OK, "no proxy"},
	} {
		public, err := url.Parse(row.public)
		must(t, err)
		var c app.Config
		c.Web.PublicURL, c.Operations.PublicListen, c.Landing.Rate = public, row.listen, row.rate
		if row.trusted {
			c.Web.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}
		f := find(app.Check(t.Context(), c), "proxies")
		if f.Level != row.want || !strings.Contains(strings.Join(f.Settings, " ")+" "+f.Detail, row.detail) || (f.Fix == "") != (row.want == app.OK) {
			t.Errorf("%s: got %+v, want %s and %q", row.name, f, row.want, row.detail)
		}
	}
	if f := find(app.Check(t.Context(), app.Config{}), "proxies"); f.Level != app.Skipped {
		t.Errorf("without settings: got %+v, want it skipped", f)
	}
}
