package bench

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"koubei-landing/internal/app"
)

// serve runs a program that the service is compared with, in its own process: "empty LISTEN" does nothing, "page LISTEN"
// renders a page of 1.5 KB from a template, "get LISTEN REDIS_URL KEY" reads one key with the service's own client of Redis.
func serve(mode string, args []string) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	switch mode {
	case "page":
		page := template.Must(template.New("").Parse("<!doctype html><title>Orders</title><table>{{range .}}<tr><td>{{.}}{{end}}"))
		handler = func(w http.ResponseWriter, _ *http.Request) { check(page.Execute(w, [100]int{})) }
	case "get":
		rdb := must(app.OpenRedis(app.Redis{URL: args[1], Mode: app.Single, Timeout: 500 * time.Millisecond}))
		handler = func(w http.ResponseWriter, r *http.Request) {
			if err := rdb.Get(r.Context(), args[2]).Err(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	server := &http.Server{Addr: args[0], Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	check(server.ListenAndServe())
}

// replay is a gateway that costs nothing: it repeats its first response, which is not bound to its request.
func replay(gateway http.Handler) http.Handler {
	var once sync.Once
	first := httptest.NewRecorder()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { gateway.ServeHTTP(first, r) })
		w.Header().Set("Content-Type", first.Header().Get("Content-Type"))
		_, _ = w.Write(first.Body.Bytes())
	})
}

// provider issues the same identity to everybody.
func provider(issuer string) http.Handler {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "bench"}}, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		response := map[string]any{
			"/.well-known/openid-configuration": map[string]any{
				"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/jwks",
				"id_token_signing_alg_values_supported": []string{"RS256"},
			},
			"/jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "bench", Algorithm: "RS256", Use: "sig"}}},
			"/token": map[string]any{"access_token": "bench", "token_type": "Bearer", "expires_in": 43200, "id_token": must(jwt.Signed(signer).Claims(map[string]any{
				"iss": issuer, "aud": "bench", "sub": "2088102150477652", "email": "bench@example.com", "email_verified": true,
				"iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(),
			}).Serialize())},
		}[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(response)
	})
}

// delay returns the address of a proxy to address. Responses arrive d later.
func (b *bench) delay(address string, d time.Duration) string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	b.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed
			}
			out := must(net.Dial("tcp", address))
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			}()
			go func() { // a client of Redis waits for each reply, so replies do not overtake each other
				defer in.Close()
				for buf := make([]byte, 64<<10); ; {
					n, err := out.Read(buf)
					if err != nil {
						return
					}
					time.Sleep(d) // the distance that is measured
					_, _ = in.Write(buf[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}
