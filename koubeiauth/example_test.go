package koubeiauth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"koubei-landing/koubeiauth"
)

// landingService is a fake service for the examples. visit acts as a browser, or as the proxy in front of it.
func landingService() (koubei *service, stop func()) {
	koubei, stop = newService(es256())
	koubei.check(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.Header.Get("Cookie"), "koubei_session="):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Query().Has("partner_id") && r.URL.Query().Get("partner_id") != "2088102150477653":
			w.WriteHeader(http.StatusForbidden)
		default:
			allowed(w)
		}
	})
	return koubei, stop
}

func visit(h http.Handler, path, header, value string) {
	w := ask(h, http.Header{header: {value}}, path)
	fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
}

// A back end behind a proxy that sets X-Koubei-Assertion from the service's response.
func ExampleVerifier_Middleware() {
	koubei, stop := landingService()
	defer stop()

	verifier, err := koubeiauth.NewVerifier(koubeiauth.VerifierOptions{
		Issuer:  "https://isv.example/koubei", // the service's PUBLIC_URL
		JWKSURL: koubei.URL,                   // not needed if the public address is reachable
	})
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		operator, _ := koubeiauth.OperatorFrom(r.Context())
		fmt.Fprintf(w, "the orders of %s, for %s", operator.PartnerID, operator.ID)
	})
	handler := verifier.Middleware(app)

	visit(handler, "/orders", koubeiauth.AssertionHeader, koubei.assertion(nil))
	visit(handler, "/orders", koubeiauth.AssertionHeader, "made.up.entirely")
	visit(handler, "/orders", "X-Koubei-Operator-Id", "2088102150477652")
	// Output:
	// 200 the orders of 2088102150477653, for 2088102150477652
	// 401 Unauthorized
	// 401 Unauthorized
}

// Pages with their merchant in the address, for two types of operator. They never act on the merchant of another tab. The
// proxy must request that merchant's assertion, with ?partner_id= or the header X-Koubei-Select-Partner.
func ExampleVerifier_With() {
	koubei, stop := landingService()
	defer stop()
	verifier, err := koubeiauth.NewVerifier(koubeiauth.VerifierOptions{Issuer: "https://isv.example/koubei", JWKSURL: koubei.URL})
	if err != nil {
		log.Fatal(err)
	}

	ofMerchant := verifier.With(koubeiauth.Access{
		Types:   []koubeiauth.Type{koubeiauth.Provider, koubeiauth.ProviderStaff},
		Partner: func(r *http.Request) string { return r.PathValue("merchant") },
	})
	app := http.NewServeMux()
	app.Handle("GET /merchants/{merchant}", ofMerchant.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the page of ", r.PathValue("merchant"))
	})))

	visit(app, "/merchants/2088102150477653", koubeiauth.AssertionHeader, koubei.assertion(nil))
	visit(app, "/merchants/2088000000000009", koubeiauth.AssertionHeader, koubei.assertion(nil))
	visit(app, "/merchants/2088102150477653", koubeiauth.AssertionHeader, koubei.assertion(map[string]any{"operator_type": "SALES"}))
	// Output:
	// 200 the page of 2088102150477653
	// 403 Forbidden
	// 403 Forbidden
}

// A back end that browsers reach directly sends the browser's cookies to the service.
func ExampleAsker_Middleware() {
	koubei, stop := landingService()
	defer stop()

	asker, err := koubeiauth.NewAsker(koubeiauth.AskerOptions{
		URL:    koubei.URL, // the internal listener, like http://127.0.0.1:9090
		Access: koubeiauth.Access{Partner: func(r *http.Request) string { return r.FormValue("partner_id") }},
		Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, koubeiauth.ErrUnauthenticated) {
				w.Header().Set("Location", "/koubei/signin")
				w.WriteHeader(http.StatusSeeOther)
				return
			}
			http.Error(w, "no entry just now", koubeiauth.Status(err))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := asker.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operator, _ := koubeiauth.OperatorFrom(r.Context())
		fmt.Fprintf(w, "%s acts for %s until %s", operator.Type, operator.PartnerID, operator.Until.Format("15:04"))
	}))

	visit(handler, "/?partner_id=2088102150477653", "Cookie", "koubei_session=…")
	visit(handler, "/?partner_id=2088000000000009", "Cookie", "koubei_session=…")
	visit(handler, "/?partner_id=2088102150477653", "Cookie", "theme=dark")
	// Output:
	// 200 PROVIDER acts for 2088102150477653 until 15:04
	// 403 no entry just now
	// 303
}

// An Asker returns the code that some Koubei calls require as auth_code, if the service forwards it.
func ExampleAsker_Identify() {
	koubei, stop := landingService()
	defer stop()
	asker, err := koubeiauth.NewAsker(koubeiauth.AskerOptions{URL: koubei.URL})
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest(http.MethodPost, "/items", nil)
	r.Header.Set("Cookie", "koubei_session=…")
	operator, err := asker.Identify(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("never in a log:", operator.AuthCode)
	fmt.Println("for the call:", string(operator.AuthCode))
	// Output:
	// never in a log: redacted
	// for the call: 8f2dcode
}

// Verify needs no net/http request. Use it in a queue's consumer or a gRPC interceptor.
func ExampleVerifier_Verify() {
	koubei, stop := landingService()
	defer stop()
	verifier, err := koubeiauth.NewVerifier(koubeiauth.VerifierOptions{
		Issuer: "https://isv.example/koubei", Audience: "reports", JWKSURL: koubei.URL,
	})
	if err != nil {
		log.Fatal(err)
	}

	operator, err := verifier.Verify(context.Background(), koubei.assertion(map[string]any{"aud": "reports"}))
	fmt.Println(operator.ID, err)
	_, err = verifier.Verify(context.Background(), koubei.assertion(nil))
	fmt.Println(koubeiauth.Status(err), err)
	// Output:
	// 2088102150477652 <nil>
	// 401 koubeiauth: nobody is signed in: meant for another audience
}
