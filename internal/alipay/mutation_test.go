package alipay

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"koubei-landing/internal/operator"
)

// Changing, removing, doubling or inserting any single byte of a signed response never leads to a success with other
// content.
func TestNoChangedResponseIsAnotherSuccess(t *testing.T) {
	t.Parallel()
	encrypted := loadVectors[struct {
		Responses []responseVector `json:"responses"`
	}](t, "aes.json").Responses[0]
	encrypted.Status, encrypted.ContentType = 200, "text/html;charset=utf-8"
	names := map[string]bool{
		"success_provider_staff": true, "success_chinese_ext_info": true, "slash_escaped_signed_unescaped": true,
		"gbk_success": true, "gbk_trailing_5c_7b_7d": true, "cert_success_sn_last": true, "sign_value_escaped_slashes": true,
		"rsa_sha1_1024": true, "whitespace_inside": true, "foreign_object_first": true,
	}
	vectors := []responseVector{encrypted}
	for _, v := range loadVectors[[]responseVector](t, "responses.json") {
		if names[v.Name] {
			vectors = append(vectors, v)
		}
	}
	if len(vectors) != len(names)+1 {
		t.Fatalf("got %d vectors", len(vectors))
	}
	var tried atomic.Int32
	t.Cleanup(func() {
		if n := tried.Load(); n < 10_000 {
			t.Errorf("tried only %d", n)
		}
	})
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			cfg := v.config(t)
			if v.Name == encrypted.Name {
				cfg.EncryptKey, _ = ParseEncryptKey("ABEiM0RVZneImaq7zN3u/w==")
			}
			c := newTestClient(t, cfg)
			c.transport = answering(`{"error_response":{"code":"40004"}}`) // the response to a download
			r := v.response(t)
			want, err := c.read(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			original := r.body
			for i := range original {
				for _, r.body = range mutations(original, i, byte(random.IntN(255)+1)) {
					tried.Add(1)
					got, err := c.read(t.Context(), r)
					if err == nil && got != want || err != nil && got != (operator.Grant{}) {
						t.Fatalf("byte %d: got %+v, %v from %q", i, got, err, r.body)
					}
				}
			}
		})
	}
}

// mutations returns b with its ith byte changed by xor, and in ways that have fooled parsers.
func mutations(b []byte, i int, xor byte) [][]byte {
	with := func(middle ...byte) []byte {
		m := append([]byte{}, b[:i]...)
		return append(append(m, middle...), b[i+1:]...)
	}
	return [][]byte{with(b[i] ^ xor), with(b[i] ^ 0x20), with(b[i] ^ 1), with(), with(b[i], b[i]), with('\\', b[i])}
}

// The same for a downloaded certificate: the result is the requested certificate or none.
func TestNoChangedDownloadIsAnotherCertificate(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, certificateMode(t, testConfig(t)))
	for _, v := range loadVectors[[]downloadVector](t, "certs/downloads.json") {
		body := []byte(v.Body)
		for i := 0; i < len(body); i += 61 {
			for _, m := range mutations(body, i, 0x11) {
				chain, err := c.readCertificate(response{status: 200, body: m}, v.SN)
				if err == nil && describe("", chain[0]).SN != v.SN {
					t.Fatalf("%s, byte %d: got another certificate", v.Name, i)
				}
			}
		}
	}
}
