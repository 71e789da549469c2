// Command baseline is what the service is held against, and the gateway that it is measured with:
//
//	baseline empty  LISTEN                 a net/http handler that does nothing
//	baseline heads  LISTEN                 one that only sends the headers that a check is answered with
//	baseline get    LISTEN REDIS_URL KEY   one that asks Redis for one key, with the service's own client settings
//	baseline replay LISTEN GATEWAY_URL     a gateway that costs nothing: the first question is put to another, and its
//	                                       answer given to all that follow. An answer is not bound to its question.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"koubei-landing/internal/app"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var handler http.Handler
	switch {
	case len(args) == 2 && args[0] == "empty":
		handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	case len(args) == 2 && args[0] == "heads":
		handler = http.HandlerFunc(heads)
	case len(args) == 4 && args[0] == "get":
		get, err := getting(args[2], args[3])
		if err != nil {
			return err
		}
		handler = get
	case len(args) == 3 && args[0] == "replay":
		handler = &replay{gateway: args[2]}
	default:
		return errors.New("usage: empty LISTEN | heads LISTEN | get LISTEN REDIS_URL KEY | replay LISTEN GATEWAY_URL")
	}
	server := &http.Server{Addr: args[1], Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// names are the headers that every allowed check has.
var names = [...]string{
	"Cache-Control", "X-Request-Id", "X-Koubei-App-Id", "X-Koubei-Operator-Id", "X-Koubei-Operator-Type", "X-Koubei-Partner-Id",
	"X-Koubei-Shop-Ids", "X-Koubei-Session-Expires", "X-Koubei-Assertion", "X-Koubei-Auth-Code",
}

func heads(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	for _, name := range names {
		header[name] = sixteen
	}
}

var sixteen = []string{"2088102150477652"}

func getting(redisURL, key string) (http.Handler, error) {
	rdb, err := app.OpenRedis(app.Redis{URL: redisURL, Mode: app.Single, Timeout: 500 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := rdb.Get(r.Context(), key).Err(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), nil
}

// replay is a gateway that remembers one answer.
type replay struct {
	gateway string

	mu          sync.Mutex
	contentType string
	answer      []byte
}

func (g *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	contentType, answer, err := g.once(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(answer)
}

func (g *replay) once(r *http.Request) (string, []byte, error) {
	question, err := io.ReadAll(r.Body)
	if err != nil {
		return "", nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answer != nil {
		return g.contentType, g.answer, nil
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, g.gateway+"?"+r.URL.RawQuery, bytes.NewReader(question))
	if err != nil {
		return "", nil, err
	}
	ask.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(ask)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", nil, errors.Join(fmt.Errorf("the gateway answered %d", resp.StatusCode), err)
	}
	g.contentType, g.answer = resp.Header.Get("Content-Type"), answer
	return g.contentType, g.answer, nil
}
