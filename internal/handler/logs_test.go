package handler_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// logLine is one line of the log.
type logLine map[string]any

func (l logLine) mentions(word string) bool {
	message, _ := l["msg"].(string)
	return strings.Contains(message, word)
}

// logged returns the matching log lines so far.
func logged(t *testing.T, w *testworld.World, want func(logLine) bool) []logLine {
	t.Helper()
	var lines []logLine
	for text := range strings.Lines(w.Log.String()) {
		var l logLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if want(l) {
			lines = append(lines, l)
		}
	}
	return lines
}

// linesOf returns the log lines of one kind for a response's request. The request's own line is written last, which may be
// after the response has arrived.
func linesOf(t *testing.T, w *testworld.World, message string, a testworld.Answer) []logLine {
	t.Helper()
	id := a.Header.Get("X-Request-Id")
	of := func(message string) []logLine {
		return logged(t, w, func(l logLine) bool { return l["msg"] == message && l["request_id"] == id })
	}
	testworld.Eventually(t, 30*time.Second, "the request is logged", func() error {
		if id == "" || len(of("request")) == 0 {
			return fmt.Errorf("no line of the request %q", id)
		}
		return nil
	})
	return of(message)
}

func TestOneLinePerRequest(t *testing.T) {
	t.Parallel()
	const needle = "a-word-of-the-query"
	w := testworld.New(t, administered, func(c *app.Config) { c.Web.AccessLog = handler.AccessAll })
	signedIn := land(t, w, testworld.Provider)
	static := asset(t, w)
	before := len(logged(t, w, func(l logLine) bool { return l["msg"] == "request" }))
	callback := w.Config.Web.CallbackPath
	landing := func() string { return w.Landing(w.Koubei.Issue(testworld.Provider)) + "&" }
	rows := []struct {
		method, address string // with the start of its query
		b               *testworld.Browser
		route, level    string
		status          int
	}{
		{"GET", w.Public + "/?", signedIn, "/", "INFO", 200},
		{"HEAD", w.Public + "/?", signedIn, "/", "INFO", 200},
		{"GET", w.Public + static + "?", signedIn, "/static/*", "INFO", 200},
		{"GET", w.Public + "/session?", w.Program(), "/session", "INFO", 401},
		{"GET", w.Public + "/session?partner_id=1&", signedIn, "/session", "INFO", 403},
		{"GET", w.Public + "/nothing?", signedIn, "other", "INFO", 404},
		{"PUT", w.Public + "/signin?", signedIn, "other", "INFO", 405},
		{"GET", w.Public + "/signin?x=" + strings.Repeat("x", 9000), signedIn, "other", "INFO", 414},
		{"GET", landing(), w.Browser(), callback, "INFO", 303}, // the hop
		{"GET", landing() + "return_to=/shop%3Fid%3D", signedIn, callback, "INFO", 303},
		{"HEAD", landing(), signedIn, callback, "INFO", 204},
		{"GET", w.Public + callback + "?code=%zz", signedIn, callback, "INFO", 400},
		{"GET", w.Public + callback + "?code=", signedIn, callback, "INFO", 410}, // the value is a code that does not exist
		{"POST", w.Public + callback + "/switch?", signedIn, callback + "/switch", "INFO", 400},
		{"GET", w.Internal + "/auth/verify?", signedIn, "/auth/verify", "INFO", 200},
		{"PROPFIND", w.Internal + "/auth/verify?", signedIn, "/auth/verify", "INFO", 200},
		{"GET", w.Internal + "/auth/verify?type=", signedIn, "/auth/verify", "INFO", 403},
		{"GET", w.Internal + "/nothing?", signedIn, "other", "INFO", 404},
		{"GET", w.Internal + "/admin/operators/1/sessions?", signedIn, "/admin/operators/{operator_id}/sessions", "WARN", 401},
		{"POST", w.Public + "/logout?", signedIn, "/logout", "INFO", 303},
	}
	for _, tt := range rows {
		r, err := http.NewRequest(tt.method, tt.address+needle, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s %.60s", tt.method, r.URL.Path)
		a := tt.b.Do(r)
		lines := linesOf(t, w, "request", a)
		if len(lines) != 1 {
			t.Errorf("%s: got %d lines, want one: %v", name, len(lines), lines)
		}
		got := maps.Clone(lines[0])
		took, ok := got["duration_ms"].(float64)
		if !ok || took < 0 || took > 60_000 {
			t.Errorf("%s: got a duration of %v ms", name, got["duration_ms"])
		}
		want := logLine{"level": tt.level, "msg": "request", "method": tt.method, "route": tt.route, "status": float64(tt.status), "request_id": a.Header.Get("X-Request-Id")}
		if tt.status >= 400 { // and the error
			want["code"], want["error"] = got["code"], got["error"]
			if got["code"] == nil || got["error"] == nil {
				t.Errorf("%s: got %v, want its code and error", name, got)
			}
		}
		for _, more := range []string{"time", "duration_ms", "trace_id", "advice"} {
			delete(got, more)
		}
		if a.StatusCode != tt.status || !maps.Equal(got, want) {
			t.Errorf("%s: got %d and the line %v, want %v and no more", name, a.StatusCode, got, want)
		}
	}
	if n := len(logged(t, w, func(l logLine) bool { return l["msg"] == "request" })) - before; n != len(rows) {
		t.Errorf("got %d lines of %d requests", n, len(rows))
	}
	if strings.Contains(w.Log.String(), needle) {
		t.Error("the log holds a query")
	}
}

func TestOneLinePerLanding(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	nobody, program := w.Browser(), w.Program()
	b := land(t, w, testworld.Merchant)
	who := func(p koubeisim.Person) logLine {
		return logLine{"operator_id": p.OperatorID, "operator_type": p.OperatorType, "partner_id": p.PartnerID}
	}
	check := func(name string, a testworld.Answer, result string, who logLine) {
		t.Helper()
		lines := linesOf(t, w, "landing", a)
		if result == "" {
			if len(lines) != 0 {
				t.Errorf("%s: got %v, want no line", name, lines)
			}
			return
		}
		want := logLine{"level": "INFO", "msg": "landing", "result": result, "request_id": a.Header.Get("X-Request-Id")}
		maps.Copy(want, who)
		if len(lines) != 1 {
			t.Errorf("%s: got %d lines, want one: %v", name, len(lines), lines)
			return
		}
		delete(lines[0], "time")
		if !maps.Equal(lines[0], want) {
			t.Errorf("%s: got %v, want %v", name, lines[0], want)
		}
	}
	link := w.Landing(w.Koubei.Issue(with("2088000000000001")))
	head, _ := http.NewRequest(http.MethodHead, link, nil)
	guess, _ := http.NewRequest(http.MethodGet, link, nil)
	guess.Header.Set("Sec-Purpose", "prefetch")
	check("the hop", nobody.Get(link), "", nil)
	check("a link preview", nobody.Do(head), "", nil)
	check("a prefetch", nobody.Do(guess), "", nil)
	check("landed", nobody.Get(link), "landed", who(with("2088000000000001")))
	check("again", nobody.Get(link), "replayed", who(with("2088000000000001")))
	check("nobody's business", nobody.Get(w.Public+"/session"), "", nil)

	check("a thief", program.Get(link), "code_used", nil)
	check("no code", program.Get(w.Public+w.Config.Web.CallbackPath), "invalid_code", nil)
	check("a made up code", nobody.Get(w.Public+w.Config.Web.CallbackPath+"?code=unheard-of"), "code_not_exist", nil)
	w.Koubei.Next(koubeisim.WrongKey)
	check("a forged answer", program.Get(w.Landing(w.Koubei.Issue(testworld.Sales))), "gateway_untrusted", nil)

	link, page := asked(t, w, b, testworld.ProviderStaff)
	check("the question", page, "asked", logLine{"operator_id": testworld.ProviderStaff.OperatorID, "current_operator_id": testworld.Merchant.OperatorID})
	b.Header.Set("Accept", "application/json")
	check("the question, to a program", b.Get(link), "operator_differs", nil)
	form := answerTo(t, page, "maybe")
	check("no answer", b.Post(switchURL(w), form), "bad_request", nil)
	form.Set("decision", "no")
	check("no", b.Post(switchURL(w), form), "kept", who(testworld.Merchant))
	form.Set("decision", "yes")
	check("yes, too late", b.Post(switchURL(w), form), "switch_expired", nil)
	b.Header.Set("Accept", "text/html")
	_, page = asked(t, w, b, testworld.ProviderStaff)
	check("yes", b.Post(switchURL(w), answerTo(t, page, "yes")), "landed", who(testworld.ProviderStaff))

	signOut(t, w.Service, b)
	_, page = asked(t, w, b, testworld.Sales)
	check("a stranger", page, "asked", logLine{"operator_id": testworld.Sales.OperatorID, "last_known_operator_id": testworld.ProviderStaff.OperatorID})
	check("no to the stranger", b.Post(switchURL(w), formOf(page, "no")), "kept", who(koubeisim.Person{}))

	w.Redis.Freeze()
	check("without Redis", program.Get(w.Public+w.Config.Web.CallbackPath+"?code=x"), "store_unavailable", nil)
	w.Redis.Thaw()

	// The log lines and the metric must agree.
	lines := map[string]float64{}
	for _, l := range logged(t, w, func(l logLine) bool { return l["msg"] == "landing" && l["result"] != "kept" }) {
		lines[l["result"].(string)]++
	}
	if len(lines) < 10 {
		t.Errorf("got the results %v", slices.Sorted(maps.Keys(lines)))
	}
	for result, n := range lines {
		if got := metric(t, w, `koubei_landings_total{result="`+result+`"}`); got != n {
			t.Errorf("%s: got %v lines, and %v by the metric", result, n, got)
		}
	}
}

// ACCESS_LOG selects the requests that have a log line. Failed requests and landings always have one.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	for _, access := range []handler.AccessLog{"", handler.AccessPublic, handler.AccessAll, handler.AccessOff} {
		t.Run(string(access), func(t *testing.T) {
			t.Parallel()
			w := testworld.New(t, administered, func(c *app.Config) { c.Web.AccessLog = access })
			signedIn, nobody := land(t, w, testworld.Provider), w.Program()
			public, all := access != handler.AccessOff, access == handler.AccessAll
			check := func(b *testworld.Browser, method, address string, status int, want bool) {
				t.Helper()
				r, err := http.NewRequest(method, address, nil)
				if err != nil {
					t.Fatal(err)
				}
				a := b.Do(r)
				if a.StatusCode != status {
					t.Errorf("%s %s: got %d, want %d", method, r.URL.Path, a.StatusCode, status)
				}
				// The line is written after the response, and before the next request on the same connection is read.
				barrier := b.Get(r.URL.Scheme + "://" + r.URL.Host + "/nothing")
				linesOf(t, w, "request", barrier)
				// Only a check that is allowed and not logged has no request id.
				if bare := !want && strings.HasSuffix(r.URL.Path, "/auth/verify"); (a.Header.Get("X-Request-Id") == "") != bare {
					t.Errorf("%s %s: got the request id %q", method, r.URL.Path, a.Header.Get("X-Request-Id"))
				}
				lines := logged(t, w, func(l logLine) bool { return l["request_id"] == a.Header.Get("X-Request-Id") && l["msg"] == "request" })
				if (len(lines) == 1) != want || len(lines) > 1 {
					t.Errorf("%s %s: got the lines %v, want one: %t", method, r.URL.Path, lines, want)
				}
			}
			check(signedIn, "GET", w.Public+"/", 200, public)
			check(signedIn, "HEAD", w.Public+"/", 200, public)
			check(nobody, "GET", w.Public+"/session", 401, true)
			check(nobody, "GET", w.Public+"/readyz", 404, true)
			check(signedIn, "GET", w.Internal+"/auth/verify", 200, all)
			check(signedIn, "PROPFIND", w.Internal+"/auth/verify", 200, all)
			check(nobody, "GET", w.Internal+"/auth/verify", 401, true)
			check(signedIn, "GET", w.Internal+"/auth/verify?type=MER", 403, true)
			check(nobody, "GET", w.Internal+"/healthz", 200, all)
			check(nobody, "GET", w.Internal+"/readyz", 200, all)
			check(nobody, "HEAD", w.Internal+"/metrics", 200, all)
			check(nobody, "POST", w.Internal+"/healthz", 404, true)
			link := w.Landing(w.Koubei.Issue(testworld.Provider))
			a := signedIn.Land(link)
			testworld.Eventually(t, 30*time.Second, "the landing has its line", func() error {
				if lines := logged(t, w, func(l logLine) bool { return l["msg"] == "landing" && l["request_id"] == a.Header.Get("X-Request-Id") }); len(lines) != 1 {
					return fmt.Errorf("got %v", lines)
				}
				return nil
			})
			w.Redis.Kill()
			check(signedIn, "GET", w.Internal+"/auth/verify", 503, true)
		})
	}
}

// A client may send a method of any length, but the log line is limited.
func TestALongMethodIsCut(t *testing.T) {
	t.Parallel()
	w := testworld.New(t)
	for _, address := range []string{w.Public + "/", w.Internal + "/auth/verify"} {
		r, err := http.NewRequest(strings.Repeat("M", 50<<10), address, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := w.Program().Do(r)
		if method, _ := linesOf(t, w, "request", a)[0]["method"].(string); len(method) > 32 {
			t.Errorf("%s: got a method of %d bytes", address, len(method))
		}
		r.Method = "UPDATEREDIRECTREF" // the longest registered one
		if got := linesOf(t, w, "request", w.Program().Do(r))[0]["method"]; got != r.Method {
			t.Errorf("%s: got %v, want %s", address, got, r.Method)
		}
	}
}
