package alipay

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"koubei-landing/internal/operator"
	"koubei-landing/internal/pemfile"
)

// For any input, the result is a grant that the gateway of the vectors signed, or an error of exactly one kind.
func FuzzReadResponse(f *testing.F) {
	genuine := map[operator.Grant]bool{}
	vectors := loadVectors[[]responseVector](f, "responses.json")
	encrypted := loadVectors[struct {
		Responses []responseVector `json:"responses"`
	}](f, "aes.json").Responses
	for _, v := range append(vectors, encrypted...) {
		f.Add(v.response(f).body, v.ContentType)
		genuine[operator.Grant{
			Operator:  operator.Operator{ID: v.Fields["operator_id"], Type: operator.Type(v.Fields["operator_type"])},
			PartnerID: v.Fields["operator_partner_id"], ShopIDs: v.Fields["shop_ids"],
		}] = v.Outcome == "success"
	}
	plain := newTestClient(f, testConfig(f))
	cfg := testConfig(f)
	cfg.EncryptKey, _ = ParseEncryptKey("ABEiM0RVZneImaq7zN3u/w==")
	encrypting := newTestClient(f, cfg)
	certificates := newTestClient(f, certificateMode(f, testConfig(f)))
	certificates.transport = answering(`{"error_response":{"code":"40004"}}`)
	kinds := []error{
		ErrInvalidParameter, ErrCodeNotExist, ErrCodeExpired, ErrAccessNotAllowed, ErrUnavailable, ErrUntrusted, ErrRejected,
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		for _, c := range []*Client{plain, encrypting, certificates} {
			got, err := c.read(t.Context(), response{status: 200, contentType: contentType, body: body})
			if err == nil {
				if !genuine[got] {
					t.Errorf("got %+v, which is not signed", got)
				}
				continue
			}
			is := 0
			for _, kind := range kinds {
				if errors.Is(err, kind) {
					is++
				}
			}
			if is != 1 || got != (operator.Grant{}) {
				t.Errorf("got %+v, %v, of %d kinds", got, err, is)
			}
		}
	})
}

func addFiles(f *testing.F, pattern string) {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "vectors", pattern))
	if err != nil || len(names) == 0 {
		f.Fatalf("%s: got %d files, %v", pattern, len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	addFiles(f, "keys/*")
	addFiles(f, "certs/*.crt")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParsePrivateKey(text)
		if (key == nil) == (err == nil) {
			t.Fatalf("got %v, %v", key, err)
		}
		if err != nil {
			if quotes(err.Error(), text) && !quotes(messages, text) {
				t.Errorf("the error quotes the key: %v", err)
			}
			return
		}
		if key.N.BitLen() < minKeyBits || key.Validate() != nil {
			t.Errorf("a key of %d bits that can't work", key.N.BitLen())
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	addFiles(f, "keys/*")
	addFiles(f, "certs/*.crt")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParsePublicKey(text)
		if (key == nil) == (err == nil) {
			t.Fatalf("got %v, %v", key, err)
		}
		if err != nil && quotes(err.Error(), text) && !quotes(messages, text) {
			t.Errorf("quotes the key: %v", err)
		}
		if err == nil && key.N.BitLen() < minKeyBits {
			t.Errorf("a key of %d bits", key.N.BitLen())
		}
	})
}

// messages holds the errors of the key parsers without a key.
var messages = func() string {
	var b strings.Builder
	for _, text := range []string{"", "MIIBIjANBgkq", "****"} {
		_, err := ParsePrivateKey(text)
		b.WriteString(err.Error())
		_, err = ParsePublicKey(text)
		b.WriteString(err.Error())
	}
	return b.String()
}()

func FuzzParseCertificates(f *testing.F) {
	addFiles(f, "certs/*.crt")
	addFiles(f, "certs/dn/*.crt")
	app, alipay := vectorPEM(f, "certs/app_cert.crt"), vectorPEM(f, "certs/alipay_cert_chain.crt")
	root := vectorPEM(f, "certs/alipay_root_bundle.crt")
	trusted := map[string]bool{"e99fb9d1935b9cafb4ede943f117c2ea": true, "8d84ef51979f048cf4bae6d5c931645d": true, "615a42ee3eb21ed450d85c6c76af2a6e": true}
	for _, name := range []string{"certs/intermediate_class1_ca.crt", "certs/intermediate_class2_no_ca_flag.crt", "certs/app_cert_leading_zero_sn.crt"} {
		certs, err := readCertificates(vectorPEM(f, name))
		if err != nil {
			f.Fatal(err)
		}
		trusted[certificateSN(certs[0])] = true // issued by a root, too
	}
	f.Fuzz(func(t *testing.T, file string) {
		fuzzed := pemfile.File{Name: "fuzzed", Data: []byte(file)}
		for i, files := range [][3]pemfile.File{{fuzzed, alipay, root}, {app, fuzzed, root}, {app, alipay, fuzzed}} {
			certs, err := ParseCertificates(files[0], files[1], files[2])
			if (certs == nil) == (err == nil) {
				t.Fatalf("got %v, %v", certs, err)
			}
			if err != nil {
				continue
			}
			for _, cert := range certs.List() {
				if !validSN(cert.SN) {
					t.Errorf("SN: got %q", cert.SN)
				}
			}
			// A root may be configured as Alipay's certificate by mistake. Anything else must have been issued by a root.
			isRoot := func() bool {
				for _, r := range certs.roots {
					if r.Equal(certs.chain[0]) {
						return true
					}
				}
				return false
			}
			if i == 1 && !trusted[certs.AlipaySN()] && !isRoot() {
				t.Errorf("trusts %s", certs.AlipaySN())
			}
		}
	})
}

// Every decoded character maps to its raw bytes.
func FuzzCharset(f *testing.F) {
	for _, v := range loadVectors[[]responseVector](f, "responses.json") {
		f.Add(v.response(f).body, v.ContentType, string(v.Charset))
	}
	f.Add([]byte("\x80\xa2\xe3\x84\x31\xa4\x37\x81\x30\x81\x30{}"), "text/html;charset=gb18030", "gb18030")
	f.Add([]byte("\xd5\x5c/\\/\xd5\x5c\\/"), "text/html;charset=gbk", "gbk")
	f.Fuzz(func(t *testing.T, raw []byte, contentType, asked string) {
		d, err := decode(raw, contentType, Charset(asked))
		if err != nil {
			return
		}
		if !utf8.Valid(d.text) || !bytes.Equal(d.raw, raw) {
			t.Fatalf("got %q for %q", d.text, raw)
		}
		next := 0
		for i := 0; i < len(d.text); {
			_, n := utf8.DecodeRune(d.text[i:])
			c := d.slice(span{i, i + n})
			if !bytes.HasPrefix(raw[next:], c.raw) || !bytes.Equal(decodeAs(c), c.text) {
				t.Fatalf("at %d: %q is not %q", i, c.raw, c.text)
			}
			next += len(c.raw)
			if i += n; i > 4096 {
				return // long texts are slow and add nothing
			}
		}
		if next != len(raw) {
			t.Fatalf("%d of %d bytes found", next, len(raw))
		}
		if plain, ok := d.withoutSlashEscapes(); ok && !bytes.Equal(decodeAs(plain), plain.text) {
			t.Fatalf("slashes: %q is not %q", plain.raw, plain.text)
		}
	})
}

func decodeAs(d decoded) []byte {
	if !d.gb {
		return d.raw
	}
	again, _ := decodeGB(d.raw)
	return again.text
}
