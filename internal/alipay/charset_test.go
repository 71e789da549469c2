package alipay

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		charset Charset
		text    string
		want    string // empty: refused
	}{
		{UTF8, "口碑", "\xe5\x8f\xa3\xe7\xa2\x91"},
		{"UTF-8", "é", "\xc3\xa9"},
		{GBK, "口碑", "\xbf\xda\xb1\xae"},
		{"GBK", "誠", "\xd5\x5c"},
		{GB2312, "口碑", "\xbf\xda\xb1\xae"},
		{GBK, "😀", ""},
		{GB18030, "😀", "\x94\x39\xfc\x36"},
		{UTF8, "\xff", ""},
		{GBK, "\xff", ""},
	} {
		got, err := tt.charset.encode(tt.text)
		if string(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s %q: got %q, %v, want %q", tt.charset, tt.text, got, err, tt.want)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	const html = "text/html;charset="
	for _, tt := range []struct {
		name, contentType string
		asked             Charset
		raw, want         string // want empty: refused
	}{
		{"declared", html + "GBK", UTF8, "\xbf\xda", "口"},
		{"declared in quotes", html + `"gb2312"`, UTF8, "\xbf\xda", "口"},
		{"declared goes before what looks right", html + "gbk", UTF8, "\xc3\xa9", "茅"},
		{"asked for, nothing declared", "text/html", GBK, "\xc3\xa9", "茅"},
		{"asked for, nonsense declared", "text/html;charset=klingon", GBK, "\xc3\xa9", "茅"},
		{"UTF-8 asked for, nothing declared", "text/html", UTF8, "\xc3\xa9", "é"},
		{"UTF-8 asked for, nonsense declared", "text/html;charset=klingon", UTF8, "\xc3\xa9", "é"},
		{"UTF-8 asked for, not declared as documented", "text/html;charset", UTF8, "\xc3\xa9", "é"},
		{"UTF-8 declared as GBK", html + "gbk", GBK, "\xe5\x8f\xa3!", "口!"},
		{"GBK declared as UTF-8", html + "utf-8", UTF8, "\xbf\xda", "口"},
		{"four bytes", html + "gb18030", GB18030, "\x94\x39\xfc\x36", "😀"},
		{"the euro sign in one byte", html + "gbk", GBK, "\x80", "€"},
		{"first and last second byte of two", html + "gbk", GBK, "\x81\x40\x81\xfe", "丂侢"},
		{"first four bytes", html + "gb18030", GB18030, "\x81\x30\x81\x30", "\u0080"},
		{"last digits in four bytes", html + "gb18030", GB18030, "\x81\x39\x81\x39\x81\x30\xfe\x39", "⺛؉"},
		{"nothing but white space", html + "gbk", GBK, " \xff", ""},
		{"0xff first", html + "gbk", GBK, "{\xff\x41", ""},
		{"0xff second", html + "gbk", GBK, "{\x81\xff", ""},
		{"DEL second", html + "gbk", GBK, "{\x81\x7f", ""},
		{"third byte too low", html + "gb18030", GB18030, "{\x81\x30\x80\x30", ""},
		{"third byte too high", html + "gb18030", GB18030, "{\x81\x30\xff\x30", ""},
		{"fourth byte no digit", html + "gb18030", GB18030, "{\x81\x30\x81\x3a", ""},
		{"four bytes cut", html + "gb18030", GB18030, "{\x81\x30\x81", ""},
		{"U+FFFD in four bytes", html + "gb18030", GB18030, "{\x84\x31\xa4\x37", ""},
		{"neither", html + "utf-8", UTF8, "{\xff\xff}", ""},
		{"cut character", html + "gbk", GBK, "{\xbf", ""},
		{"second byte between the rows", html + "gb18030", GB18030, "\xd7:\xf80", ""},
	} {
		got, err := decode([]byte(tt.raw), tt.contentType, tt.asked)
		if string(got.text) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got.text, err, tt.want)
		}
		// What looks like JSON may be the gateway's; anything else is not.
		if want := map[bool]error{true: ErrUntrusted, false: ErrUnavailable}[tt.raw[0] == '{']; err != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, want)
		}
	}
}

// An escaped slash after a character that ends in the byte of a backslash; one escaped backslash before a slash.
func TestSlashesInGBK(t *testing.T) {
	t.Parallel()
	d, ok := decodeGB([]byte("\xd5\\/\\/\xd5\\\\/"))
	if !ok {
		t.Fatal("not decoded")
	}
	got, ok := d.withoutSlashEscapes()
	if want := "\xd5\\//\xd5\\/"; !ok || string(got.raw) != want || string(got.text) != "誠//誠/" {
		t.Errorf("got %q, %q, want %q", got.raw, got.text, want)
	}
	if _, ok := d.slice(span{0, len("誠/")}).withoutSlashEscapes(); ok {
		t.Error("half of a character taken for a backslash")
	}
	if strings.Count(string(d.text), `\`) != 2 {
		t.Errorf("got %q", d.text)
	}
}

// A request whose text the charset cannot encode is not sent.
func TestTextThatTheCharsetLacks(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]byte{"plain": nil, "encrypted": []byte("0123456789abcdef")} {
		cfg := testConfig(t)
		cfg.Charset, cfg.EncryptKey = GBK, key
		c := newTestClient(t, cfg)
		c.transport = roundTripper(func(*http.Request) (*http.Response, error) {
			t.Errorf("%s: sent", name)
			return nil, io.EOF
		})
		if _, err := c.send(t.Context(), call{queryMethod, "😀"}, testNow); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if text, err := sign(privateKey(t, "keys/app_private_pkcs8.pem"), RSA2.hash(), GBK, "😀"); err == nil || text != "" {
		t.Errorf("got %q, %v, want an error", text, err)
	}
}
