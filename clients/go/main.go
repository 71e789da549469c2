// Command shop is an example of a back end that uses koubeiauth. Start it with --issuer behind a proxy that sets
// X-Koubei-Assertion, and with --internal without one.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"koubei-landing/koubeiauth"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "where to listen")
	issuer := flag.String("issuer", "", "the landing service's PUBLIC_URL: verify assertions")
	audience := flag.String("audience", "", "the audience of assertions; by default the issuer")
	internal := flag.String("internal", "", "the landing service's internal listener: ask it for each request")
	flag.Parse()

	guard, err := guardOf(*issuer, *audience, *internal)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *listen, Handler: routes(guard), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(l net.Listener) context.Context {
			fmt.Printf("http://%s\n", l.Addr()) // the listener is open
			return context.Background()
		},
	}
	log.Fatal(server.ListenAndServe())
}

// guard returns the middleware for rules of access.
type guard func(koubeiauth.Access) func(http.Handler) http.Handler

func guardOf(issuer, audience, internal string) (guard, error) {
	if internal != "" {
		asker, err := koubeiauth.NewAsker(koubeiauth.AskerOptions{URL: internal})
		return func(a koubeiauth.Access) func(http.Handler) http.Handler { return asker.With(a).Middleware }, err
	}
	verifier, err := koubeiauth.NewVerifier(koubeiauth.VerifierOptions{Issuer: issuer, Audience: audience})
	return func(a koubeiauth.Access) func(http.Handler) http.Handler { return verifier.With(a).Middleware }, err
}

// routes returns a page for everybody who is signed in, and one for each merchant.
func routes(g guard) http.Handler {
	anybody := g(koubeiauth.Access{})
	ofMerchant := g(koubeiauth.Access{
		Types:   []koubeiauth.Type{koubeiauth.Provider, koubeiauth.ProviderStaff, koubeiauth.Merchant, koubeiauth.MerchantStaff},
		Partner: func(r *http.Request) string { return r.PathValue("merchant") },
	})
	m := http.NewServeMux()
	m.Handle("GET /whoami", anybody(http.HandlerFunc(whoami)))
	m.Handle("GET /merchants/{merchant}", ofMerchant(http.HandlerFunc(whoami)))
	return m
}

func whoami(w http.ResponseWriter, r *http.Request) {
	operator, _ := koubeiauth.OperatorFrom(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"operator_id": operator.ID, "operator_type": string(operator.Type), "partner_id": operator.PartnerID,
	})
}
