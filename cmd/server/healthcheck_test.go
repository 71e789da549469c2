package main

import (
	"net"
	"net/http"
	"testing"
)

// If the service listens on every address, the check uses the loopback address. It needs no name resolution.
func TestHealthcheckAsksLoopbackByItsAddress(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ listens, setting, asked string }{
		{"127.0.0.1", "", "127.0.0.1"},
		{"127.0.0.1", "0.0.0.0", "127.0.0.1"},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"::1", "::", "[::1]"},
		{"::1", "::1", "[::1]"},
	} {
		l, err := net.Listen("tcp", net.JoinHostPort(row.listens, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan string, 1)
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host + r.URL.Path })}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { server.Close() })
		setting := net.JoinHostPort(row.setting, port)
		got := runWith(t.Context(), map[string]string{"INTERNAL_LISTEN": setting}, "healthcheck")
		if got.code != exitOK || got.stdout != "ok\n" {
			t.Errorf("INTERNAL_LISTEN=%s: got %+v, want ok", setting, got)
			continue
		}
		if host, want := <-asked, row.asked+":"+port+"/healthz"; host != want {
			t.Errorf("INTERNAL_LISTEN=%s: asked %s, want %s", setting, host, want)
		}
	}
}
