package alipay

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"testing"
)

type snVector struct {
	File    string `json:"file"`
	SN      string `json:"sn"`
	Issuer  string `json:"issuer"`
	Differs bool   `json:"differs"`
	Escaped string `json:"sn_rfc2253_escaped"`
}

func TestSNVectors(t *testing.T) {
	t.Parallel()
	var vectors map[string]json.RawMessage
	if err := json.Unmarshal(vectorFile(t, "certs/sns.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	var rows []snVector
	if err := json.Unmarshal(vectors["issuer_name_forms"], &rows); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app_cert_sn", "alipay_cert_sn", "alipay_next_cert_sn", "leading_zero"} {
		var row snVector
		if err := json.Unmarshal(vectors[name], &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		blocks, err := vectorPEM(t, "certs/"+row.File).Blocks()
		if err != nil {
			t.Fatal(err)
		}
		want := row.SN
		if row.Differs {
			want = row.Escaped // as Java writes names, because the gateway is written in Java
		}
		cert, err := blocks[0].Certificate()
		if err != nil {
			t.Fatal(err)
		}
		if got := certificateSN(cert); got != want {
			t.Errorf("%s: got %s, want %s", row.File, got, want)
		}
		if got := distinguishedName(cert.RawIssuer); got != row.Issuer {
			t.Errorf("%s: got issuer %s, want %s", row.File, got, row.Issuer)
		}
	}
	for _, name := range []string{"alipay_root_cert_sn", "alipay_root_bundle_crlf"} {
		var row snVector
		if err := json.Unmarshal(vectors[name], &row); err != nil {
			t.Fatal(err)
		}
		roots, err := readCertificates(vectorPEM(t, "certs/"+row.File))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rootSN(roots); err != nil || got != row.SN {
			t.Errorf("%s: got %s, %v, want %s", row.File, got, err, row.SN)
		}
	}
}

// A row is the value of the last part of a name, and its text.
func TestDistinguishedNameWithUnusualParts(t *testing.T) {
	t.Parallel()
	raw := func(tag int, text string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(text)} }
	ou := []int{2, 5, 4, 11}
	for _, tt := range []struct {
		name  string
		oid   []int
		value any
		want  string
	}{
		{"plain", ou, "x", `OU=x`},
		{"spaces and carriage returns around", ou, " \r a b\r ", `OU=\ \` + "\r" + `\ a b\` + "\r" + `\ `},
		{"only a space", ou, " ", `OU=\ `},
		{"characters with a meaning", ou, `,=+<>#;"\`, `OU=\,\=\+\<\>\#\;\"\\`},
		{"NUL", ou, raw(asn1.TagUTF8String, "a\x00b"), `OU=a\00b`},
		{"two bytes per character", ou, raw(asn1.TagBMPString, "\x00A\x00b\x5e\x97"), `OU=Ab店`},
		{"half a character", ou, raw(asn1.TagBMPString, "\x00A\x00"), `OU=#1e03004100`},
		{"Latin-1", ou, raw(asn1.TagT61String, "\xe9"), `OU=#1401e9`},
		{"number", ou, 1, `OU=#020101`},
		{"unknown type", []int{2, 5, 4, 5}, "x", `2.5.4.5=#130178`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			der, err := asn1.Marshal(pkix.RDNSequence{
				{{Type: []int{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"}},
				{{Type: []int{2, 5, 4, 10}, Value: " a=b#c "}, {Type: tt.oid, Value: tt.value}},
			})
			if err != nil {
				t.Fatal(err)
			}
			// Marshal sorts the parts of a set.
			one, other := tt.want+`+O=\ a\=b\#c\ ,DC=example`, `O=\ a\=b\#c\ +`+tt.want+`,DC=example`
			if got := distinguishedName(der); got != one && got != other {
				t.Errorf("got %s, want %s", got, one)
			}
			for _, damaged := range [][]byte{append(der, 0), der[:len(der)-1], nil} {
				if got, want := distinguishedName(damaged), "#"+hex.EncodeToString(damaged); got != want {
					t.Errorf("damaged: got %s, want %s", got, want)
				}
			}
		})
	}
}
