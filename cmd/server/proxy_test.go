package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"koubei-landing/internal/testworld"
)

// TestGatewayThroughAProxy: with HTTPS_PROXY the program reaches the gateway through the proxy, as docs/operations.md says.
func TestGatewayThroughAProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.RequestURI
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	env, _ := good(t)
	env["ALIPAY_GATEWAY_URL"] = "https://gateway.example/gateway.do"
	env["HTTPS_PROXY"] = proxy.URL
	p := exec.Command(testworld.Build(t, "server"), "check")
	p.Env = environ(env)
	// Redis is unavailable, and the proxy refuses: the check fails.
	if out, err := p.CombinedOutput(); p.ProcessState.ExitCode() != exitFailed {
		t.Errorf("got %v: %s", err, out)
	}
	select {
	case got := <-asked:
		if got != "CONNECT gateway.example:443" {
			t.Errorf("the proxy was asked for %q", got)
		}
	default:
		t.Error("the proxy was not asked")
	}
}
