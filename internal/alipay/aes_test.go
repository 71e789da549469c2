package alipay

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"strings"
	"testing"
)

func TestDecrypt(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "a", strings.Repeat("b", 15), strings.Repeat("c", 16), strings.Repeat("d", 31)} {
		if got, err := decrypt(block, encrypt(block, []byte(text))); err != nil || string(got) != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	// sealed encrypts text, whose padding may be wrong.
	sealed := func(text string) string {
		b := []byte(text)
		cipher.NewCBCEncrypter(block, zeroIV[:]).CryptBlocks(b, b)
		return base64.StdEncoding.EncodeToString(b)
	}
	for name, text := range map[string]string{
		"nothing":                        "",
		"not base64":                     encrypt(block, nil) + "*",
		"half a block":                   base64.StdEncoding.EncodeToString(make([]byte, 8)),
		"no padding":                     sealed(strings.Repeat("a", 15) + "\x00"),
		"padding of 17 in one block":     sealed(strings.Repeat("\x11", 16)),
		"padding of 17 in two blocks":    sealed(strings.Repeat("\x11", 32)),
		"the first byte of it is wrong":  sealed(strings.Repeat("a", 13) + "\x02\x03\x03"),
		"the second byte of it is wrong": sealed(strings.Repeat("a", 13) + "\x03\x02\x03"),
	} {
		if got, err := decrypt(block, text); err == nil || got != nil {
			t.Errorf("%s: got %q, %v, want an error", name, got, err)
		}
	}
}
