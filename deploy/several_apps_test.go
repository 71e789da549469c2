package deploy_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"koubei-landing/internal/testworld"
	"koubei-landing/koubeisim"
)

// instance is one of the applications of docs/several-apps.md: its koubeisim, and the real program with the page's
// settings.
type instance struct {
	*member
	koubei *koubeisim.Koubei
	home   string // where a landing redirects to
}

// several is the site of docs/several-apps.md.
type several struct {
	t                  *testing.T
	front              string // nginx, with the scheme
	redis              *testworld.Redis
	app                *echo
	world              *testworld.World // for its browsers
	provider, merchant *instance
}

const severalApps = "docs/several-apps.md"

// startSeveral runs the page: its settings, its commands and its changes of the nginx recipe, with other addresses.
func startSeveral(t *testing.T) *several {
	t.Helper()
	front := "127.0.0.1:" + strconv.Itoa(testworld.StablePort(t))
	s := &several{t: t, front: "http://" + front, redis: testworld.StartRedis(t), app: &echo{}, world: &testworld.World{T: t, Log: &testworld.Log{}}}
	dir := t.TempDir()
	addresses := map[string]string{
		"https://isv.example": s.front, "127.0.0.1:6379": s.redis.Addr(), "/etc/koubei-landing": dir,
	}
	for _, listener := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:9090", "127.0.0.1:9091"} {
		addresses[listener] = "127.0.0.1:" + strconv.Itoa(testworld.StablePort(t))
	}
	bin := programs(t)
	s.provider = s.prepare("provider", bin, dir, addresses)
	s.merchant = s.prepare("merchant", bin, dir, addresses)
	s.checkSettings(bin, dir)
	for _, i := range []*instance{s.provider, s.merchant} {
		i.start()
		t.Cleanup(i.kill)
	}
	s.startNginx(front, addresses)
	return s
}

// blocksOf returns the page's blocks of a kind that contain a text, without the indentation of their list.
func blocksOf(t *testing.T, info, text string) []string {
	t.Helper()
	var texts []string
	for _, b := range blocks(t) {
		if b.page == severalApps && b.info == info && strings.Contains(b.text, text) {
			texts = append(texts, regexp.MustCompile("(?m)^   ").ReplaceAllString(b.text, ""))
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no block %q with %q", severalApps, info, text)
	}
	return texts
}

func inPlace(addresses map[string]string, text string) string {
	var pairs []string
	for usual, here := range addresses {
		pairs = append(pairs, usual, here)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// prepare writes an instance's file of settings and its keys.
func (s *several) prepare(name, bin, dir string, addresses map[string]string) *instance {
	s.t.Helper()
	env := blocksOf(s.t, "text", "SESSION_COOKIE_NAME=koubei_"+name+"\n")[0]
	id := regexp.MustCompile(`(?m)^ALIPAY_APP_ID=(.*)$`).FindStringSubmatch(env)[1]
	koubei, err := koubeisim.New(koubeisim.Options{AppID: id})
	if err != nil {
		s.t.Fatal(err)
	}
	gateway := httptest.NewServer(koubei.Gateway())
	s.t.Cleanup(gateway.Close)
	env = inPlace(addresses, env) + "ALIPAY_GATEWAY_URL=" + gateway.URL + "\n"
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		s.t.Fatal(err)
	}
	write(s.t, filepath.Join(dir, name, "alipay-app-private-key"), koubei.AppPrivateKey())
	write(s.t, filepath.Join(dir, name, "alipay-public-key"), koubei.AlipayPublicKey())
	values := map[string]string{}
	m := &member{t: s.t, name: name, program: filepath.Join(bin, "server"), out: &testworld.Log{}}
	for line := range strings.Lines(env) {
		setting, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		wantSetting(s.t, setting)
		values[setting] = value
		m.env = append(m.env, setting+"="+value)
	}
	write(s.t, filepath.Join(dir, name+".env"), env)
	m.public, m.internal = "http://"+values["PUBLIC_LISTEN"], "http://"+values["INTERNAL_LISTEN"]
	secrets := m.secrets()
	m.keptOut = func() []string { return slices.Concat(secrets, koubei.Issued(), s.world.Log.Secrets()) }
	if err := koubei.SetLandingURL(s.front + values["CALLBACK_PATH"]); err != nil {
		s.t.Fatal(err)
	}
	return &instance{m, koubei, values["HOME_URL"]}
}

// checkSettings runs the page's commands.
func (s *several) checkSettings(bin, dir string) {
	s.t.Helper()
	for _, commands := range blocksOf(s.t, "sh by TestSeveralApps", "") {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(commands, "/etc/koubei-landing", dir))
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if n := strings.Count(string(out), "failures: 0"); err != nil || n != 2 {
			s.t.Fatalf("got %d checks without a failure, %v:\n%s", n, err, out)
		}
	}
}

// startNginx runs the recipe with the page's changes.
func (s *several) startNginx(front string, addresses map[string]string) {
	s.t.Helper()
	changes := blocksOf(s.t, "nginx", "")
	if len(changes) == 0 || len(changes)%2 != 0 {
		s.t.Fatalf("got %d nginx blocks, want pairs of old and new", len(changes))
	}
	replaced := map[string]string{"listen 80;": "listen " + front + ";"}
	for pair := range slices.Chunk(changes, 2) {
		replaced[strings.TrimSuffix(pair[0], "\n")] = strings.TrimSuffix(pair[1], "\n")
	}
	conf := fill(s.t, slurp(s.t, "nginx/koubei.conf"), replaced)
	dir := s.t.TempDir()
	access := filepath.Join(dir, "access.log")
	app, _ := serve(s.t, s.app, settings{})
	conf = strings.NewReplacer("127.0.0.1:3000", app, "/var/log/nginx/koubei.access.log", access).Replace(inPlace(addresses, conf))
	write(s.t, filepath.Join(dir, "koubei.conf"), conf)
	p := startNginxIn(s.t, front, dir, "error_log stderr info;", "include koubei.conf;")
	p.files = []string{access}
	s.t.Cleanup(func() {
		testworld.CheckLog(s.t, p.log(s.t), slices.Concat(s.provider.koubei.Issued(), s.merchant.koubei.Issued(), s.world.Log.Secrets())...)
	})
}

// land enters an application and checks the home page.
func (s *several) land(b *testworld.Browser, i *instance, p koubeisim.Person) {
	s.t.Helper()
	a := b.Land(i.koubei.LandingURL(i.koubei.Issue(p), koubeisim.Observed))
	want := strings.ReplaceAll(i.home, "{partner_id}", p.PartnerID)
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != want {
		s.t.Fatalf("%s: got %d to %q, want 303 to %q:\n%.300s", i.name, a.StatusCode, got, want, a.Body)
	}
	s.passes(b, i, want, p)
}

// passes checks that the application responds with the identity from this instance.
func (s *several) passes(b *testworld.Browser, i *instance, path string, p koubeisim.Person) {
	s.t.Helper()
	a := b.Get(s.front + path)
	var got seen
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		s.t.Fatalf("%s: got %d, not the application's response: %.300s", path, a.StatusCode, a.Body)
	}
	wantIdentity(s.t, got, map[string]string{"X-Koubei-App-Id": i.koubei.AppID(), "X-Koubei-Operator-Id": p.OperatorID, "X-Koubei-Operator-Type": p.OperatorType,
		"X-Koubei-Partner-Id": p.PartnerID, "X-Koubei-Shop-Ids": p.ShopIDs, "X-Koubei-Assertion": "", "X-Koubei-Auth-Code": ""})
}

// stops checks the status and that the request does not reach the application.
func (s *several) stops(b *testworld.Browser, path string, status int, location string) {
	s.t.Helper()
	before := s.app.count()
	a := b.Get(s.front + path)
	to, err := a.Location()
	if a.StatusCode != status || location != "" && (err != nil || to.String() != s.front+location) {
		s.t.Errorf("%s: got %d to %v, want %d to %q:\n%.300s", path, a.StatusCode, to, status, location, a.Body)
	}
	if s.app.count() != before {
		s.t.Errorf("%s reached the application", path)
	}
}

func (s *several) post(b *testworld.Browser, path string) {
	s.t.Helper()
	if a := b.Post(s.front+path, nil); a.StatusCode != http.StatusSeeOther {
		s.t.Errorf("%s: got %d, want 303", path, a.StatusCode)
	}
}

func TestSeveralApps(t *testing.T) {
	t.Parallel()
	s := startSeveral(t)
	b := s.world.Browser()
	s.stops(b, "/provider/shop", http.StatusSeeOther, "/provider/koubei/signin")
	s.stops(b, "/merchant/orders", http.StatusSeeOther, "/merchant/koubei/signin")

	s.land(b, s.provider, testworld.Provider)
	s.stops(b, "/merchant/orders", http.StatusSeeOther, "/merchant/koubei/signin")
	s.land(b, s.merchant, testworld.Merchant) // another operator, without a question, because it is another application
	s.passes(b, s.provider, "/provider/shop", testworld.Provider)
	s.passes(b, s.merchant, "/merchant/orders", testworld.Merchant)
	for _, path := range []string{"/", "/shop", "/Provider/shop", "/providers/shop", "/provider", "/koubei/", "/koubei/callback?code=x", "/auth/verify", "/_koubei/verify"} {
		if a := b.Get(s.front + path); a.StatusCode < 300 || a.StatusCode == http.StatusSeeOther {
			t.Errorf("%s: got %d, want it refused", path, a.StatusCode)
		}
	}
	s.stops(b, "/provider/../merchant/orders", http.StatusBadRequest, "")

	// Links with the other application's id are refused, and their codes still work in their own application.
	for at, other := range map[*instance]*instance{s.provider: s.merchant, s.merchant: s.provider} {
		person := map[*instance]koubeisim.Person{s.provider: testworld.Provider, s.merchant: testworld.Merchant}[other]
		code := other.koubei.Issue(person)
		link := other.koubei.LandingURL(code, koubeisim.Observed)
		wrong := strings.Replace(link, "/"+other.name+"/", "/"+at.name+"/", 1)
		json := s.world.Browser()
		json.Header.Set("Accept", "application/json")
		if a := json.Get(wrong); a.StatusCode != http.StatusBadRequest || a.Problem() != "wrong_app" {
			t.Errorf("%s's link at %s: got %d %q, want wrong_app", other.name, at.name, a.StatusCode, a.Problem())
		}
		if at.koubei.CallsFor(code)+other.koubei.CallsFor(code) != 0 {
			t.Error("the code was sent")
		}
		if a := s.world.Browser().Land(link); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s's link at its own address: got %d, want 303", other.name, a.StatusCode)
		}
	}

	// Signing out and forgetting apply to one application only.
	s.post(b, "/provider/koubei/logout")
	s.stops(b, "/provider/shop", http.StatusSeeOther, "/provider/koubei/signin")
	s.passes(b, s.merchant, "/merchant/orders", testworld.Merchant)
	s.post(b, "/merchant/koubei/logout")
	s.post(b, "/merchant/koubei/forget")
	s.land(b, s.merchant, testworld.MerchantStaff) // this application remembers nobody
	if a := b.Land(s.provider.koubei.LandingURL(s.provider.koubei.Issue(testworld.ProviderStaff), koubeisim.Observed)); a.StatusCode != http.StatusOK || !strings.Contains(a.Body, "••••7652") {
		t.Errorf("got %d, want the question: the other application remembers", a.StatusCode)
	}

	keys, err := s.redis.Client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "koubei:"+s.provider.koubei.AppID()+":") && !strings.HasPrefix(key, "koubei:"+s.merchant.koubei.AppID()+":") {
			t.Errorf("the key %q belongs to neither application", key)
		}
	}
}
