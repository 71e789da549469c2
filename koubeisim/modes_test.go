package koubeisim_test

import (
	"bytes"
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"koubei-landing/koubeisim"
)

var aesKey = []byte("0123456789abcdef")

// In each mode and charset the simulator understands what the client signs and encrypts, and responds in the same way.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, signType := range []string{"RSA", "RSA2"} {
		for _, certificates := range []bool{false, true} {
			o := koubeisim.Options{SignType: signType, Certificates: certificates}
			open := newWorld(t, o)
			o.EncryptKey = aesKey
			sealed := newWorld(t, o)
			for _, w := range []*world{open, sealed} {
				if certificates {
					w.useCertificates()
				}
				for _, charset := range []string{"utf-8", "UTF-8", "gbk", "GBK", "gb2312", "gb18030"} {
					name := strings.Join([]string{signType, charset, map[bool]string{true: "certificates"}[certificates], map[bool]string{true: "AES"}[w.aesKey != nil]}, " ")
					t.Run(name, func(t *testing.T) { w.in(t).tryCharset(charset) })
				}
			}
		}
	}
}

// tryCharset checks a success and a refusal with text that each charset encodes differently.
func (w *world) tryCharset(charset string) {
	w.charset = charset
	for range 8 { // each response has another spelling
		code := w.koubei.Issue(koubeisim.Person{OperatorID: "2088", OperatorType: "服务商😀", PartnerID: "店"})
		biz := `{"auth_type":"pay_member","code":"` + code + `","ext_info":"{\"备注\":\"张三&李四\"}"}`
		a := w.send(w.ask("koubei.member.data.oauth.query", biz))
		if !a.verified || a.text("operator_type") != "服务商😀" || a.text("operator_partner_id") != "店" {
			w.t.Fatalf("got %q", a.body)
		}
		if got, want := a.header.Get("Content-Type"), "text/html;charset="+strings.ToUpper(charset); got != want {
			w.t.Errorf("Content-Type %s, want %s", got, want)
		}
		if (a.certSN != "") != (w.certs != nil) {
			w.t.Errorf("alipay_cert_sn %q", a.certSN)
		}
		a = w.send(w.ask("koubei.member.data.oauth.query", biz))
		if !a.verified || a.text("sub_msg") != "授权码不存在" {
			w.t.Fatalf("got %q", a.body)
		}
	}
}

func TestOnlyTheConfiguredCharsetIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Charset: "gbk"})
	if a := w.send(w.query(w.koubei.Issue(merchant))); a.text("sub_code") != "isv.invalid-charset" {
		t.Errorf("got %s", a.body)
	}
	w.charset = "GBK"
	if a := w.send(w.query(w.koubei.Issue(merchant))); !a.verified || a.text("code") != "10000" {
		t.Errorf("got %s", a.body)
	}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{EncryptKey: aesKey})
	for _, row := range []struct {
		name string
		edit func(*call)
		want string
	}{
		{"correct", func(*call) {}, ""},
		{"another kind", func(c *call) { c.query.Set("encrypt_type", "SM4") }, "isv.invalid-encrypt-type"},
		{"not encrypted", func(c *call) { c.query.Del("encrypt_type") }, "isv.decryption-error-missing-encrypt-type"},
		{"not base64", func(c *call) { c.form.Set("biz_content", "{}") }, "isv.decryption-error-unknown"},
		{"another key", func(c *call) {
			c.form.Set("biz_content", crypt(t, []byte("fedcba9876543210"), `{"auth_type":"pay_member","code":"x"}`))
		}, "isv.decryption-error-unknown"},
	} {
		c := w.query(w.koubei.Issue(merchant))
		row.edit(c)
		a := w.send(c)
		if !a.verified || a.text("sub_code") != row.want {
			t.Errorf("%s: got %s, want %q", row.name, a.body, row.want)
		}
		if row.want == "" && bytes.Contains(a.body, []byte("10000")) {
			t.Errorf("%s: got a plain success: %s", row.name, a.body)
		}
	}

	w.koubei.Next(koubeisim.NotEncrypted)
	if a := w.send(w.query(w.koubei.Issue(merchant))); !a.verified || !bytes.Contains(a.body, []byte(merchant.OperatorID)) {
		t.Errorf("NotEncrypted: got %s", a.body)
	}
}

// A program that reads its key from an empty setting has an empty slice, not nil.
func TestEmptyEncryptKeyMeansNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{EncryptKey: []byte{}})
	w.aesKey = nil
	if a := w.send(w.query(w.koubei.Issue(merchant))); !a.verified || a.text("code") != "10000" {
		t.Errorf("got %s", a.body)
	}
}

// If the gateway does not know whose key to sign with, it does not know the AES key either.
func TestUnsignedErrorsAreNotEncrypted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{EncryptKey: aesKey})
	w.koubei.Next(koubeisim.InvalidAppID)
	if a := w.send(w.query(w.koubei.Issue(merchant))); a.verified || !bytes.Contains(a.body, []byte("isv.invalid-app-id")) {
		t.Errorf("got %s", a.body)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Certificates: true})
	c := w.koubei.Certificates()

	roots, all := certificatesIn(t, c.Root)
	if all != 3 || len(roots) != 2 || !bytes.HasPrefix(c.Root, []byte("-----BEGIN")) {
		t.Fatalf("%d of %d roots can be read, want 2 of 3, the SM2 one first", len(roots), all)
	}
	chain, _ := certificatesIn(t, c.Alipay)
	if len(chain) != 2 || chain[0].CheckSignatureFrom(chain[1]) == nil {
		t.Fatalf("got %d certificates, want one under an intermediate without a CA flag", len(chain))
	}
	if err := roots[0].CheckSignature(chain[1].SignatureAlgorithm, chain[1].RawTBSCertificate, chain[1].Signature); err != nil {
		t.Errorf("the root has not issued the intermediate: %v", err)
	}
	if err := chain[1].CheckSignature(chain[0].SignatureAlgorithm, chain[0].RawTBSCertificate, chain[0].Signature); err != nil {
		t.Errorf("the intermediate has not issued the leaf: %v", err)
	}
	app, _ := certificatesIn(t, c.App)
	if !app[0].PublicKey.(*rsa.PublicKey).Equal(&w.key.PublicKey) {
		t.Error("the app's certificate is for another key")
	}

	for _, row := range []struct {
		name, parameter, value, want string
	}{
		{"none", "app_cert_sn", "", "isv.missing-app-cert-sn"},
		{"another app's", "app_cert_sn", "0", "isv.app-cert-not-exist"},
		{"no root", "alipay_root_cert_sn", "", "isv.missing-alipay-root-cert-sn"},
		{"another root", "alipay_root_cert_sn", "0", "isv.invalid-alipay-root-cert-sn"},
		{"both", "app_cert_sn", w.useCertificates(), ""},
	} {
		q := w.query(w.koubei.Issue(merchant))
		if q.query.Set(row.parameter, row.value); row.value == "" {
			q.query.Del(row.parameter)
		}
		if a := w.send(q); !a.verified || a.text("sub_code") != row.want {
			t.Errorf("%s: got %s, want %q", row.name, a.body, row.want)
		}
	}
}

func TestCertificateRolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Certificates: true, EncryptKey: aesKey})
	w.useCertificates()
	before := w.send(w.query(w.koubei.Issue(merchant)))
	w.koubei.RollCertificate()
	after := w.send(w.query(w.koubei.Issue(merchant)))
	if !after.verified || after.certSN == before.certSN || after.certSN == "" {
		t.Fatalf("got %q after %q, signed %t", after.certSN, before.certSN, after.verified)
	}
	if chain := w.download(after.certSN); len(chain) != 2 || sn(chain[0]) != after.certSN {
		t.Errorf("the download has %d certificates", len(chain))
	}
	if chain := w.download(before.certSN); len(chain) != 2 || sn(chain[0]) != before.certSN {
		t.Errorf("the old certificate cannot be downloaded")
	}
	if chain := w.download("0123"); chain != nil {
		t.Errorf("got an unknown certificate")
	}
}

func TestForgedCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{Certificates: true})
	w.useCertificates()
	w.koubei.Next(koubeisim.RogueCert)
	rogue := w.send(w.query(w.koubei.Issue(merchant)))
	chain := w.download(rogue.certSN)
	roots, _ := certificatesIn(t, w.koubei.Certificates().Root)
	if rogue.verified || len(chain) != 2 || sn(chain[0]) != rogue.certSN {
		t.Fatalf("signed %t, %d certificates", rogue.verified, len(chain))
	}
	if !bytes.Equal(chain[1].RawIssuer, roots[0].RawSubject) {
		t.Error("the rogue chain has other names")
	}
	if roots[0].CheckSignature(chain[1].SignatureAlgorithm, chain[1].RawTBSCertificate, chain[1].Signature) == nil {
		t.Error("the rogue chain leads to the real root")
	}

	w.koubei.Next(koubeisim.UnknownCert)
	if a := w.send(w.query(w.koubei.Issue(merchant))); a.verified || a.certSN == "" || w.download(a.certSN) != nil {
		t.Errorf("UnknownCert: got %s", a.body)
	}
	for _, f := range []koubeisim.Fault{koubeisim.NoCertSN, koubeisim.ExpiredNoCertSN, koubeisim.BusyNoCertSN} {
		w.koubei.Next(f)
		if a := w.send(w.query(w.koubei.Issue(merchant))); !a.verified || a.certSN != "" {
			t.Errorf("%s: got %s", f, a.body)
		}
	}
}

// sn computes the serial number from the encoded issuer, in another way than the simulator.
func sn(cert *x509.Certificate) string {
	var issuer pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawIssuer, &issuer); err != nil {
		panic(err)
	}
	text := ""
	for _, part := range slices.Backward(issuer) {
		short := map[string]string{"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.10": "O", "2.5.4.11": "OU"}[part[0].Type.String()]
		text += short + "=" + part[0].Value.(string) + ","
	}
	return fmt.Sprintf("%x", md5.Sum([]byte(strings.TrimSuffix(text, ",")+cert.SerialNumber.String())))
}

// sn agrees with the official SDK.
func TestSerialsOfTheOfficialSDK(t *testing.T) {
	t.Parallel()
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(testdata(t, "certs/sns.json")), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app_cert_sn", "alipay_cert_sn", "leading_zero"} {
		var row struct{ File, SN string }
		if err := json.Unmarshal(want[name], &row); err != nil {
			t.Fatal(err)
		}
		certs, _ := certificatesIn(t, []byte(testdata(t, "certs/"+row.File)))
		if got := sn(certs[0]); got != row.SN {
			t.Errorf("%s: got %s, want %s", name, got, row.SN)
		}
	}
}

// useCertificates sets the certificate parameters, and returns the app_cert_sn.
func (w *world) useCertificates() string {
	c := w.koubei.Certificates()
	app, _ := certificatesIn(w.t, c.App)
	roots, _ := certificatesIn(w.t, c.Root)
	w.certs = map[string]string{"app_cert_sn": sn(app[0]), "alipay_root_cert_sn": sn(roots[0])}
	return sn(app[0])
}

// download downloads a certificate with a plain request.
func (w *world) download(serial string) []*x509.Certificate {
	w.t.Helper()
	open := w.in(w.t)
	open.aesKey = nil
	a := open.send(open.ask("alipay.open.app.alipaycert.download", `{"alipay_cert_sn":"`+serial+`"}`))
	chain, err := base64.StdEncoding.DecodeString(a.text("alipay_cert_content"))
	if err != nil || a.status != 200 {
		w.t.Fatalf("got %s", a.body)
	}
	certs, _ := certificatesIn(w.t, chain)
	return certs
}
