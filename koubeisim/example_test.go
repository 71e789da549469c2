package koubeisim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"koubei-landing/koubeisim"
)

// service stands for the service under test: it exchanges each code that a browser brings.
type service struct {
	appID, privateKey, gateway string
}

// ServeHTTP responds with what the gateway says about the code.
func (s service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, s.exchange(r.URL.Query().Get("auth_code")))
}

// exchange calls the gateway once and returns the operator id or the sub_code. It does not check the response's signature,
// which a real service must do.
func (s service) exchange(code string) string {
	der, _ := base64.StdEncoding.DecodeString(s.privateKey)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return err.Error()
	}
	now := time.Now().In(time.FixedZone("GMT+8", 8*60*60))
	params := map[string]string{
		"app_id": s.appID, "method": "koubei.member.data.oauth.query", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0",
		"timestamp": now.Format(time.DateTime), "biz_content": `{"auth_type":"pay_member","code":"` + code + `"}`,
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		pairs = append(pairs, name+"="+params[name])
	}
	sum := sha256.Sum256([]byte(strings.Join(pairs, "&")))
	signature, err := rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		return err.Error()
	}
	query := url.Values{"sign": {base64.StdEncoding.EncodeToString(signature)}}
	for name, value := range params {
		query.Set(name, value)
	}
	resp, err := http.Post(s.gateway+"?"+query.Encode(), "application/x-www-form-urlencoded;charset=utf-8", nil)
	if err != nil {
		return "no response"
	}
	defer resp.Body.Close()
	var body struct {
		Node struct {
			SubCode    string `json:"sub_code"`
			OperatorID string `json:"operator_id"`
		} `json:"koubei_member_data_oauth_query_response"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return err.Error()
	}
	return body.Node.OperatorID + body.Node.SubCode
}

// start starts a simulator and a service that is configured with its keys.
func start() (*koubeisim.Koubei, service, func()) {
	koubei, err := koubeisim.New(koubeisim.Options{})
	if err != nil {
		log.Fatal(err)
	}
	gateway := httptest.NewServer(koubei.Handler())
	s := service{koubei.AppID(), koubei.AppPrivateKey(), gateway.URL + "/gateway.do"}
	isv := httptest.NewServer(s)
	if err := koubei.SetLandingURL(isv.URL + "/koubei/callback"); err != nil {
		log.Fatal(err)
	}
	return koubei, s, func() { isv.Close(); gateway.Close() }
}

var provider = koubeisim.Person{OperatorID: "2088102150477652", OperatorType: "PROVIDER", PartnerID: "2088102150477653"}

// A browser enters the service with a code, and enters again with the same code.
func Example() {
	koubei, _, stop := start()
	defer stop()

	code := koubei.Issue(provider)
	for range 2 {
		resp, err := http.Get(koubei.LandingURL(code, koubeisim.Observed))
		if err != nil {
			log.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(said))
	}
	fmt.Println(koubei.CallsFor(code), "calls")
	// Output:
	// 2088102150477652
	// AUTH_CODE_NOT_EXIST
	// 2 calls
}

// Each queued fault applies to one gateway call. A code that was not spent is still good afterwards.
func ExampleKoubei_Next() {
	koubei, service, stop := start()
	defer stop()

	koubei.Next(koubeisim.Busy, koubeisim.Drop)
	code := koubei.Issue(provider)
	for range 3 {
		fmt.Println(service.exchange(code))
	}
	for _, call := range koubei.Calls() {
		fmt.Printf("%q %s\n", call.Fault, call.Outcome)
	}
	// Output:
	// isp.unknow-error
	// no response
	// 2088102150477652
	// "busy" isp.unknow-error
	// "drop" drop
	// "" success
}

// A test can look at the service while the gateway keeps it waiting.
func ExampleKoubei_AwaitHeld() {
	koubei, service, stop := start()
	defer stop()

	koubei.Next(koubeisim.Hold)
	done := make(chan string)
	go func() { done <- service.exchange(koubei.Issue(provider)) }()
	if err := koubei.AwaitHeld(context.Background(), 1); err != nil {
		log.Fatal(err)
	}
	fmt.Println("released", koubei.Release())
	fmt.Println(<-done)
	// Output:
	// released 1
	// 2088102150477652
}

// Codes can be issued in a state that usually takes time or a second browser.
func ExampleKoubei_IssueIn() {
	koubei, service, stop := start()
	defer stop()

	for _, state := range []koubeisim.CodeState{koubeisim.CodeExpired, koubeisim.CodeUsed, koubeisim.CodeForeign} {
		fmt.Println(state, service.exchange(koubei.IssueIn(state, provider)))
	}
	// Output:
	// expired AUTH_CODE_EXPIRES
	// used AUTH_CODE_NOT_EXIST
	// foreign ACCESS_NOT_ALLOWED
}

func ExampleKoubei_LandingURL() {
	koubei, err := koubeisim.New(koubeisim.Options{AppID: "2021000000000001", LandingURL: "https://isv.example/koubei/callback?from=koubei"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(koubei.LandingURL("4b203fe6c11548bcabd8da5bb087aX42", koubeisim.Observed))
	fmt.Println(koubei.LandingURL("4b203fe6c11548bcabd8da5bb087aX42", koubeisim.Documented))
	// Output:
	// https://isv.example/koubei/callback?from=koubei&app_id=2021000000000001&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=4b203fe6c11548bcabd8da5bb087aX42
	// https://isv.example/koubei/callback?from=koubei&code=4b203fe6c11548bcabd8da5bb087aX42
}

// Programs in other languages use the control API.
func ExampleKoubei_Handler() {
	koubei, _, stop := start()
	defer stop()
	server := httptest.NewServer(koubei.Handler())
	defer server.Close()

	resp, err := http.Post(server.URL+"/api/codes", "application/json", bytes.NewBufferString(`{"operator_id":"2088102150477652","operator_type":"PROVIDER"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	issued := map[string]string{}
	if err := json.NewDecoder(resp.Body).Decode(&issued); err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, slices.Sorted(maps.Keys(issued)))
	// Output: 201 [code documented_url url]
}

func ExampleParseFault() {
	fault, err := koubeisim.ParseFault("slow:2s")
	fmt.Println(fault == koubeisim.SlowBy(2*time.Second), err)
	_, err = koubeisim.ParseFault("bsuy")
	fmt.Println(err)
	// Output:
	// true <nil>
	// unknown fault "bsuy"
}
