// Package koubeisim simulates Koubei and the Alipay gateway for tests, demos and CI: a portal that redirects browsers to an
// ISV with an authorization code, and a gateway that exchanges each code once.
//
// A test starts a simulator, configures the ISV's service with its keys, and sends a browser to the service:
//
//	koubei, err := koubeisim.New(koubeisim.Options{LandingURL: service.URL + "/koubei/callback"})
//	server := httptest.NewServer(koubei.Handler())
//	// Configure the service: AppID, AppPrivateKey and AlipayPublicKey of koubei, server.URL+"/gateway.do".
//	koubei.Next(koubeisim.Busy) // the first gateway call fails
//	code := koubei.Issue(koubeisim.Person{OperatorID: "2088102150477652", OperatorType: "PROVIDER"})
//	browser.Get(koubei.LandingURL(code, koubeisim.Observed))
//
// The simulator is written from the protocol and shares no code with a client, so that a mistake in one is not repeated in
// the other. It refuses what the real gateway refuses, and a little more. Where the protocol leaves a choice, successive
// responses differ. It fails only on request and in a known order: see Fault. Keys and codes are new at every start and
// exist only in memory.
//
// Each gateway call takes these steps:
//
//	accept       parses the request, checks app, signature and time; an invalid request is refused and no fault applies
//	nextFault    takes one fault from the queue; it may cut the connection, wait, or replace the response
//	decide       spends the code: success, or a business error
//	newReply     builds one response; a fault may change it
//	send         signs and sends it
//
// Everyone who can reach the simulator can sign in as anybody. Never link it into a production program, and keep it on
// loopback or in a test network.
package koubeisim
