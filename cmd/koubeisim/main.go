// Command koubeisim simulates Koubei and the Alipay gateway for tests, demos and CI: a portal that redirects browsers to an
// ISV with a code, and a gateway that exchanges each code once. Never use it in production.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"koubei-landing/koubeisim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	s, done, err := parse(args, getenv, stdout)
	if done {
		return 0
	}
	var koubei *koubeisim.Koubei
	if err == nil {
		koubei, err = s.koubei()
	}
	if err != nil {
		fmt.Fprintln(stderr, "koubeisim:", err)
		return 2
	}
	if err := serve(ctx, s, koubei, stdout); err != nil {
		fmt.Fprintln(stderr, "koubeisim:", err)
		return 1
	}
	return 0
}

// serve listens before it writes files, because it needs the address for them.
func serve(ctx context.Context, s *settings, koubei *koubeisim.Koubei, stdout io.Writer) error {
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	base := baseURL(listener.Addr())
	gateway := cmp.Or(s.GatewayURL, base+"/gateway.do")
	if err := s.writeFiles(koubei, gateway); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "koubeisim: portal %s/ · gateway %s · app %s\n", base, gateway, koubei.AppID())
	return serveUntil(ctx, listener, koubei)
}

func serveUntil(ctx context.Context, listener net.Listener, koubei *koubeisim.Koubei) error {
	server := &http.Server{Handler: koubei.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	koubei.Release() // a held call would delay the shutdown
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		server.Close() // cuts the responses that are still slow
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// baseURL returns the address of the listener for this machine.
func baseURL(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String()) // a TCP address has both
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
