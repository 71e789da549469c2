package alipay

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

// checkProblem fails unless err is one setting.Problem that concerns exactly these settings and says how to fix it.
func checkProblem(t *testing.T, err error, names ...string) {
	t.Helper()
	var got setting.Problems
	if !errors.As(err, &got) {
		if p, ok := errors.AsType[setting.Problem](err); ok {
			got = setting.Problems{p}
		}
	}
	if len(got) != 1 || !slices.Equal(got[0].Settings, names) || got[0].Problem == "" || got[0].Fix == "" {
		t.Errorf("got %+v, want one problem of %v", got, names)
	}
}

// checkNames fails unless err, and the error for each file that holds anything else than certificates, name the file.
func checkNames(t *testing.T, whole error, files ...pemfile.File) {
	t.Helper()
	for _, file := range files {
		_, err := readCertificates(file)
		if e, ok := errors.AsType[*pemfile.Error](err); err != nil && (!ok || e.File != file.Name || !strings.Contains(whole.Error(), file.Name)) {
			t.Errorf("got %+v in %v, want the file %s in both", e, whole, file.Name)
		}
	}
}

// testPEM returns a file in testdata/cases.
func testPEM(t testing.TB, name string) pemfile.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "cases", name))
	if err != nil {
		t.Fatal(err)
	}
	return pemfile.File{Name: name, Data: data}
}

func joined(files ...pemfile.File) pemfile.File {
	f := pemfile.File{Name: "joined"}
	for _, other := range files {
		f.Data = append(f.Data, other.Data...)
	}
	return f
}

func TestCertificateList(t *testing.T) {
	t.Parallel()
	certs := vectorCertificates(t, "certs/alipay_cert_chain.crt")
	if certs.AppSN() != "b894794efffbdedceea2d3e1dce6670a" || certs.AlipaySN() != "e99fb9d1935b9cafb4ede943f117c2ea" {
		t.Errorf("SNs: got %s, %s", certs.AppSN(), certs.AlipaySN())
	}
	var names []string
	for _, cert := range certs.List() {
		names = append(names, cert.Name)
		if cert.Subject == "" || !validSN(cert.SN) || !cert.NotAfter.After(cert.NotBefore) {
			t.Errorf("got %+v", cert)
		}
	}
	// The SM2 root is skipped.
	if want := []string{"app", "alipay", "intermediate", "root", "root", "root"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if first := certs.List()[0]; first.KeyBits != 2048 {
		t.Errorf("key size: got %d", first.KeyBits)
	}
}

// The order in Alipay's file does not matter: the certificate that the others issued is Alipay's.
func TestAlipayCertificateIsFoundByWhatItIs(t *testing.T) {
	t.Parallel()
	app, leaf, mid, root := testPEM(t, "app.crt"), testPEM(t, "leaf.crt"), testPEM(t, "mid.crt"), testPEM(t, "root.crt")
	roots := joined(root, testPEM(t, "root2.crt"))
	want, err := ParseCertificates(app, joined(leaf, mid), roots)
	if err != nil {
		t.Fatal(err)
	}
	chain := joined(leaf, mid)
	replaced := func(old, with string) pemfile.File {
		return pemfile.File{Data: []byte(strings.ReplaceAll(string(chain.Data), old, with))}
	}
	for name, file := range map[string]pemfile.File{
		"byte order mark":       testPEM(t, "alipay.bom.pem"),
		"reversed":              joined(mid, leaf),
		"with the root":         joined(root, mid, leaf),
		"with all roots":        joined(roots, leaf, mid),
		"with the SM2 root":     joined(vectorPEM(t, "certs/alipay_root_bundle.crt"), leaf, mid),
		"leaf twice":            joined(leaf, mid, leaf),
		"each twice":            joined(mid, leaf, mid, leaf),
		"CRLF":                  replaced("\n", "\r\n"),
		"CR alone":              replaced("\n", "\r"),
		"indented":              replaced("\n", "\n\t"),
		"glued":                 replaced("-----\n-----", "----------"),
		"text around the block": replaced("-----BEGIN", "Bag Attributes\n    localKeyID: 01\n-----BEGIN"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseCertificates(app, file, roots)
			if err != nil {
				t.Fatal(err)
			}
			if got.AlipaySN() != want.AlipaySN() || !got.chain[0].Equal(want.chain[0]) || len(got.chain) != 2 {
				t.Errorf("got %s, want %s", describe("", got.chain[0]).Subject, describe("", want.chain[0]).Subject)
			}
		})
	}
}

// Roots are read completely or not at all: a wrong alipay_root_cert_sn would break every call.
func TestRootsAreReadWhole(t *testing.T) {
	t.Parallel()
	app, alipay, root, root2 := testPEM(t, "app.crt"), joined(testPEM(t, "leaf.crt"), testPEM(t, "mid.crt")), testPEM(t, "root.crt"), testPEM(t, "root2.crt")
	both, err := ParseCertificates(app, alipay, joined(root, root2))
	if err != nil {
		t.Fatal(err)
	}
	glued := pemfile.File{Data: []byte(strings.ReplaceAll(string(joined(root, root2).Data), "-----\n-----", "----------"))}
	for name, roots := range map[string]pemfile.File{
		"glued":                    glued,
		"twice":                    joined(root, root2, root),
		"byte order mark":          joined(pemfile.File{Data: []byte("\ufeff")}, root, pemfile.File{Data: []byte("\ufeff")}, root2),
		"with roots not of RSA":    joined(root, testPEM(t, "sm2_and_ecdsa_roots.crt"), root2),
		"with comments in between": joined(root, pemfile.File{Data: []byte("# the old one\n")}, root2),
	} {
		if got, err := ParseCertificates(app, alipay, roots); err != nil || got.RootSN() != both.RootSN() {
			t.Errorf("%s: got %v", name, err)
		}
	}
	bad := func(file pemfile.File, old, with string) pemfile.File {
		return pemfile.File{Name: "roots.pem", Data: []byte(strings.Replace(string(file.Data), old, with, 1))}
	}
	for name, roots := range map[string]pemfile.File{
		"second damaged":       testPEM(t, "roots.second-bad.pem"),
		"second not whole":     joined(root, pemfile.File{Data: root2.Data[:len(root2.Data)-40]}),
		"second in lower case": joined(root, bad(bad(root2, "BEGIN CERTIFICATE", "begin certificate"), "END CERTIFICATE", "end certificate")),
		"second with 4 dashes": joined(root, bad(bad(root2, "-----BEGIN", "----BEGIN"), "-----END", "----END")),
		"a key in between":     joined(root, testPEM(t, "app.key"), root2),
		"no root of RSA":       testPEM(t, "sm2_and_ecdsa_roots.crt"),
		"an empty file":        {Name: "roots.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCertificates(app, alipay, roots)
			checkProblem(t, err, "ALIPAY_ROOT_CERT_FILE")
			checkNames(t, err, roots)
		})
	}
}

func TestParseCertificatesRefuses(t *testing.T) {
	t.Parallel()
	app, alipay, root := vectorPEM(t, "certs/app_cert.crt"), vectorPEM(t, "certs/alipay_cert_chain.crt"), vectorPEM(t, "certs/alipay_root_bundle.crt")
	ec := pemfile.File{Data: pemOf(newAuthority(t).issueEC("ec", "ec"))}
	ca := joined(vectorPEM(t, "certs/intermediate_class1_ca.crt"))
	damaged := pemfile.File{Name: "damaged.crt", Data: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}
	tests := []struct {
		name              string
		app, alipay, root pemfile.File
		settings          []string
	}{
		{"a key for the application's certificate", vectorPEM(t, "keys/app_public.pem"), alipay, root, []string{appCertSetting}},
		{"a private key for it", vectorPEM(t, "keys/app_private_pkcs8.pem"), alipay, root, []string{appCertSetting}},
		{"two certificates of applications", joined(app, vectorPEM(t, "certs/app_cert_leading_zero_sn.crt")), alipay, root, []string{appCertSetting}},
		{"an EC certificate of the application", ec, alipay, root, []string{appCertSetting}},
		{"a key for Alipay's certificate", app, vectorPEM(t, "keys/alipay_public.pem"), root, []string{alipayCertSetting}},
		{"an EC certificate of Alipay", app, ec, root, []string{alipayCertSetting}},
		{"an authority for Alipay's certificate", app, ca, root, []string{alipayCertSetting}},
		{"an SM2 certificate of Alipay", app, testPEM(t, "sm2_root.crt"), root, []string{alipayCertSetting}},
		{"Alipay's old and new certificate", app, joined(alipay, vectorPEM(t, "certs/alipay_next_chain.crt")), root, []string{alipayCertSetting}},
		{"rogue chain", app, vectorPEM(t, "certs/alipay_rogue_chain.crt"), root, []string{alipayCertSetting, rootCertSetting}},
		{"rogue chain with its root", app, vectorPEM(t, "certs/alipay_rogue_chain_with_root.crt"), root, []string{alipayCertSetting, rootCertSetting}},
		{"Alipay's certificate without the intermediate", app, vectorPEM(t, "certs/alipay_cert_leaf_only.crt"), root, []string{alipayCertSetting, rootCertSetting}},
		{"damaged", damaged, alipay, root, []string{appCertSetting}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			certs, err := ParseCertificates(tt.app, tt.alipay, tt.root)
			if certs != nil {
				t.Error("got certificates beside the error")
			}
			checkProblem(t, err, tt.settings...)
			checkNames(t, err, tt.app, tt.alipay, tt.root)
		})
	}
	if _, err := ParseCertificates(damaged, alipay, root); err == nil || !strings.Contains(err.Error(), damaged.Name) {
		t.Errorf("damaged: got %v, want the name of the file", err)
	}
	_, err := ParseCertificates(pemfile.File{}, pemfile.File{}, pemfile.File{})
	if all, ok := errors.AsType[setting.Problems](err); !ok || len(all) != 3 {
		t.Errorf("three empty files: got %v, want three problems", err)
	}
}

func TestCertificateDates(t *testing.T) {
	t.Parallel()
	v := vectorNamed(t, "responses.json", "cert_success_sn_first", func(v responseVector) string { return v.Name })
	now := testNow
	cfg := v.config(t)
	cfg.Now = func() time.Time { return now }
	c := newTestClient(t, cfg)
	if len(c.Warnings()) != 0 {
		t.Errorf("warnings: got %v", c.Warnings())
	}

	now = time.Date(2100, 2, 1, 0, 0, 0, 0, time.UTC)
	if _, err := c.read(t.Context(), v.response(t)); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signed with an expired certificate: got %v", err)
	}
	_, err := New(cfg)
	checkProblem(t, err, appCertSetting)

	for _, tt := range []struct {
		name     string
		chain    string
		now      time.Time
		settings []string // of the warnings
	}{
		{"before the first day", "certs/alipay_cert_chain.crt", time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC),
			[]string{appCertSetting, alipayCertSetting, alipayCertSetting, rootCertSetting, rootCertSetting, rootCertSetting}},
		{"on the last day", "certs/alipay_cert_chain.crt", vectorCertificates(t, "certs/alipay_cert_chain.crt").app.NotAfter,
			[]string{appCertSetting, alipayCertSetting, alipayCertSetting, rootCertSetting, rootCertSetting, rootCertSetting}},
		{"shortly before the end", "certs/alipay_cert_chain.crt", time.Date(2099, 12, 20, 0, 0, 0, 0, time.UTC),
			[]string{appCertSetting, alipayCertSetting, alipayCertSetting, rootCertSetting, rootCertSetting, rootCertSetting}},
		{"an expired certificate of Alipay", "certs/alipay_expired_chain.crt", testNow, []string{alipayCertSetting}},
	} {
		cfg.Certificates, now = vectorCertificates(t, tt.chain), tt.now
		var got []string
		for _, w := range newTestClient(t, cfg).Warnings() {
			got = append(got, w.Settings...)
		}
		if !slices.Equal(got, tt.settings) {
			t.Errorf("%s: got warnings of %v, want %v", tt.name, got, tt.settings)
		}
	}
}

// A response signed with a certificate that has no RSA key cannot be verified.
func TestOnlyRSAKeysVerify(t *testing.T) {
	t.Parallel()
	bits := func(n uint) *x509.Certificate {
		return &x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), n-1), E: 65537}}
	}
	if key, err := rsaKey(bits(1024)); err != nil || key == nil {
		t.Errorf("1024 bits: got %v, %v", key, err)
	}
	for name, cert := range map[string]*x509.Certificate{"EC": newAuthority(t).issueEC("a", "a"), "no key": {}, "1023 bits": bits(1023)} {
		if key, err := rsaKey(cert); !errors.Is(err, ErrUntrusted) || key != nil {
			t.Errorf("%s: got %v, %v", name, key, err)
		}
	}
}

// The application's certificate may be its own issuer.
func TestASelfSignedCertificateAlone(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	app, root := pemOf(a.issue("app", "app")), a.issue("root", "root")
	certs, err := ParseCertificates(pemfile.File{Data: app}, pemfile.File{Data: pemOf(a.issue("alipay", "root"))}, pemfile.File{Data: pemOf(root)})
	if err != nil || len(certs.List()) != 3 {
		t.Errorf("got %+v, %v, want the application's, Alipay's and the root", certs, err)
	}
}

// A row is a time, and whether there is a problem. Different problems have different texts, and an application's expired
// certificate needs another fix than Alipay's.
func TestWarningsOfDates(t *testing.T) {
	t.Parallel()
	cert := Certificate{NotBefore: testNow, NotAfter: testNow.AddDate(1, 0, 0)}
	fixes := map[string]string{} // of expired certificates
	for _, name := range []string{appCertificate, alipayCertificate, intermediateCertificate, rootCertificate} {
		cert.Name = name
		texts := map[string]bool{}
		for _, tt := range []struct {
			at   time.Time
			want bool
		}{
			{cert.NotBefore.Add(-1), true},
			{cert.NotBefore, false},
			{cert.NotAfter.Add(-expiryNotice), false},
			{cert.NotAfter.Add(-expiryNotice + 1), true},
			{cert.NotAfter.Add(1), true},
		} {
			p, got := cert.Warning(tt.at)
			if got != tt.want || got && (texts[p.Problem] || len(p.Settings) != 1) {
				t.Errorf("%s at %s: got %+v, %t, want %t", name, tt.at, p, got, tt.want)
			}
			texts[p.Problem], fixes[name] = got, p.Fix
		}
	}
	if fixes[appCertificate] == fixes[alipayCertificate] || fixes[alipayCertificate] != fixes[rootCertificate] {
		t.Errorf("got %v", fixes)
	}
}
