package alipay

import (
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// rdnAttribute and rdnSET mirror the Name of RFC 5280. The suffix SET tells encoding/asn1 the tag.
type rdnAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type rdnSET []rdnAttribute

// keywords are the attribute types that Java's X500Principal.getName() spells by name. It spells the others as numbers.
var keywords = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"0.9.2342.19200300.100.1.25": "DC",
	"0.9.2342.19200300.100.1.1":  "UID",
}

// distinguishedName returns a DER name as text in Java's variant of RFC 2253, with the last part first, because the official
// Java SDK hashes that text (AntCertificationUtil.getCertSN). pkix.Name cannot be used: it reorders and merges parts. der is
// a name that crypto/x509 has parsed. The text of anything else is its hex.
func distinguishedName(der []byte) string {
	var name []rdnSET
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return "#" + hex.EncodeToString(der)
	}
	var b strings.Builder
	for i := len(name) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		for j, a := range name[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(a.text())
		}
	}
	return b.String()
}

func (a rdnAttribute) text() string {
	oid := a.Type.String()
	keyword, known := keywords[oid]
	value, readable := directoryString(a.Value)
	if !known {
		return oid + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
	if !readable {
		return keyword + "=#" + hex.EncodeToString(a.Value.FullBytes)
	}
	return keyword + "=" + escapeValue(value)
}

func directoryString(v asn1.RawValue) (string, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagGeneralString:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return string(utf16.Decode(units)), len(v.Bytes)%2 == 0
	}
	return "", false
}

// escapeValue escapes like Java, which also escapes = and every #.
func escapeValue(s string) string {
	inner := strings.Trim(s, " \r")
	lead := len(s) - len(strings.TrimLeft(s, " \r"))
	var b strings.Builder
	for i, r := range s {
		switch {
		case i < lead || i >= lead+len(inner) || strings.ContainsRune(`,=+<>#;"\`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == 0:
			b.WriteString(`\00`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
