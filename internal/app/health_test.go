package app_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"koubei-landing/internal/app"
)

// TestHealth: a row is how the internal listener's address is written in the settings.
func TestHealth(t *testing.T) {
	t.Parallel()
	status, hang := http.StatusOK, false
	listen := func(network, address string) *httptest.Server {
		l, err := net.Listen(network, address)
		must(t, err)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hang {
				<-r.Context().Done()
			}
			if r.URL.Path != "/healthz" {
				t.Errorf("got a request for %s", r.URL.Path)
			}
			if !r.Close {
				t.Error("the request keeps its connection")
			}
			w.WriteHeader(status)
		}))
		s.Listener.Close()
		s.Listener = l
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	socket := filepath.Join(t.TempDir(), "socket")
	listen("unix", socket)
	_, port, err := net.SplitHostPort(listen("tcp4", "127.0.0.1:0").Listener.Addr().String())
	must(t, err)
	addresses := []string{"unix:" + socket, ":" + port, "0.0.0.0:" + port, "127.0.0.1:" + port}
	for _, address := range addresses {
		if err := app.Health(t.Context(), address); err != nil {
			t.Errorf("%s: got %v", address, err)
		}
	}
	for _, status = range []int{http.StatusServiceUnavailable, http.StatusNoContent, http.StatusFound} {
		for _, address := range addresses {
			if err := app.Health(t.Context(), address); err == nil {
				t.Errorf("%s: got no error for %d", address, status)
			}
		}
	}
	status, hang = http.StatusOK, true
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, address := range append(addresses, "127.0.0.1:1", "unix:"+socket+"x", "no port") {
		if err := app.Health(ctx, address); err == nil {
			t.Errorf("%s: got no error", address)
		}
	}
}
