package alipay

import (
	"crypto/x509/pkix"
	"encoding/asn1"
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
		if got, err := certificateSN(blocks[0].DER); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", row.File, got, err, want)
		}
		parsed, err := parseTBS(blocks[0].DER)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := distinguishedName(parsed.Issuer.FullBytes); err != nil || got != row.Issuer {
			t.Errorf("%s: got issuer %s, %v, want %s", row.File, got, err, row.Issuer)
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

func TestDistinguishedNameWithUnusualParts(t *testing.T) {
	t.Parallel()
	name := pkix.RDNSequence{
		{{Type: []int{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"}},
		{{Type: []int{2, 5, 4, 10}, Value: " a=b#c "}, {Type: []int{2, 5, 4, 11}, Value: "x"}},
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := distinguishedName(der)
	if want := `OU=x+O=\ a\=b\#c\ ,DC=example`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
