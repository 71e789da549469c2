package handler_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"koubei-landing/internal/app"
	"koubei-landing/internal/assertion"
	"koubei-landing/internal/handler"
	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// object is a JSON object.
type object = map[string]any

// described is the OpenAPI document as served. It checks responses.
type described struct {
	document object
	compiler *jsonschema.Compiler
	shown    map[string]bool // operations, as "GET /path", with a successful response
}

func description(t *testing.T, w *testworld.World) *described {
	t.Helper()
	a := w.Program().Get(w.Internal + "/openapi.json")
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("got %d, %v", a.StatusCode, err)
	}
	d := &described{document.(object), jsonschema.NewCompiler(), map[string]bool{}}
	// The document allows further members. Here they are forbidden, so that none is undocumented.
	for _, schema := range d.at("components", "schemas") {
		closeAll(schema)
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", d.document); err != nil {
		t.Fatal(err)
	}
	return d
}

// closeAll forbids members that a schema does not name.
func closeAll(v any) {
	switch v := v.(type) {
	case object:
		if _, ok := v["properties"].(object); ok {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			closeAll(member)
		}
	case []any:
		for _, member := range v {
			closeAll(member)
		}
	}
}

// at returns an object of the document, empty if there is none.
func (d *described) at(names ...string) object {
	here := d.document
	for _, name := range names {
		here, _ = here[name].(object)
	}
	return here
}

// resolve follows a reference.
func (d *described) resolve(t *testing.T, v any) object {
	t.Helper()
	o, _ := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	target := d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	if target == nil {
		t.Errorf("%s leads nowhere", ref)
	}
	return target
}

// valid checks a value against a schema of the document's components.
func (d *described) valid(pointer string, value any) error {
	schema, err := d.compiler.Compile("openapi.json#" + pointer)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// operation returns the operation of a method and a path.
func (d *described) operation(method, path string) (operation object, name string) {
	item := d.at("paths", path)
	for _, m := range []string{method, http.MethodGet} {
		o, ok := item[strings.ToLower(m)].(object)
		if ok && (m == method || method == http.MethodHead || o["x-every-method"] == true) {
			return o, m + " " + path
		}
	}
	return nil, ""
}

// judge checks a response against the document.
func (d *described) judge(t *testing.T, path string, a testworld.Answer) {
	t.Helper()
	method := a.Request.Method
	operation, name := d.operation(method, path)
	if operation == nil {
		t.Errorf("%s %s is not described", method, path)
		return
	}
	responses, _ := operation["responses"].(object)
	response := d.resolve(t, responses[strconv.Itoa(a.StatusCode)])
	if response == nil {
		t.Errorf("%s: %d is not described", name, a.StatusCode)
		return
	}
	d.shown[name] = d.shown[name] || a.StatusCode < 400
	d.judgeHeaders(t, name, response, a)
	if err := d.judgeContent(response, a); err != nil {
		t.Errorf("%s: %d: %v", name, a.StatusCode, err)
	}
}

func (d *described) judgeHeaders(t *testing.T, name string, response object, a testworld.Answer) {
	t.Helper()
	headers, _ := response["headers"].(object)
	for header, ref := range headers {
		values, there := a.Header[http.CanonicalHeaderKey(header)]
		spec := d.resolve(t, ref)
		if !there && spec["required"] == true || len(values) > 1 {
			t.Errorf("%s: %d: %s: got %q", name, a.StatusCode, header, values)
		}
		pointer, _ := ref.(object)["$ref"].(string)
		for _, value := range values {
			if err := d.valid(strings.TrimPrefix(pointer, "#")+"/schema", value); err != nil {
				t.Errorf("%s: %d: %s: %v", name, a.StatusCode, header, err)
			}
		}
	}
	for header := range a.Header {
		if _, ok := headers[header]; !ok && strings.HasPrefix(header, "X-") {
			t.Errorf("%s: %d: %s is not described", name, a.StatusCode, header)
		}
	}
}

func (d *described) judgeContent(response object, a testworld.Answer) error {
	content, _ := response["content"].(object)
	speculative := a.Request.Header.Get("Sec-Purpose") != ""
	if a.Body == "" {
		if len(content) > 0 && a.Request.Method != http.MethodHead && !speculative {
			return fmt.Errorf("no content, want one of %v", slices.Collect(maps.Keys(content)))
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	media, ok := content[mediaType].(object)
	if !ok {
		return fmt.Errorf("%s is not described", mediaType)
	}
	if !strings.HasSuffix(mediaType, "json") {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil {
		return err
	}
	ref, _ := media["schema"].(object)["$ref"].(string)
	if !strings.HasPrefix(ref, "#/components/schemas/") {
		return fmt.Errorf("the schema of %s is none of the components", mediaType)
	}
	if err := d.valid(strings.TrimPrefix(ref, "#"), value); err != nil {
		return fmt.Errorf("%w\nin %s", err, a.Body)
	}
	return nil
}

// row is a request and the status of its response.
type row struct {
	by     *testworld.Browser
	method string
	path   string // as the description has it
	query  string
	status int
	header http.Header
	body   string
}

const (
	callback    = "/koubei/callback"
	ofOperator  = "/admin/operators/{operator_id}/sessions"
	profile     = "/debug/pprof/{profile}"
	friend      = "https://shop.isv.example"
	describedBy = "0123456789abcdef0123456789abcdef" // the administrator's token
)

var (
	asPage    = http.Header{}
	asJSON    = http.Header{"Accept": {"application/json"}, "Sec-Fetch-Mode": nil, "User-Agent": {"curl/8"}}
	bearer    = http.Header{"Authorization": {"Bearer " + describedBy}}
	form      = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}}
	foreign   = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	long      = strings.Repeat("x", 9000)
	oversized = http.Header{"X-A": {long, long, long, long}}
)

// both returns headers together.
func both(one, other http.Header) http.Header {
	all := maps.Clone(one)
	maps.Copy(all, other)
	return all
}

// ask sends the row's request and checks the response.
func (d *described) ask(t *testing.T, w *testworld.World, r row) testworld.Answer {
	t.Helper()
	listener := w.Public
	if _, public := d.at("paths", r.path)["servers"]; !public {
		listener = w.Internal
	}
	path := strings.NewReplacer("{operator_id}", testworld.Provider.OperatorID, "{profile}", "goroutine").Replace(r.path)
	if strings.HasPrefix(r.query, "/") { // the file of /static/{file}
		path, r.query = r.query, ""
	}
	q, err := http.NewRequest(r.method, listener+path+r.query, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(q.Header, r.header)
	a := r.by.Do(q)
	if a.StatusCode != r.status {
		t.Errorf("%s %s%.40s: got %d, want %d", r.method, r.path, r.query, a.StatusCode, r.status)
	}
	d.judge(t, r.path, a)
	return a
}

// queryOf returns the query of a link, with the question mark.
func queryOf(link string) string {
	_, query, _ := strings.Cut(link, "?")
	return "?" + query
}

// errorRows are requests that are refused, for browsers or for programs.
func errorRows(w *testworld.World, b *testworld.Browser, used string, kind http.Header) []row {
	program := w.Program()
	faulty := func(fault koubeisim.Fault) string {
		w.Koubei.Next(fault)
		return queryOf(w.Landing(w.Koubei.Issue(testworld.Sales)))
	}
	return []row{
		{program, "GET", callback, "", 400, kind, ""},
		{program, "GET", callback, "?code=x&app_id=1", 400, kind, ""},
		{program, "GET", callback, used, 410, kind, ""},
		{program, "GET", callback, faulty(koubeisim.AccessDenied), 403, kind, ""},
		{program, "GET", callback, faulty(koubeisim.WrongKey), 502, kind, ""},
		{program, "GET", callback, "?code=unheard-of" + strconv.Itoa(len(kind)), 410, kind, ""},
		{b, "GET", callback, "?code=" + long, 414, kind, ""},
		{b, "GET", callback, "?code=x", 431, both(kind, oversized), ""},
		{b, "POST", callback + "/switch", "", 400, both(kind, form), ""},
		{b, "POST", callback + "/switch", "", 403, both(kind, foreign), ""},
		{b, "POST", callback + "/switch", "", 410, both(kind, form), "decision=yes&landing=x"},
		{b, "POST", callback + "/switch", "", 413, both(kind, form), "x=" + long + long},
		{b, "POST", "/logout", "", 403, both(kind, foreign), ""},
		{b, "POST", "/forget", "", 403, both(kind, foreign), ""},
		{w.Browser(), "GET", "/session", "", 401, kind, ""},
		{b, "GET", "/session", "?x=" + long, 414, kind, ""},
		{b, "GET", "/auth/verify", "?x=" + long, 414, kind, ""},
		{b, "GET", "/auth/verify", "", 431, both(kind, oversized), ""},
	}
}

// publicRows are requests to the public listener by somebody who is signed in for two partners, and by others.
func publicRows(w *testworld.World, b, staff *testworld.Browser) []row {
	nobody := w.Browser()
	rows := []row{
		{nobody, "GET", callback, "?code=x&arrived=" + strconv.FormatInt(w.Clock.Now().Unix(), 10), 403, nil, ""},
		{nobody, "GET", callback, "?code=x", 503, http.Header{"Sec-Purpose": {"prefetch"}}, ""},
		{nobody, "HEAD", callback, "?code=x", 204, nil, ""},
		{b, "GET", "/session", "", 200, http.Header{"Origin": {friend}}, ""},
		{b, "GET", "/static/{file}", "/static/none.css", 404, nil, ""},
		{w.Browser(), "POST", "/logout", "", 204, asJSON, ""},
		{w.Browser(), "POST", "/forget", "", 204, asJSON, ""},
		{w.Browser(), "POST", "/forget", "", 303, nil, ""},
	}
	for _, method := range []string{"GET", "HEAD"} {
		rows = append(rows, []row{
			{b, method, "/session", "", 200, nil, ""},
			{b, method, "/session", "?partner_id=" + testworld.Provider.PartnerID, 200, nil, ""},
			{staff, method, "/session", "", 200, nil, ""},
			{b, method, "/session", "?partner_id=1", 403, nil, ""},
			{b, method, "/", "", 200, nil, ""},
			{nobody, method, "/", "", 200, nil, ""},
			{nobody, method, "/.well-known/jwks.json", "", 200, nil, ""},
		}...)
		for _, page := range plainPages {
			rows = append(rows, row{nobody, method, page, "", 200, nil, ""})
		}
	}
	return rows
}

// staticRows are requests for the files that a page names.
func staticRows(b *testworld.Browser, page string) (rows []row) {
	for _, m := range regexp.MustCompile(`"(/static/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		rows = append(rows, row{b, "GET", "/static/{file}", m[1], 200, nil, ""})
	}
	return rows
}

// verifyRows are requests of proxies.
func verifyRows(w *testworld.World, b, staff *testworld.Browser) []row {
	nobody := w.Browser()
	rows := []row{
		{b, "GET", "/auth/verify", "?type=PROVIDER,MER&partner_id=" + testworld.Provider.PartnerID, 200, nil, ""},
		{staff, "GET", "/auth/verify", "?audience=reports", 200, nil, ""},
		{nobody, "GET", "/auth/verify", "", 401, nil, ""},
		{nobody, "GET", "/auth/verify", "?redirect=1", 303, nil, ""},
		{b, "GET", "/auth/verify", "?type=MER", 403, nil, ""},
		{b, "GET", "/auth/verify", "", 403, http.Header{"X-Koubei-Select-Partner": {"1"}}, ""},
	}
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PROPFIND"} {
		rows = append(rows, row{b, method, "/auth/verify", "", 200, nil, ""})
	}
	return rows
}

// operationRows are requests of operators and their tools. The last ends the provider's sessions.
func operationRows(b *testworld.Browser) []row {
	return []row{
		{b, "GET", "/healthz", "", 200, nil, ""},
		{b, "GET", "/readyz", "", 200, nil, ""},
		{b, "GET", "/metrics", "", 200, nil, ""},
		{b, "GET", "/metrics", "", 200, http.Header{"Accept": {"application/openmetrics-text;version=1.0.0"}}, ""},
		{b, "GET", "/openapi.json", "", 200, nil, ""},
		{b, "GET", ofOperator, "", 200, bearer, ""},
		{b, "GET", ofOperator, "", 401, nil, ""},
		{b, "DELETE", ofOperator, "", 401, nil, ""},
		{b, "GET", "/debug/pprof/", "", 401, nil, ""},
		{b, "GET", "/debug/pprof/", "", 200, bearer, ""},
		{b, "GET", profile, "", 200, bearer, ""},
		{b, "GET", profile, "?debug=1", 200, bearer, ""},
		{b, "GET", "/debug/pprof/symbol", "", 200, bearer, ""},
		{b, "GET", "/debug/pprof/trace", "?seconds=0.01", 200, bearer, ""},
		{b, "GET", "/debug/pprof/profile", "?seconds=1", 200, bearer, ""},
		{b, "DELETE", ofOperator, "", 200, bearer, ""},
	}
}

// outageRows are requests while Redis is away, for browsers or for programs.
func outageRows(w *testworld.World, kind http.Header) []row {
	p, token := w.Program(), both(kind, http.Header{"Cookie": {"koubei_session=" + strings.Repeat("A", 43)}})
	return []row{
		{p, "GET", callback, "?code=x", 503, kind, ""},
		{p, "GET", "/session", "", 503, token, ""},
		{p, "POST", "/logout", "", 503, token, ""},
		{p, "GET", "/auth/verify", "?redirect=1", 503, token, ""},
		{p, "GET", "/readyz", "", 503, nil, ""},
		{p, "GET", ofOperator, "", 503, bearer, ""},
		{p, "DELETE", ofOperator, "", 503, bearer, ""},
	}
}

func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, signing(t), func(c *app.Config) {
		c.Web.AdminToken, c.Web.ForwardCode, c.Web.CORSOrigins = describedBy, true, []string{friend}
	})
	d := description(t, w)
	askAll := func(rows []row) {
		t.Helper()
		for _, r := range rows {
			d.ask(t, w, r)
		}
	}
	b, staff := w.Browser(), w.Browser()
	used := queryOf(w.Landing(w.Koubei.Issue(testworld.Provider)))
	hop := d.ask(t, w, row{b, "GET", callback, used, 303, nil, ""})
	d.ask(t, w, row{b, "GET", callback, queryOf(hop.Header.Get("Location")), 303, nil, ""})
	staff.Land(w.Landing(w.Koubei.Issue(testworld.MerchantStaff)))
	b.Land(w.Landing(w.Koubei.Issue(with("")))) // no partner

	askAll(errorRows(w, b, used, asPage))
	askAll(errorRows(w, b, used, asJSON))

	other := queryOf(w.Landing(w.Koubei.Issue(testworld.Merchant)))
	question := d.ask(t, w, row{b, "GET", callback, other, 200, nil, ""})
	no := fields(question.Body)
	no.Set("decision", "no")
	d.ask(t, w, row{b, "GET", callback, other, 409, asJSON, ""})
	d.ask(t, w, row{b, "POST", callback + "/switch", "", 303, form, no.Encode()})

	askAll(publicRows(w, b, staff))
	askAll(staticRows(b, b.Get(w.Public+"/").Body))
	askAll(verifyRows(w, b, staff))
	askAll(operationRows(b))
	d.ask(t, w, row{staff, "POST", "/logout", "", 303, nil, ""})

	w.Redis.Kill()
	awaitReadyz(t, w, http.StatusServiceUnavailable)
	askAll(outageRows(w, asPage))
	askAll(outageRows(w, asJSON))

	for path, item := range d.at("paths") {
		for _, method := range methods(item) {
			if name := method + " " + path; !d.shown[name] {
				t.Errorf("%s was only checked with errors: add a request to plainPages, publicRows or operationRows", name)
			}
		}
	}
}

// signing turns on assertions.
func signing(t *testing.T) func(*app.Config) {
	return func(c *app.Config) {
		c.Assertions = assertion.Config{Keys: newKeys(t), Audiences: []string{c.Web.PublicURL.String(), "reports"}, TTL: time.Minute}
	}
}

func newKeys(t *testing.T) []crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []crypto.Signer{ec, ed}
}

// fields returns the hidden fields of a page's form.
func fields(page string) url.Values {
	values := url.Values{}
	for input := range strings.SplitSeq(page, "<input ") {
		name, ok := attribute(input, "name")
		value, _ := attribute(input, "value")
		if ok {
			values.Set(name, value)
		}
	}
	return values
}

func attribute(tag, name string) (string, bool) {
	_, rest, ok := strings.Cut(tag, name+`="`)
	value, _, closed := strings.Cut(rest, `"`)
	return value, ok && closed
}

func TestResponsesMatchOpenAPIWithoutAdministration(t *testing.T) {
	t.Parallel()
	w := testworld.New(t, limited(1))
	d, p := description(t, w), w.Program()
	for path := range d.at("paths") {
		if strings.HasPrefix(path, "/admin/") || strings.HasPrefix(path, "/debug/") {
			a := p.Get(w.Internal + strings.NewReplacer("{operator_id}", "1", "{profile}", "heap").Replace(path))
			if a.StatusCode != http.StatusNotFound {
				t.Errorf("%s: got %d, want 404", path, a.StatusCode)
			}
			d.judge(t, path, a)
		}
	}
	p.Land(w.Landing(w.Koubei.Issue(testworld.Sales)))
	limited := w.Program().Get(w.Landing(w.Koubei.Issue(testworld.Sales)))
	if limited.StatusCode != http.StatusTooManyRequests {
		t.Errorf("got %d, want 429", limited.StatusCode)
	}
	d.judge(t, w.Config.Web.CallbackPath, limited)
	verified := p.Get(w.Internal + "/auth/verify")
	if verified.StatusCode != http.StatusOK || verified.Header.Get("X-Koubei-Assertion")+verified.Header.Get("X-Koubei-Auth-Code") != "" {
		t.Errorf("got %d %v, want neither assertion nor code", verified.StatusCode, verified.Header)
	}
	d.judge(t, "/auth/verify", verified)
}

// methods returns the methods that a path item describes.
func methods(item any) []string {
	var names []string
	for name := range item.(object) {
		if name := strings.ToUpper(name); slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}, name) {
			names = append(names, name)
		}
	}
	return names
}

// Every route is described, and every description is a route: on the public listener with and without a base path, by chi's
// list of routes; on the internal listener by the source code, because a ServeMux has no list.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/landing"} {
		t.Run("base "+base, func(t *testing.T) {
			origin := "https://isv.example"
			u, err := url.Parse(origin + base)
			if err != nil {
				t.Fatal(err)
			}
			w := testworld.New(t, func(c *app.Config) {
				c.Web.PublicURL, c.Web.CallbackPath = u, "/arrive"
				c.Session.Cookie.Name = "who"
			})
			d := description(t, w)
			got, want := describedRoutes(t, d, origin), publicRoutes(t, u, base)
			want = append(want, internalRoutes(t)...)
			slices.Sort(want)
			if diff := difference(got, want); diff != "" {
				t.Errorf("correct paths in openapi.json:\n%s", diff)
			}
			if name := d.at("components", "securitySchemes", "session")["name"]; name != "who" {
				t.Errorf("got the cookie %v, want the setting's", name)
			}
		})
	}
}

// difference says what the document lacks and what only the document has; it returns an empty string if both agree.
func difference(described, existing []string) string {
	var diff []string
	for _, name := range existing {
		if !slices.Contains(described, name) {
			diff = append(diff, "not described: "+name)
		}
	}
	for _, name := range described {
		if !slices.Contains(existing, name) {
			diff = append(diff, "does not exist: "+name)
		}
	}
	return strings.Join(diff, "\n")
}

// describedRoutes returns the document's routes, as "public GET /path". HEAD is implied by GET.
func describedRoutes(t *testing.T, d *described, origin string) []string {
	t.Helper()
	var routes []string
	for path, item := range d.at("paths") {
		listener := "internal"
		if servers, ok := item.(object)["servers"].([]any); ok {
			listener = "public"
			if len(servers) != 1 || servers[0].(object)["url"] != origin {
				t.Errorf("%s: got the servers %v, want %s", path, servers, origin)
			}
		}
		for _, method := range methods(item) {
			if operation := item.(object)[strings.ToLower(method)].(object); operation["x-every-method"] == true {
				method = "ANY"
			}
			routes = append(routes, listener+" "+method+" "+path)
			if listener == "public" && method == http.MethodGet && item.(object)["head"] == nil {
				routes = append(routes, "public HEAD "+path)
			}
		}
	}
	slices.Sort(routes)
	return routes
}

func publicRoutes(t *testing.T, u *url.URL, base string) []string {
	t.Helper()
	h, err := handler.New(handler.Options{Config: handler.Config{Targets: handler.Targets{PublicURL: u, CallbackPath: "/arrive"}}})
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	err = chi.Walk(h.Public().(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if route != base || base == "" { // the identity page's address without its slash
			routes = append(routes, "public "+method+" "+strings.Replace(route, "/static/*", "/static/{file}", 1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func internalRoutes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "routes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	routes := []string{"internal ANY /auth/verify"} // Internal serves it before the mux
	ast.Inspect(file, func(n ast.Node) bool {
		pattern, ok := muxPattern(n)
		if !ok || pattern == "/" { // the catch-all is not a route
			return true
		}
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "ANY", pattern
		}
		routes = append(routes, "internal "+method+" "+path)
		if path == "/debug/pprof/" {
			routes = append(routes, "internal "+method+" /debug/pprof/{profile}") // the index serves them too
		}
		return true
	})
	if len(routes) < 10 {
		t.Fatalf("got %v, want the internal listener's routes", routes)
	}
	return routes
}

// muxPattern returns the pattern of a call m.Handle or m.HandleFunc.
func muxPattern(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return "", false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	mux, ok := selector.X.(*ast.Ident)
	literal, isLiteral := call.Args[0].(*ast.BasicLit)
	if !ok || mux.Name != "m" || !strings.HasPrefix(selector.Sel.Name, "Handle") || !isLiteral {
		return "", false
	}
	pattern, err := strconv.Unquote(literal.Value)
	return pattern, err == nil
}

// The codes in the schema of problems are those of the table of errors.
func TestEveryCodeIsDescribed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if row, ok := n.(*ast.CompositeLit); ok && len(row.Elts) == 6 {
			if code, ok := row.Elts[1].(*ast.BasicLit); ok {
				want = append(want, strings.Trim(code.Value, `"`))
			}
		}
		return true
	})
	d := description(t, testworld.New(t))
	for _, code := range d.at("components", "schemas", "Problem", "properties", "code")["enum"].([]any) {
		got = append(got, code.(string))
	}
	if len(want) < 30 {
		t.Fatalf("got %d rows in problem.go, want 30 or more", len(want))
	}
	if diff := difference(got, want); diff != "" {
		t.Errorf("correct the values of Problem's code in openapi.json:\n%s", diff)
	}
}

// Every reference can be resolved, every component is used, and operation ids are unique.
func TestOpenAPIIsConsistent(t *testing.T) {
	t.Parallel()
	d := description(t, testworld.New(t))
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				d.resolve(t, v)
				used[ref] = true
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	walk(d.document)
	names := map[string]string{}
	for path, item := range d.at("paths") {
		for _, method := range methods(item) {
			operation := item.(object)[strings.ToLower(method)].(object)
			id, _ := operation["operationId"].(string)
			if id == "" || names[id] != "" || operation["summary"] == nil {
				t.Errorf("%s %s: got operationId %q, which %s has too, and the summary %v", method, path, id, names[id], operation["summary"])
			}
			names[id] = path
		}
	}
	for _, kind := range []string{"headers", "parameters", "responses", "schemas"} {
		for name := range d.at("components", kind) {
			if !used["#/components/"+kind+"/"+name] {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
	for name := range d.at("components", "schemas") {
		if _, err := d.compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
