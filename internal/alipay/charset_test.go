package alipay

import (
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
		{"UTF-8 declared as GBK", html + "gbk", GBK, "\xe5\x8f\xa3!", "口!"},
		{"GBK declared as UTF-8", html + "utf-8", UTF8, "\xbf\xda", "口"},
		{"four bytes", html + "gb18030", GB18030, "\x94\x39\xfc\x36", "😀"},
		{"neither", html + "utf-8", UTF8, "{\xff\xff}", ""},
		{"cut character", html + "gbk", GBK, "{\xbf", ""},
		{"second byte between the rows", html + "gb18030", GB18030, "\xd7:\xf80", ""},
	} {
		got, err := decode([]byte(tt.raw), tt.contentType, tt.asked)
		if string(got.text) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got.text, err, tt.want)
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
