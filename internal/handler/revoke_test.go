package handler_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/operator"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

const adminToken = "a-token-of-more-than-32-characters"

func administered(c *app.Config) { c.Web.AdminToken = adminToken }

func admin(t *testing.T, s *testworld.Service, w *testworld.World, method, operatorID, authorization string) testworld.Answer {
	t.Helper()
	r, err := http.NewRequest(method, s.Internal+"/admin/operators/"+operatorID+"/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return w.Program().Do(r)
}

type adminSession struct {
	ID         string `json:"id"`
	OperatorID string `json:"operator_id"`
	Entries    []struct {
		PartnerID *string `json:"partner_id"`
	} `json:"entries"`
}

func listed(t *testing.T, w *testworld.World, operatorID string) []adminSession {
	t.Helper()
	a := admin(t, w.Service, w, http.MethodGet, operatorID, "Bearer "+adminToken)
	var body struct {
		Sessions []adminSession `json:"sessions"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.StatusCode != http.StatusOK || body.Sessions == nil {
		t.Fatalf("got %d %s", a.StatusCode, a.Body)
	}
	return body.Sessions
}

func revoke(t *testing.T, s *testworld.Service, w *testworld.World, operatorID string, want string) {
	t.Helper()
	a := admin(t, s, w, http.MethodDelete, operatorID, "Bearer "+adminToken)
	if a.StatusCode != http.StatusOK || strings.TrimSpace(a.Body) != `{"revoked":`+want+`}` {
		t.Errorf("got %d %s, want %s revoked", a.StatusCode, a.Body, want)
	}
}

func TestAdministrationNeedsItsToken(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	off := w.Replica(func(c *app.Config) { c.Web.AdminToken = "" })
	b := land(t, w, testworld.Provider)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + adminToken + "x", "Bearer " + adminToken[1:], "Basic " + adminToken, adminToken} {
			a := admin(t, w.Service, w, method, testworld.Provider.OperatorID, authorization)
			if a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" || strings.Contains(a.Body, "sessions") {
				t.Errorf("%s with %q: got %d, want 401", method, authorization, a.StatusCode)
			}
			if a := admin(t, off, w, method, testworld.Provider.OperatorID, authorization); a.StatusCode != http.StatusNotFound {
				t.Errorf("%s with %q where there is no token: got %d, want 404", method, authorization, a.StatusCode)
			}
		}
		r, _ := http.NewRequest(method, w.Public+"/admin/operators/"+testworld.Provider.OperatorID+"/sessions", nil)
		r.Header.Set("Authorization", "Bearer "+adminToken)
		if a := w.Program().Do(r); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s on the public listener: got %d, want 404", method, a.StatusCode)
		}
	}
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
}

func TestRevocationAppliesToAllReplicas(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	replica := w.Replica()
	one, two := land(t, w, with("2088000000000001"), with("")), land(t, w, testworld.Provider)
	other := land(t, w, testworld.Merchant)
	sessions := listed(t, w, testworld.Provider.OperatorID)
	if len(sessions) != 2 {
		t.Fatalf("got %d sessions, want 2", len(sessions))
	}
	for _, s := range sessions {
		if s.OperatorID != testworld.Provider.OperatorID || s.ID == one.Cookie(w.Public, "koubei_session") || s.ID == two.Cookie(w.Public, "koubei_session") {
			t.Errorf("got %+v", s)
		}
		thief := w.Browser()
		thief.SetCookie(w.Public, &http.Cookie{Name: "koubei_session", Value: s.ID, Path: "/"})
		wantSignedIn(t, w, thief, "")
	}
	revoke(t, replica, w, testworld.Provider.OperatorID, "2")
	for _, s := range []*testworld.Service{w.Service, replica} {
		for _, b := range []*testworld.Browser{one, two} {
			if a, _ := b.Session(s, ""); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("got %d, want 401 on every replica", a.StatusCode)
			}
			if a := verify(t, w, b, http.MethodGet, "", nil); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("verify: got %d, want 401", a.StatusCode)
			}
		}
	}
	wantSignedIn(t, w, other, testworld.Merchant.OperatorID)
	revoke(t, w.Service, w, testworld.Provider.OperatorID, "0")
	if got := listed(t, w, testworld.Provider.OperatorID); len(got) != 0 {
		t.Errorf("got %d sessions left", len(got))
	}
	// Koubei confirms the operator again.
	land(t, w, testworld.Provider)
}

func TestRevocationReachesUnfinishedLandings(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	replica := w.Replica()
	gone := func(what string, a testworld.Answer) {
		t.Helper()
		if a.StatusCode != http.StatusGone || a.SetsCookie("koubei_session=") != "" {
			t.Errorf("%s: got %d, want 410", what, a.StatusCode)
		}
		if got := listed(t, w, testworld.Provider.OperatorID); len(got) != 0 {
			t.Errorf("%s: a revoked operator has %d sessions", what, len(got))
		}
	}

	inFlight := w.Browser()
	link := arrive(t, inFlight, w.Landing(w.Koubei.Issue(testworld.Provider)))
	w.Koubei.Next(koubeisim.SpendThenHold)
	done := background(t, inFlight, link)
	awaitHeld(t, w, 1)
	revoke(t, replica, w, testworld.Provider.OperatorID, "0")
	w.Koubei.Release()
	gone("in flight", <-done)
	gone("in flight, again", inFlight.Get(link))

	adding := land(t, w, with("2088000000000001"))
	link = w.Landing(w.Koubei.Issue(with("2088000000000002")))
	w.Koubei.Next(koubeisim.SpendThenHold)
	done = background(t, adding, link)
	awaitHeld(t, w, 1)
	revoke(t, replica, w, testworld.Provider.OperatorID, "1")
	w.Koubei.Release()
	gone("a partner being added", <-done)
	wantSignedIn(t, w, adding, "")

	waiting := w.Browser()
	link = w.Landing(w.Koubei.Issue(testworld.Provider))
	lose(t, w, waiting, w.Redis.Kill, arrive(t, waiting, link))
	restart(t, w, replica)
	revoke(t, replica, w, testworld.Provider.OperatorID, "0")
	gone("a pending grant", waiting.Get(link))

	asking := land(t, w, testworld.Merchant)
	link, page := asked(t, w, asking, testworld.Provider)
	revoke(t, replica, w, testworld.Provider.OperatorID, "0")
	gone("a held switch", asking.Post(switchURL(w), answerTo(t, page, "yes")))
	gone("a held switch, again", asking.Get(link))
	wantSignedIn(t, w, asking, testworld.Merchant.OperatorID)
}

func TestARevocationOfTheOldOperatorLetsTheSwitchLand(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	b := land(t, w, testworld.Merchant)
	link, _ := asked(t, w, b, testworld.Provider)
	revoke(t, w.Service, w, testworld.Merchant.OperatorID, "1")
	if a := b.Get(link); a.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d, want 303: no session is replaced", a.StatusCode)
	}
	wantSignedIn(t, w, b, testworld.Provider.OperatorID)
}

func TestRevocationWithoutRedis(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, administered)
	b := land(t, w, testworld.Provider)
	w.Redis.Freeze()
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		a := admin(t, w.Service, w, method, testworld.Provider.OperatorID, "Bearer "+adminToken)
		if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d, want 503", method, a.StatusCode)
		}
	}
	w.Redis.Thaw()
	revokeAgain := admin(t, w.Service, w, http.MethodDelete, testworld.Provider.OperatorID, "Bearer "+adminToken)
	if revokeAgain.StatusCode != http.StatusOK {
		t.Errorf("afterwards: got %d", revokeAgain.StatusCode)
	}
	wantSignedIn(t, w, b, "")
}

func TestRightsBelongToOnePartner(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	staff := with("2088000000000002")
	staff.OperatorType = "PROVIDER_STAFF"
	b := land(t, w, with("2088000000000001"), staff)
	for _, tt := range []struct {
		query  string
		status int
	}{
		{"?type=PROVIDER", 403}, // the newest entry is the employee's
		{"?type=PROVIDER_STAFF", 200},
		{"?type=PROVIDER&partner_id=2088000000000001", 200},
		{"?type=PROVIDER_STAFF&partner_id=2088000000000001", 403},
		{"?type=PROVIDER&partner_id=2088000000000002", 403},
		{"?type=PROVIDER,PROVIDER_STAFF&partner_id=2088000000000003", 403},
		{"?partner_id=", 403},
	} {
		a := verify(t, w, b, http.MethodGet, tt.query, nil)
		if a.StatusCode != tt.status || tt.status != http.StatusOK && a.Header.Get("X-Koubei-Operator-Id") != "" {
			t.Errorf("%s: got %d, want %d", tt.query, a.StatusCode, tt.status)
		}
	}
}

func TestHomesByTypeAndPartner(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, func(c *app.Config) {
		for typ, template := range map[string]string{"PROVIDER": "/p/{partner_id}", "MER": "/m?who={operator_id}&at={partner_id}"} {
			home, err := c.Web.ParseHome(template)
			if err != nil {
				t.Fatal(err)
			}
			c.Web.Homes = homes(c.Web.Homes, typ, home)
		}
	})
	for _, tt := range []struct {
		person koubeisim.Person
		want   string
	}{
		{with("2088000000000001"), "/p/2088000000000001"},
		{with(""), "/p/"},
		{testworld.Merchant, "/m?who=" + testworld.Merchant.OperatorID + "&at=" + testworld.Merchant.PartnerID},
		{testworld.Sales, "/"},
	} {
		b := w.Browser()
		link := w.Landing(w.Koubei.Issue(tt.person))
		first := b.Land(link)
		again := b.Get(link)
		if first.Header.Get("Location") != tt.want || again.Header.Get("Location") != tt.want {
			t.Errorf("%s: got %q, then %q, want %q", tt.person.OperatorType, first.Header.Get("Location"), again.Header.Get("Location"), tt.want)
		}
	}
	// A replay redirects to the home of its own code, even if another tab has landed since.
	b := w.Browser()
	link := w.Landing(w.Koubei.Issue(with("2088000000000001")))
	b.Land(link)
	b.Land(w.Landing(w.Koubei.Issue(with("2088000000000002"))))
	if a := b.Get(link); a.Header.Get("Location") != "/p/2088000000000001" {
		t.Errorf("the first tab's refresh: got %q", a.Header.Get("Location"))
	}
}

func homes(all handler.TypedHomes, typ string, home handler.Home) handler.TypedHomes {
	if all == nil {
		all = handler.TypedHomes{}
	}
	all[operator.Type(typ)] = home
	return all
}
