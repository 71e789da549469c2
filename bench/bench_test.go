package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/session"
	"koubei-landing/internal/testworld"
)

func (b *bench) check(name string, s *service) *target {
	return &target{name, s.pid, s.internal, 200, get(s.internal, "/auth/verify", b.cookie)}
}

// landings is a target whose every request is another browser that arrives with another code.
func (b *bench) landings(s *service) *target {
	headers := "\r\nHost: " + s.public + "\r\n" + strings.Join(navigation, "\r\n") + "\r\nCookie: " + b.arrival + "="
	made := strconv.FormatInt(time.Now().Unix(), 36)
	return &target{"landing", s.pid, s.public, 303, func() []byte {
		n := b.codes.Add(1)
		return fmt.Appendf(nil, "GET %s%s%s.%022d\r\n\r\n", b.link(fmt.Sprintf("bench%027d", n)), " HTTP/1.1"+headers, made, n)
	}}
}

func TestChecks(t *testing.T) {
	b := newBench(t)
	run(b.dir, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out assertion.pem")
	plain, withCache, withKeys := b.service(), b.service("SESSION_CACHE_TTL=5m"), b.service("ASSERTION_KEYS_FILE="+filepath.Join(b.dir, "assertion.pem"))
	bare, empty := b.limit("handler with one GET", "get", b.redis.URL(), b.key), b.limit("empty handler", "empty")
	check, cached, asserted := b.check("check", plain), b.check("check, cached", withCache), b.check("check, assertion", withKeys)
	identity := &target{"`/session`", check.pid, plain.public, 200, get(plain.public, "/session", b.cookie)}
	hop := &target{"first hop", check.pid, plain.public, 303, get(plain.public, b.link("0123456789abcdef0123456789abcdef"), navigation...)}
	shown, conns := []*target{bare, check, cached}, []int{4, 32, 256}
	rows := []row{
		{load{check, 4}, load{bare, 4}, 0.85, 1.15, 0}, {load{check, 32}, load{bare, 32}, 1, 1, 0}, {load{check, 256}, load{bare, 256}, 1.1, 0.85, 0},
		{load{cached, 4}, load{bare, 4}, 0, 0, 0}, {load{cached, 32}, load{bare, 32}, 1.9, 0.55, 0}, {load{cached, 256}, load{bare, 256}, 0, 0, 0},
		{load{asserted, 32}, load{check, 32}, 0.95, 0, 0}, {load{identity, 32}, load{check, 32}, 0, 0, 0}, {load{hop, 32}, load{empty, 32}, 0, 0, 0},
	}
	if *oauth2proxy != "" {
		other := b.oauth2Proxy()
		shown = append(shown, other)
		for _, n := range conns {
			rows = append(rows, row{load{other, n}, load{bare, n}, 0, 0, 0})
		}
		rows = append(rows, row{load{check, 32}, load{other, 32}, 2, 0, 0}, row{load{cached, 32}, load{other, 32}, 3.5, 0, 0})
	}
	samples := b.rounds(rows)
	table("checks", rows, samples)
	chart("checks", panels(shown, conns, samples, map[int]string{rate: "requests per second", cpu: "CPU per request, µs"})...)
	chart("latency", panels(shown, conns, samples, map[int]string{p50: "p50, ms", p99: "p99, ms"})...)
}

func TestDistance(t *testing.T) {
	b := newBench(t)
	var rows []row
	for _, away := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
		url := "redis://" + b.delay(b.redis.Addr(), away) + "/0"
		check := b.check(fmt.Sprintf("check, Redis %s away", away), b.service("REDIS_URL="+url))
		bare := b.limit("handler with one GET", "get", url, b.key)
		for _, n := range []int{8, 32} {
			rows = append(rows, row{load{check, n}, load{bare, n}, 0.95, 0, 1.1})
		}
	}
	table("distance", rows, b.rounds(rows))
}

// TestLandings measures landings between as many bare signatures.
func TestLandings(t *testing.T) {
	b := newBench(t)
	s := b.service()
	landings := int(*duration/time.Millisecond) / 2
	var all, alone, bare []sample
	for range *roundsFlag {
		before := signatures(landings / 4)
		all = append(all, measure(load{b.landings(s), 32}, 0, landings))
		alone = append(alone, measure(load{b.landings(s), 1}, 0, landings))
		bare = append(bare, sample{cpu: (before + signatures(landings/4)) / 2})
	}
	block("landing", "| landing | measured | ratio | goal |\n| --- | ---: | ---: | --- |\n"+
		fmt.Sprintf("| CPU, against RSA sign + verify | %.0f : %.0f µs |%s\n", median(all, cpu), median(bare, cpu), verdict(ratio(all, bare, cpu), 1.25, true))+
		fmt.Sprintf("| p99 against p50, one client | %.2f : %.2f ms |%s\n", median(alone, p99), median(alone, p50), verdict(median(alone, p99)/median(alone, p50), 3, true)))
}

// TestProxies measures a page behind each proxy's recipe, with the cache, against the same configuration without the check.
func TestProxies(t *testing.T) {
	b := newBench(t)
	s, app := b.service("SESSION_CACHE_TTL=5m"), b.limit("application", "page")
	var rows []row
	for _, p := range recipes {
		page := get("isv.example", "/", b.cookie)
		checked := &target{p.program + ", cached", 0, b.proxy(p, s, app.addr, nil), 200, page}
		open := &target{"the same without the check", 0, b.proxy(p, s, app.addr, p.open), 200, page}
		rows = append(rows, row{load{checked, 64}, load{open, 64}, p.goal, 0, 0})
	}
	table("proxies", rows, b.rounds(rows))
}

// recipe is a proxy with its file in deploy/. edits are old and new texts in turn, open those that take the check out.
type recipe struct {
	program, file     string
	args, edits, open []string
	goal              float64
}

var recipes = []recipe{
	{"nginx", "nginx/koubei.conf", []string{"-e", "stderr", "-p", ".", "-c", "main.conf"},
		[]string{"listen 80;", "listen FRONT;", "/var/log/nginx/koubei.access.log", "access.log"},
		[]string{"auth_request /_koubei/verify;", "auth_request off;"}, 0.8},
	{"caddy", "caddy/Caddyfile", []string{"run", "--config", "config", "--adapter", "caddyfile"},
		[]string{"admin localhost:2019", "admin off", "\nisv.example {", "\nhttp://isv.example:PORT {", "\n:443 {", "\nhttp://:PORT {"},
		[]string{"import koubei_check @named \"&partner_id={query.partner_id}\"\n", "\n", "import koubei_check @unnamed \"\"\n", "\n"}, 0.5},
	{"haproxy", "haproxy/haproxy.cfg", []string{"-db", "-f", "config"},
		[]string{"bind :80 ", "bind FRONT ", "/etc/haproxy/koubei.lua", "DEPLOY/haproxy/koubei.lua", "lua.koubei 127.0.0.1:9091", "lua.koubei CHECK", "bind 127.0.0.1:9091", "bind CHECK"},
		[]string{"bool(true) if service\n", "bool(true)\n"}, 0.35},
}

// nginxMain surrounds the recipe, as Debian's nginx.conf does.
const nginxMain = "daemon off;\nworker_processes auto;\npid pid;\nevents { worker_connections 1024; }\nhttp {\naccess_log rest.log;\ninclude config;\n}\n"

// proxy starts a recipe and returns where it listens.
func (b *bench) proxy(p recipe, s *service, app string, open []string) string {
	deploy, dir, front, inner := must(filepath.Abs("../deploy")), b.t.TempDir(), b.free(), b.free()
	text := string(must(os.ReadFile(filepath.Join(deploy, p.file))))
	edits := slices.Concat(open, p.edits, []string{"127.0.0.1:8080", s.public, "127.0.0.1:9090", s.internal, "127.0.0.1:3000", app})
	for pair := range slices.Chunk(edits, 2) {
		if !strings.Contains(text, pair[0]) {
			b.t.Fatalf("%s: no %q", p.file, pair[0])
		}
		text = strings.Replace(text, pair[0], pair[1], 1)
	}
	_, port, _ := net.SplitHostPort(front)
	text = strings.NewReplacer("FRONT", front, "PORT", port, "CHECK", inner, "DEPLOY", deploy).Replace(text)
	check(os.WriteFile(filepath.Join(dir, "config"), []byte(text), 0o600))
	check(os.WriteFile(filepath.Join(dir, "main.conf"), []byte(nginxMain), 0o600))
	b.start(front, dir, nil, p.program, p.args...)
	return front
}

// books returns the counters of every node's INFO, added up.
func books(ctx context.Context, nodes []*testworld.Redis) map[string]float64 {
	sums := map[string]float64{}
	for _, node := range nodes {
		for line := range strings.Lines(must(node.Client.Info(ctx, "stats", "cpu").Result())) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				sums[name] += n
			}
		}
	}
	return sums
}

// copies stores n copies of the run's session in a Redis, each with its own token and these partners. It returns the requests
// that check them in turn.
func (b *bench) copies(ctx context.Context, in redis.UniversalClient, n, partners int) func() []byte {
	var record map[string]any
	check(json.Unmarshal(must(b.redis.Client.Get(ctx, b.key).Bytes()), &record))
	first, _ := record["entries"].([]any)[0].(map[string]any)
	var entries []any
	for i := range partners {
		entry := maps.Clone(first)
		entry["partner_id"] = fmt.Sprintf("2088%012d", i)
		entries = append(entries, entry)
	}
	record["entries"] = entries
	raw := must(json.Marshal(record))
	requests := make([][]byte, n)
	pipe := in.Pipeline()
	for i := range requests {
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails
		token := base64.RawURLEncoding.EncodeToString(random[:])
		requests[i] = get("koubei.internal", "/auth/verify", "Cookie: koubei_session="+token)()
		pipe.Set(ctx, "koubei:"+b.appID+":session:"+session.Token(token).Hash(), raw, time.Hour)
		if pipe.Len() == 1000 || i == n-1 {
			must(pipe.Exec(ctx))
		}
	}
	var next atomic.Int64 // several loads may share it
	return func() []byte { return requests[int(next.Add(1))%n] }
}

// TestMemory measures the resident memory after two checks of each of many sessions.
func TestMemory(t *testing.T) {
	b := newBench(t)
	text := "| sessions checked | partners each | memory | with the cache | goal |\n| ---: | ---: | ---: | ---: | --- |\n"
	counts := []int{1_000, 10_000, 100_000}
	if *roundsFlag == 1 {
		counts = []int{10, 100, 1000}
	}
	grown := panel{"resident memory, MiB", "sessions checked", counts, []string{"check", "check, cached"}, make([][]float64, 2)}
	for i, n := range append(counts, counts[1]) {
		partners, goal := 1, "|"
		if i == len(counts) {
			partners = 32
		}
		var got [2]float64
		for i, setting := range []string{"SESSION_CACHE_TTL=0", "SESSION_CACHE_TTL=5m"} {
			s := b.service(setting)
			target := b.check("check", s)
			target.request = b.copies(t.Context(), b.redis.Client, n, partners)
			drive(target, 32, 0, 2*n)
			_, rss := stat(s.pid)
			got[i] = float64(rss) / (1 << 20)
			if partners == 1 {
				grown.values[i] = append(grown.values[i], got[i])
			}
		}
		if partners > 1 {
			_, goal, _ = strings.Cut(verdict(got[1], 128, true), "|")
		}
		text += fmt.Sprintf("| %d | %d | %.0f MiB | %.0f MiB | %s\n", n, partners, got[0], got[1], goal)
	}
	block("memory", text)
	chart("memory", grown)
}

type backend struct {
	name    string
	setting []string
	client  redis.UniversalClient
	nodes   []*testworld.Redis
}

// TestReplicas measures what one request costs while several replicas share one Redis, or a cluster of three masters, with 32
// connections between them.
func TestReplicas(t *testing.T) {
	b := newBench(t)
	cluster := testworld.StartCluster(t, 5*time.Second)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster.Nodes[0].Addr()}})
	t.Cleanup(func() { client.Close() })
	text := "| Redis | replicas | request | rate per second | CPU of the replicas | CPU of Redis | round trips | bytes to / from Redis |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n"
	counts := []int{1, 2, 4}
	grown := []panel{{"CPU of service and Redis per check, µs", "replicas", counts, nil, nil}, {"the same per landing, µs", "replicas", counts, nil, nil}}
	for _, on := range []backend{
		{"one Redis", nil, b.redis.Client, []*testworld.Redis{b.redis}},
		{"three masters", []string{"REDIS_MODE=cluster", "REDIS_URL=" + cluster.URL}, client, cluster.Nodes[:3]},
	} {
		checks := b.copies(t.Context(), on.client, 512, 1)
		var costs [2][]float64
		for _, n := range counts {
			var loads [2][]load
			for range n {
				s := b.service(on.setting...)
				check := b.check("check", s)
				check.request = checks
				loads[0], loads[1] = append(loads[0], load{check, 32 / n}), append(loads[1], load{b.landings(s), 32 / n})
			}
			for i, loads := range loads {
				before := books(t.Context(), on.nodes)
				total := atOnce(loads)
				after := books(t.Context(), on.nodes)
				each := func(name string) float64 { return (after[name] - before[name]) / (total[rate] * duration.Seconds()) }
				ofRedis := (each("used_cpu_sys") + each("used_cpu_user")) * 1e6
				text += fmt.Sprintf("| %s | %d | %s | %.0f | %.0f µs | %.1f µs | %.2f | %.0f / %.0f |\n", on.name, n, loads[0].name, total[rate], total[cpu], ofRedis,
					each("total_reads_processed"), each("total_net_input_bytes"), each("total_net_output_bytes"))
				costs[i] = append(costs[i], total[cpu]+ofRedis)
			}
		}
		for i := range grown {
			grown[i].names, grown[i].values = append(grown[i].names, on.name), append(grown[i].values, costs[i])
		}
	}
	block("replicas", text)
	chart("replicas", grown...)
}

// atOnce drives all loads at once, and returns their rate together and the CPU per request.
func atOnce(loads []load) (total sample) {
	results := make(chan sample, len(loads))
	for _, l := range loads {
		go func() { results <- measure(l, *duration, 0) }()
	}
	for range loads {
		s := <-results
		total[rate], total[cpu] = total[rate]+s[rate], total[cpu]+s[rate]*s[cpu]
	}
	total[cpu] /= total[rate]
	return total
}
