// Package testworld is the test kit: it starts redis-server, Redis Cluster, koubeisim, the service, in the test process or as a
// program, and HTTP clients. Package chromium is its real browser. Everything listens on loopback. Only tests import it.
package testworld

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/session"
	"koubei-landing/koubeisim"
)

// The operators of the tests.
var (
	Provider      = koubeisim.Person{OperatorID: "2088102150477652", OperatorType: "PROVIDER", PartnerID: "2088102150477653"}
	ProviderStaff = koubeisim.Person{OperatorID: "2088102150477660", OperatorType: "PROVIDER_STAFF", PartnerID: "2088102150477653", ShopIDs: "2015060900077000000000152345"}
	Merchant      = koubeisim.Person{OperatorID: "2088102150477653", OperatorType: "MER", PartnerID: "2088102150477653"}
	MerchantStaff = koubeisim.Person{OperatorID: "2088102150477670", OperatorType: "MER_STAFF", PartnerID: "2088102150477653", ShopIDs: "2015060900077000000000152345"}
	Sales         = koubeisim.Person{OperatorID: "2088102150477680", OperatorType: "SALES"}
)

// World is one service with everything that it needs.
type World struct {
	T      testing.TB
	Koubei *koubeisim.Koubei
	Redis  *Redis
	Clock  *Clock
	Log    *Log

	// Config holds the service's settings. A replica may have other settings.
	Config app.Config

	*Service
}

// Service is one running replica.
type Service struct {
	Public, Internal string // where it listens, with the scheme
	stop             context.CancelFunc
	ended            chan error
}

// New starts a world. It applies the changes to the settings before it starts the service.
func New(t testing.TB, changes ...func(*app.Config)) *World {
	t.Helper()
	w := &World{T: t, Redis: StartRedis(t), Clock: &Clock{}, Log: &Log{}}
	w.Koubei = NewKoubei(koubeisim.Options{Now: w.Clock.Now})
	w.Config = w.settings(Serve(t, w.Koubei.Gateway()))
	for _, change := range changes {
		change(&w.Config)
	}
	t.Cleanup(func() { w.Log.Check(t, SecretsOf(w.Koubei)...) })
	w.Service = w.Replica()
	check(t, w.Koubei.SetLandingURL(w.Public+w.Config.Web.CallbackPath))
	return w
}

// keys returns the private keys of the application and of Alipay in every world of a test process, because making a key
// takes time.
var keys = sync.OnceValue(func() (keys [2]string) {
	for i := range keys {
		keys[i] = base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(must(rsa.GenerateKey(rand.Reader, 2048))))
	}
	return keys
})

// NewKoubei returns a Koubei with the keys of this test process, unless the options have others.
func NewKoubei(o koubeisim.Options) *koubeisim.Koubei {
	if o.AppPrivateKey == "" && o.AppPublicKey == "" {
		o.AppPrivateKey = keys()[0]
	}
	o.AlipayPrivateKey = cmp.Or(o.AlipayPrivateKey, keys()[1])
	return must(koubeisim.New(o))
}

// Serve serves a handler, such as a Koubei's gateway, until the test ends, and returns its address.
func Serve(t testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// settings returns the default settings with the addresses of this world, without a rate limit.
func (w *World) settings(gateway string) app.Config {
	private := must(alipay.ParsePrivateKey(w.Koubei.AppPrivateKey()))
	here := must(url.Parse(fmt.Sprint("http://127.0.0.1:", StablePort(w.T))))
	targets := handler.Targets{PublicURL: here, CallbackPath: "/koubei/callback"}
	targets.Home = must(targets.ParseHome("/"))
	c := app.Defaults(w.Koubei.AppID())
	c.Web.Targets = targets
	c.Landing.Rate = 0
	c.Alipay.PrivateKey, c.Alipay.PublicKey = private, must(alipay.ParsePublicKey(w.Koubei.AlipayPublicKey()))
	c.Alipay.GatewayURL = must(url.Parse(gateway))
	c.Redis.URL, c.Redis.Timeout = w.Redis.URL(), 2*time.Second
	c.Session.SealKeys = [][]byte{must(session.DeriveSealKey(x509.MarshalPKCS1PrivateKey(private)))}
	c.Operations.PublicListen, c.Operations.InternalListen = here.Host, "127.0.0.1:0"
	c.Log, c.Now = w.Log.Logger(), w.Clock.Now
	return c
}

// Replica starts another service with the world's settings and these changes.
func (w *World) Replica(changes ...func(*app.Config)) *Service {
	w.T.Helper()
	c := w.Config
	if w.Service != nil {
		c.Operations.PublicListen = "127.0.0.1:0"
	}
	for _, change := range changes {
		change(&c)
	}
	w.Log.KeepOut(secretsIn(c)...)
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{stop: stop, ended: make(chan error, 1)}
	listening := make(chan struct{})
	c.Listening = func(public, internal string) {
		s.Public, s.Internal = "http://"+public, "http://"+internal
		close(listening)
	}
	go func() { s.ended <- app.Run(ctx, c) }()
	select {
	case <-listening:
	case err := <-s.ended:
		w.T.Fatalf("the service did not start: %v", err)
	}
	w.T.Cleanup(func() { s.Stop() })
	return s
}

// Signal starts the service's shutdown, as SIGTERM does.
func (s *Service) Signal() { s.stop() }

// Stop shuts the service down and returns the error of app.Run.
func (s *Service) Stop() error {
	s.stop()
	err := <-s.ended
	s.ended <- err
	return err
}

// Landing returns the link to which Koubei redirects a browser with a code.
func (w *World) Landing(code string) string { return w.Koubei.LandingURL(code, koubeisim.Observed) }

// On returns the same link at another replica.
func On(s *Service, link string) string { return s.Public + must(url.Parse(link)).RequestURI() }

// Clock is the service's clock: the real time plus what Turn added.
type Clock struct{ ahead atomic.Int64 }

// Now returns the clock's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Turn sets the clock ahead by d.
func (c *Clock) Turn(d time.Duration) { c.ahead.Add(int64(d)) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns v. It panics if the test kit itself is wrong.
func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
