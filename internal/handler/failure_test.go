package handler_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// TestErrorPagesLeadOn: each page says what to do next, below the path of PUBLIC_URL.
func TestErrorPagesLeadOn(t *testing.T) {
	t.Parallel()
	const entry = "https://koubei.example/app"
	w := testworld.New(t, func(c *app.Config) {
		public := *c.Web.PublicURL
		public.Path = "/base"
		c.Web.PublicURL, c.Web.EntryURL = &public, entry
	})
	two := http.Header{"Cookie": {"koubei_session=" + land(t, w, testworld.Sales).Cookie(w.Public+"/base/", "koubei_session") +
		"; koubei_session=" + land(t, w, testworld.Merchant).Cookie(w.Public+"/base/", "koubei_session")}}
	foreign := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	arrived := "/koubei/callback?code=x&a=b&arrived=" + strconv.FormatInt(w.Clock.Now().Unix(), 10)
	type row struct {
		method, path string
		header       http.Header
		status       int
		want         string
		enter        bool // the page links to the entry at Koubei
	}
	check := func(rows []row) {
		t.Helper()
		for _, tt := range rows {
			r, err := http.NewRequest(tt.method, w.Public+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range tt.header {
				r.Header[name] = values
			}
			a := w.Browser().Do(r)
			if retry := a.Header.Get("Retry-After"); strings.Contains(a.Body, `data-after="`) && !strings.Contains(a.Body, `data-after="`+retry+`"`) {
				t.Errorf("%s %s: got another time than Retry-After %q on the page", tt.method, tt.path, retry)
			}
			if a.StatusCode != tt.status || !strings.Contains(a.Body, tt.want) || strings.Contains(a.Body, entry) != tt.enter {
				t.Errorf("%s %s: got %d, want %d with %s, entry %t: %s", tt.method, tt.path, a.StatusCode, tt.status, tt.want, tt.enter, a.Body)
			}
			for _, other := range []string{`id="back"`, `id="sign-out"`, `id="open-window"`, `id="retry-now"`} {
				if strings.Contains(a.Body, other) && !strings.Contains(tt.want, other) {
					t.Errorf("%s %s: %s is on the page, too", tt.method, tt.path, other)
				}
			}
		}
	}
	check([]row{
		{"GET", "/base/nothing", nil, 404, "", true},
		{"POST", "/base/nothing", nil, 404, `id="back" href="/base/"`, true},
		{"POST", "/base/logout", foreign, 403, `id="back" href="/base/"`, false},
		{"GET", "/base/", two, 401, `action="/base/logout"><button class="button" id="sign-out"`, true},
		{"GET", arrived, nil, 403, `id="open-window" href="/koubei/callback?code=x&amp;a=b"`, true},
	})
	program := land(t, w, testworld.Merchant)
	program.Header.Set("Accept", "application/json")
	link := w.Landing(w.Koubei.Issue(testworld.Sales)) + "&a=b"
	if a := program.Get(link); a.Problem() != "operator_differs" || !strings.Contains(a.Body, `"page":"`+strings.TrimPrefix(link, w.Public)+`"`) {
		t.Errorf("the question, to a program: got %s, want the page in it", a.Body)
	}
	w.Redis.Kill()
	session := http.Header{"Cookie": {"koubei_session=" + strings.Repeat("A", 43)}}
	check([]row{
		{"GET", "/base/?x=y", session, 503, `id="retry-now" href="/base/?x=y"`, true},
		{"POST", "/base/logout", session, 503, `id="back" href="/base/"`, true},
	})
}

// TestABrowserThatHasLeftIsNoError: the log line of a request that its browser has left is not above INFO.
func TestABrowserThatHasLeftIsNoError(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	b := land(t, w, testworld.Provider)
	w.Redis.Freeze()
	defer w.Redis.Thaw()
	leaving := *b.Client
	leaving.Timeout = 150 * time.Millisecond
	r, err := http.NewRequest(http.MethodGet, w.Public+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = b.Header.Clone()
	if _, err := leaving.Do(r); err == nil {
		t.Fatal("the browser did not leave")
	}
	failed := func(l logLine) bool {
		return l["msg"] == "request" && l["status"] == float64(http.StatusServiceUnavailable)
	}
	testworld.Eventually(t, 30*time.Second, "the request is logged", func() error {
		if len(logged(t, w, failed)) == 0 {
			return fmt.Errorf("no line in %s", w.Log)
		}
		return nil
	})
	for _, l := range logged(t, w, failed) {
		if l["level"] != "INFO" {
			t.Errorf("got %v, want INFO", l)
		}
	}
}
