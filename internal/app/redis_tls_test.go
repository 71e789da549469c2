package app_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/app"
	"koubei-landing/internal/testworld"
)

// authority signs certificates.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	end   time.Time  // of the certificates that it issues
	above *authority // signed cert; nil for a root
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Redis test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{cert: cert, key: key, end: template.NotAfter}
}

// intermediate returns an authority whose certificate a has signed.
func (a *authority) intermediate(t *testing.T) *authority {
	t.Helper()
	below := newAuthority(t)
	template := *below.cert
	template.Subject.CommonName = "Redis test intermediate"
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, below.key.Public(), a.key)
	must(t, err)
	below.cert, err = x509.ParseCertificate(der)
	must(t, err)
	below.above = a
	return below
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue returns a certificate for hosts, which may be names and IP addresses.
func (a *authority) issue(t *testing.T, hosts ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: a.end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// options returns redis-server's options for TLS on a port, beside the plain one that the test uses.
func (a *authority) options(t *testing.T, port int, hosts ...string) []string {
	t.Helper()
	cert := a.issue(t, hosts...)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	dir := t.TempDir()
	write := func(name, kind string, ders ...[]byte) string {
		path := filepath.Join(dir, name)
		var file []byte
		for _, der := range ders {
			file = append(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		must(t, os.WriteFile(path, file, 0o600))
		return path
	}
	root, chain := a, [][]byte{cert.Certificate[0]}
	for ; root.above != nil; root = root.above {
		chain = append(chain, root.cert.Raw)
	}
	return []string{"--tls-port", strconv.Itoa(port), "--tls-ca-cert-file", write("ca.pem", "CERTIFICATE", root.cert.Raw),
		"--tls-cert-file", write("cert.pem", "CERTIFICATE", chain...), "--tls-key-file", write("key.pem", "PRIVATE KEY", key)}
}

// These start Redis with TLS in each mode. Its certificate is for localhost only, as in REDIS_URL. The node of the Cluster
// and the Sentinel's master announce 127.0.0.1.

func tlsSingle(t *testing.T, a *authority) (address string, mode app.RedisMode) {
	port := testworld.StablePort(t)
	testworld.StartRedis(t, a.options(t, port, "localhost")...)
	return fmt.Sprintf("rediss://localhost:%d/0", port), app.Single
}

func tlsCluster(t *testing.T, a *authority) (string, app.RedisMode) {
	return fmt.Sprintf("rediss://localhost:%d", tlsNode(t, a, "localhost")), app.Cluster
}

func tlsNode(t *testing.T, a *authority, host string) (port int) {
	port = testworld.StablePort(t)
	r := testworld.StartRedis(t, append(a.options(t, port, host), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(testworld.StablePort(t)),
		"--cluster-announce-ip", "127.0.0.1", "--tls-cluster", "yes")...)
	must(t, r.Client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	testworld.Eventually(t, 10*time.Second, "the cluster works", func() error { return r.Client.Set(t.Context(), "key", "", 0).Err() })
	return port
}

func tlsSentinel(t *testing.T, a *authority) (string, app.RedisMode) {
	master, sentinel := testworld.StablePort(t), testworld.StablePort(t)
	testworld.StartRedis(t, a.options(t, master, "localhost")...)
	options := append(a.options(t, sentinel, "localhost"), "--tls-replication", "yes")
	startSentinelProcess(t, fmt.Sprint("127.0.0.1:", master), options...)
	address := fmt.Sprintf("rediss://localhost:%d?master_name=koubei", sentinel)
	return address, app.Sentinel
}

// TestRedisOverTLS lands and signs out over TLS with its own authority and a client certificate, which Redis requires.
func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, *authority) (string, app.RedisMode){
		"single": tlsSingle, "sentinel": tlsSentinel, "cluster": tlsCluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			client := a.issue(t)
			address, mode := start(t, a)
			w := testworld.New(t, func(c *app.Config) {
				c.Redis.URL, c.Redis.Mode, c.Redis.Authorities, c.Redis.Certificate = address, mode, a.pool(), &client
				c.Session.CacheTTL = time.Minute
			})
			b := w.Browser()
			testworld.Eventually(t, time.Minute, "a landing", func() error {
				return want(b.Land(w.Landing(w.Koubei.Issue(testworld.Provider))), http.StatusSeeOther)
			})
			if err := want(b.Get(w.Internal+"/auth/verify"), http.StatusOK); err != nil {
				t.Error(err)
			}
			if err := want(b.Post(w.Public+"/logout", nil), http.StatusSeeOther); err != nil {
				t.Error(err)
			}
			if got := problemsOf(app.Check(t.Context(), w.Config)); len(got) > 0 {
				t.Errorf("check: %+v", got)
			}
		})
	}
}

// TestANodesOwnCertificate is for the node's address, and not for the host in REDIS_URL. An intermediate authority has signed it.
func TestANodesOwnCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	client := a.issue(t)
	address := fmt.Sprintf("rediss://localhost:1?addr=127.0.0.1:%d", tlsNode(t, a.intermediate(t), "127.0.0.1")) // nothing listens at the first
	rdb, err := app.OpenRedis(app.Redis{URL: address, Mode: app.Cluster, Authorities: a.pool(), Certificate: &client, Timeout: 2 * time.Second})
	must(t, err)
	defer rdb.Close()
	testworld.Eventually(t, time.Minute, "a write", func() error { return rdb.Set(t.Context(), "key", "", time.Minute).Err() })
}

// TestRedisTLSProblems checks that the findings name the settings to fix.
func TestRedisTLSProblems(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	client, strange := a.issue(t), stranger.issue(t)
	address, _ := tlsSingle(t, a)
	plain := testworld.StartRedis(t)
	late := *a
	late.end = time.Now().Add(-time.Minute)
	ended, _ := tlsSingle(t, &late)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts connections, and nobody responds
	must(t, err)
	t.Cleanup(func() { silent.Close() })
	node := func(host string) string { // its second address is that of a node
		port := tlsNode(t, a, host)
		return fmt.Sprintf("rediss://localhost:%d?addr=127.0.0.1:%d", port, port)
	}
	for _, row := range []struct {
		name    string
		c       app.Redis
		setting string // in the fix
	}{
		{"another authority's node", app.Redis{Mode: app.Cluster, URL: node("localhost"), Authorities: stranger.pool(), Certificate: &client}, "REDIS_CA_FILE"},
		{"another host's node", app.Redis{Mode: app.Cluster, URL: node("elsewhere"), Authorities: a.pool(), Certificate: &client}, "other hosts"},
		{"no authority", app.Redis{URL: address, Certificate: &client}, "REDIS_CA_FILE"},
		{"another authority", app.Redis{URL: address, Authorities: stranger.pool(), Certificate: &client}, "REDIS_CA_FILE"},
		{"another host", app.Redis{URL: strings.Replace(address, "localhost", "127.0.0.1", 1), Authorities: a.pool(), Certificate: &client}, "REDIS_URL"},
		{"no client certificate", app.Redis{URL: address, Authorities: a.pool()}, "REDIS_CERT_FILE and REDIS_KEY_FILE"},
		{"another authority's client certificate", app.Redis{URL: address, Authorities: a.pool(), Certificate: &strange}, "REDIS_CERT_FILE"},
		{"a certificate that has ended", app.Redis{URL: ended, Authorities: a.pool(), Certificate: &client}, "renew"},
		{"a plain client", app.Redis{URL: strings.Replace(address, "rediss:", "redis:", 1)}, "rediss://"},
		{"a plain server", app.Redis{URL: strings.Replace(plain.URL(), "redis:", "rediss:", 1), Authorities: a.pool(), Timeout: 200 * time.Millisecond}, "redis://"},
		{"a server that answers without TLS", app.Redis{URL: "rediss://" + strings.TrimPrefix(testworld.Serve(t, http.NotFoundHandler()), "http://"), Authorities: a.pool()}, "redis://"},
		{"a silent server", app.Redis{URL: "rediss://" + silent.Addr().String(), Authorities: a.pool(), Timeout: 200 * time.Millisecond}, "redis:// if it does not use TLS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.c.Mode, row.c.Timeout, row.c.Prefix = cmp.Or(row.c.Mode, app.Single), cmp.Or(row.c.Timeout, 2*time.Second), "koubei:"
			f := find(app.Check(t.Context(), app.Config{Redis: row.c}), "redis")
			if f.Level != app.Failure || len(f.Settings) == 0 || !strings.Contains(f.Detail+" "+f.Fix, row.setting) {
				t.Errorf("got %+v, want a failure with %s", f, row.setting)
			}
		})
	}
}

// problemsOf returns the findings about Redis that are failures or warnings.
func problemsOf(findings []app.Finding) []app.Finding {
	var problems []app.Finding
	for _, f := range findings {
		if f.Group == "redis" && (f.Level == app.Failure || f.Level == app.Warning) {
			problems = append(problems, f)
		}
	}
	return problems
}
