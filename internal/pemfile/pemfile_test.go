package pemfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"koubei-landing/internal/pemfile"
)

func file(data []byte) pemfile.File { return pemfile.File{Name: "keys.pem", Data: data} }

func encode(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certificate returns one for key's public half, issued by parent, or self-signed without one.
func certificate(t testing.TB, name string, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func utf16Of(order binary.ByteOrder, text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.BigEndian.AppendUint16(b, unit)
		if order == binary.LittleEndian {
			n := len(b)
			b[n-1], b[n-2] = b[n-2], b[n-1]
		}
	}
	return b
}

// Every row holds the same two blocks.
func TestBlocksInEveryShape(t *testing.T) {
	t.Parallel()
	first, second := pkcs8(t, ecKey(t)), pkcs8(t, ecKey(t))
	one, two := encode("PRIVATE KEY", first), encode("PRIVATE KEY", second)
	both := one + two
	each := func(old, with string) string { return strings.ReplaceAll(both, old, with) }
	inOneLine := strings.ReplaceAll(each("\n", " "), "  ", " ")
	for name, data := range map[string][]byte{
		"as openssl writes it":        []byte(both),
		"byte order mark":             []byte("\ufeff" + both),
		"byte order mark in between":  []byte(one + "\ufeff" + two),
		"UTF-16LE":                    utf16Of(binary.LittleEndian, "\ufeff"+both),
		"UTF-16BE":                    utf16Of(binary.BigEndian, "\ufeff"+both),
		"UTF-16LE with Chinese text":  utf16Of(binary.LittleEndian, "\ufeff应用私钥\r\n"+each("\n", "\r\n")),
		"UTF-16LE without a mark":     utf16Of(binary.LittleEndian, both),
		"UTF-16BE without a mark":     utf16Of(binary.BigEndian, both),
		"CRLF":                        []byte(each("\n", "\r\n")),
		"CR alone":                    []byte(each("\n", "\r")),
		"mixed line endings":          []byte(strings.ReplaceAll(one, "\n", "\r") + strings.ReplaceAll(two, "\n", "\r\n")),
		"escaped line breaks":         []byte(each("\n", `\n`)),
		"escaped CRLF":                []byte(each("\n", `\r\n`)),
		"in one line":                 []byte(inOneLine),
		"without any line break":      []byte(each("\n", "")),
		"glued":                       []byte(strings.TrimSuffix(one, "\n") + two),
		"indented with spaces":        []byte("    " + each("\n", "\n    ")),
		"indented with tabs":          []byte("\t" + each("\n", "\n\t")),
		"trailing white space":        []byte(each("\n", " \t\n")),
		"no-break spaces":             []byte(each("\n", "\u00a0\n\u3000")),
		"blank lines":                 []byte("\n\n" + each("\n", "\n\n")),
		"no line break at the end":    []byte(strings.TrimSpace(both)),
		"comments":                    []byte("# 私钥 made on 2026-01-02; begin of rotation\n" + one + "; and the next\n# fingerprint\n" + strings.Repeat("0a", 32) + "\n" + two + "# end"),
		"text in GBK":                 append([]byte("\xcb\xbd\xd4\xbf\n"), both...),
		"bag attributes":              []byte("Bag Attributes\n    localKeyID: 54 69 6D 65\n    friendlyName: alipay\nKey Attributes: <No Attributes>\n" + one + "Bag Attributes: <No Attributes>\n" + two),
		"s_client's rulers":           []byte("CONNECTED(00000003)\n---\nCertificate chain\n 0 s:CN = a\n" + one + "---\n" + two + "---\n"),
		"headers":                     []byte(each("KEY-----\nM", "KEY-----\nComment: mine\nX-Note: 1\n\nM")),
		"padding left out":            []byte(each("=", "")),
		"trailing text":               []byte(both + "made by openssl\n"),
		"spaces within the base64":    []byte(each("MI", "M I")),
		"zero-width space in a block": []byte(each("MI", "M\u200bI")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, err := file(data).Blocks()
			if err != nil {
				t.Fatal(err)
			}
			if len(blocks) != 2 || !bytes.Equal(blocks[0].DER, first) || !bytes.Equal(blocks[1].DER, second) || blocks[1].Number != 2 {
				t.Errorf("got %d blocks, want the two", len(blocks))
			}
			if keys, err := privateKeys(file(data)); err != nil || len(keys) != 2 {
				t.Errorf("got %d keys, %v", len(keys), err)
			}
		})
	}
}

// Each row is refused; the error names the file and the block, 0 for the whole file.
func TestBlocksRefused(t *testing.T) {
	t.Parallel()
	key := ecKey(t)
	one, two := encode("PRIVATE KEY", pkcs8(t, key)), encode("PRIVATE KEY", pkcs8(t, ecKey(t)))
	in := func(text, old, with string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in the text", old)
		}
		return strings.Replace(text, old, with, 1)
	}
	begin, end := "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
	narrow := two // in lines of 32 characters, which a comment may have too
	for _, line := range strings.Split(two, "\n") {
		if len(line) > 32 && line[0] != '-' {
			narrow = strings.Replace(narrow, line, line[:32]+"\n"+line[32:], 1)
		}
	}
	for _, tt := range []struct {
		name  string
		data  string
		block int
	}{
		{"nothing", "", 0},
		{"white space", " \n\t\ufeff\n", 0},
		{"only text", "copy the key here", 0},
		{"a path", "/etc/koubei/app.pem", 0},
		{"too large", strings.Repeat("x", 2<<20), 0},
		{"DER", string(pkcs8(t, key)), 0},
		{"NUL bytes", one + "\x00\x00\n" + two, 0},
		{"NUL in a block", in(one, "MI", "M\x00I"), 0},
		{"UTF-16 cut in half a character", string(utf16Of(binary.LittleEndian, "\ufeff"+one)) + "x", 0},
		{"UTF-8, then UTF-16", one + string(utf16Of(binary.LittleEndian, "\ufeff"+two)), 0},
		{"bare base64", strings.NewReplacer(begin, "", end, "").Replace(one), 0},

		{"not base64", one + in(two, "MI", "M!I"), 2},
		{"not base64 in the first", in(one, "MI", "M*I") + two, 1},
		{"typographic dash in the base64", one + in(two, "MI", "M–I"), 2},
		{"equals sign inside", one + in(two, "MI", "M=I"), 2},
		{"characters missing", one + in(two, "MIG", ""), 2},
		{"empty", one + begin + "\n" + end + "\n", 2},
		{"a comment in the block", one + in(two, "\n", "\n# mine\n"), 2},

		{"no END line", one + in(two, end, ""), 2},
		{"no END line before the next", in(one, end, "") + two, 1},
		{"END line cut", one + in(two, end, "-----END PRIV"), 2},
		{"END with four dashes", one + in(two, end, "----END PRIVATE KEY----"), 2},
		{"no BEGIN line", one + in(two, begin, ""), 0},
		{"another END label", one + in(two, end, "-----END CERTIFICATE-----"), 2},
		{"no label", one + strings.NewReplacer("BEGIN PRIVATE KEY", "BEGIN", "END PRIVATE KEY", "END").Replace(two), 0},
		{"lower case", one + strings.NewReplacer(begin, strings.ToLower(begin), end, strings.ToLower(end)).Replace(two), 0},
		{"mixed case", one + strings.NewReplacer("BEGIN", "Begin", "END", "End").Replace(two), 0},
		{"lower case, in narrow lines", one + strings.NewReplacer(begin, strings.ToLower(begin), end, strings.ToLower(end)).Replace(narrow), 0},
		{"three dashes, in narrow lines", one + strings.NewReplacer("-----", "---").Replace(narrow), 0},
		{"no dashes before, in narrow lines", one + strings.NewReplacer("-----BEGIN", "BEGIN", "-----END", "END").Replace(narrow), 0},
		{"no label, in narrow lines", one + strings.NewReplacer(begin, "-----BEGIN-----", end, "-----END-----").Replace(narrow), 0},
		{"four dashes", one + strings.NewReplacer(begin, begin[1:], end, end[1:]).Replace(two), 0},
		{"four dashes at the end", one + strings.NewReplacer(begin, begin[:len(begin)-1], end, end[:len(end)-1]).Replace(two), 0},
		{"typographic dashes", one + strings.NewReplacer("-----", "—————").Replace(two), 0},
		{"no dashes before", one + strings.NewReplacer("-----BEGIN", "BEGIN", "-----END", "END").Replace(two), 0},
		{"no dashes at all", one + strings.ReplaceAll(two, "-----", ""), 0},
		{"glued with a dash missing", strings.TrimSuffix(one, "\n") + two[1:], 0},
		{"BEGIN within a header", in(one, "\n", "\nX: -----BEGIN PRIVATE KEY\n"), 1},
		{"trailing base64", one + base64.StdEncoding.EncodeToString(pkcs8(t, key)), 0},
		{"base64 before", base64.StdEncoding.EncodeToString(pkcs8(t, key)) + "\n" + one, 0},
		{"traditional encryption", one + in(two, "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"), 2},
		{"traditional encryption in one line", strings.ReplaceAll(in(one, "\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"), "\n", " "), 1},
		{"encrypted PKCS #8", one + strings.ReplaceAll(two, "PRIVATE", "ENCRYPTED PRIVATE"), 2},
		{"from cases", string(read(t, "roots.second-bad.pem")), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			blocks, err := file([]byte(tt.data)).Blocks()
			checkRefusal(t, err, tt.block, tt.data)
			if blocks != nil {
				t.Errorf("got %d blocks beside the error", len(blocks))
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, block int, data string) {
	t.Helper()
	e, ok := errors.AsType[*pemfile.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *pemfile.Error", err)
	}
	if e.File != "keys.pem" || e.Block != block || e.Reason == "" {
		t.Errorf("got %+v, want block %d of keys.pem", e, block)
	}
	if quotes(err.Error(), data) {
		t.Errorf("the error quotes the file: %v", err)
	}
}

// quotes reports whether message holds eight base64 characters in a row that the data holds between its lines of dashes.
func quotes(message, data string) bool {
	for line := range strings.Lines(data) {
		if strings.Contains(line, "-") || strings.Contains(line, ":") {
			continue
		}
		for i := 0; i+8 <= len(line); i++ {
			if part := line[i : i+8]; !strings.ContainsAny(part, " \n") && strings.Contains(message, part) {
				return true
			}
		}
	}
	return false
}

// Each row is a block that is well formed but of another kind than wanted: what it is must be named.
func TestKinds(t *testing.T) {
	t.Parallel()
	key := ecKey(t)
	cert := certificate(t, "a", key, nil, nil)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyFile, certFile := write("key.pem", encode("PRIVATE KEY", pkcs8(t, key))), write("cert.pem", encode("CERTIFICATE", cert.Raw))
	openssl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("openssl %s: %v", args[0], err)
		}
		return string(out)
	}
	encrypted := openssl("pkcs8", "-topk8", "-passout", "pass:x", "-in", keyFile)
	encryptedDER, _ := pem.Decode([]byte(encrypted))
	// What each accessor finds; empty: what it wants. damaged stands for an error that finds nothing.
	const damaged = pemfile.Found("damaged")
	all := func(found pemfile.Found) [3]pemfile.Found { return [3]pemfile.Found{found, found, found} }
	isCertificate := [3]pemfile.Found{"", pemfile.Certificate, pemfile.Certificate}
	isPrivate := [3]pemfile.Found{pemfile.PrivateKey, "", pemfile.PrivateKey}
	isPublic := [3]pemfile.Found{pemfile.PublicKey, pemfile.PublicKey, ""}
	for _, tt := range []struct {
		name, text string
		want       [3]pemfile.Found // of Certificate, PrivateKey and PublicKey
	}{
		{"certificate", encode("CERTIFICATE", cert.Raw), isCertificate},
		{"certificate with a key's label", encode("PRIVATE KEY", cert.Raw), isCertificate},
		{"X509 CERTIFICATE", encode("X509 CERTIFICATE", cert.Raw), isCertificate},
		{"trusted certificate", openssl("x509", "-in", certFile, "-trustout", "-addtrust", "serverAuth"), all(pemfile.TrustedCertificate)},
		{"PKCS #8", encode("PRIVATE KEY", pkcs8(t, key)), isPrivate},
		{"PKCS #8 with a certificate's label", encode("CERTIFICATE", pkcs8(t, key)), isPrivate},
		{"SEC 1", encode("EC PRIVATE KEY", sec1), isPrivate},
		{"PKCS #1", openssl("rsa", "-traditional", "-in", "testdata/app.key"), isPrivate},
		{"public key", encode("PUBLIC KEY", public), isPublic},
		{"PKCS #1 public key", openssl("rsa", "-RSAPublicKey_out", "-in", "testdata/app.key"), isPublic},
		{"certificate request", encode("NEW CERTIFICATE REQUEST", request), all(pemfile.CertificateRequest)},
		{"PKCS #7", openssl("crl2pkcs7", "-nocrl", "-certfile", certFile), all(pemfile.PKCS7)},
		{"EC parameters", openssl("ecparam", "-name", "prime256v1"), all(pemfile.Parameters)},
		{"encrypted, with another label", encode("PRIVATE KEY", encryptedDER.Bytes), all(pemfile.EncryptedKey)},
		{"SM2 certificate", string(read(t, "sm2_root.crt")), all(pemfile.SM2Certificate)},
		{"OpenSSH", encode("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00…")), all(pemfile.OpenSSHKey)},
		{"cut short", encode("CERTIFICATE", cert.Raw[:len(cert.Raw)-9]), all(damaged)},
		{"something behind it", encode("CERTIFICATE", append(cert.Raw[:len(cert.Raw):len(cert.Raw)], 1, 2, 3)), all(damaged)},
		{"junk", encode("CERTIFICATE", []byte("junk")), all(damaged)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			blocks, err := file([]byte(tt.text)).Blocks()
			if err != nil || len(blocks) != 1 {
				t.Fatalf("got %d blocks, %v", len(blocks), err)
			}
			_, certErr := blocks[0].Certificate()
			_, privateErr := blocks[0].PrivateKey()
			_, publicErr := blocks[0].PublicKey()
			for i, err := range []error{certErr, privateErr, publicErr} {
				if tt.want[i] == "" {
					if err != nil {
						t.Errorf("accessor %d: got %v", i, err)
					}
					continue
				}
				checkRefusal(t, err, 1, tt.text)
				found := damaged
				if e, ok := errors.AsType[*pemfile.Error](err); ok && e.Found != "" {
					found = e.Found
				}
				if found != tt.want[i] {
					t.Errorf("accessor %d: got %q, want %q", i, found, tt.want[i])
				}
			}
			if got, want := errors.Is(certErr, pemfile.ErrSM2), tt.want[0] == pemfile.SM2Certificate; got != want {
				t.Errorf("ErrSM2: got %t, want %t", got, want)
			}
		})
	}
}

// A file that holds something usable says how to convert it; otherwise the caller's fix stands.
func TestSetting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ label, fix string }{
		{"PRIVATE KEY", "the caller's"},
		{"ENCRYPTED PRIVATE KEY", "decrypt it: openssl pkey -in FILE -out NEWFILE"},
	} {
		_, err := privateKeys(file([]byte(encode(tt.label, []byte("junk")))))
		got := pemfile.Setting("SOME_FILE", err, "the caller's")
		if !slices.Equal(got.Settings, []string{"SOME_FILE"}) || !strings.Contains(got.Problem, err.Error()) || got.Fix != tt.fix {
			t.Errorf("%s: got %+v", tt.label, got)
		}
	}
}

func TestKeyBlock(t *testing.T) {
	t.Parallel()
	key := pkcs8(t, ecKey(t))
	text, bare := encode("PRIVATE KEY", key), base64.StdEncoding.EncodeToString(key)
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for name, data := range map[string]string{
		"PEM":                  text,
		"after EC parameters":  parameters + text,
		"bare base64":          bare,
		"bare, in lines":       bare[:64] + "\r\n" + bare[64:] + "\n",
		"bare, with a mark":    "\ufeff" + bare,
		"bare, UTF-16":         string(utf16Of(binary.LittleEndian, "\ufeff"+bare)),
		"bare, without an end": strings.TrimRight(bare, "="),
		"bare, odd spaces":     "\u00a0" + bare[:9] + " \u200b" + bare[9:],
	} {
		if got, err := file([]byte(data)).KeyBlock(); err != nil || !bytes.Equal(got.DER, key) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, tt := range []struct {
		name, data string
		block      int
	}{
		{"two keys", text + text, 2},
		{"parameters alone", parameters, 0},
		{"no base64", "-" + bare, 0},
		{"a path", "/run/secrets/key", 0},
		{"damaged BEGIN line", strings.Replace(text, "-----BEGIN", "--BEGIN", 1), 0},
		{"empty", "\n", 0},
	} {
		_, err := file([]byte(tt.data)).KeyBlock()
		checkRefusal(t, err, tt.block, tt.data)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	key := ecKey(t)
	a, b := encode("CERTIFICATE", certificate(t, "a", key, nil, nil).Raw), encode("CERTIFICATE", certificate(t, "b", key, nil, nil).Raw)
	for _, tt := range []struct {
		name, data string
		want       int // certificates
		block      int // that is refused
	}{
		{"one", a, 1, 0},
		{"two", a + b, 2, 0},
		{"one of them twice", a + b + a, 2, 0},
		{"and a key", a + encode("PRIVATE KEY", pkcs8(t, key)), 0, 2},
		{"and an SM2 root", a + string(read(t, "sm2_root.crt")), 0, 2},
		{"from cases", string(read(t, "alipay.bom.pem")), 2, 0},
	} {
		certs, err := file([]byte(tt.data)).Certificates()
		if len(certs) != tt.want {
			t.Errorf("%s: got %d certificates, %v, want %d", tt.name, len(certs), err, tt.want)
		}
		if tt.want == 0 {
			checkRefusal(t, err, tt.block, tt.data)
		}
		if pool, err := file([]byte(tt.data)).Pool(); (err == nil) != (tt.want > 0) || err == nil && pool.Equal(x509.NewCertPool()) {
			t.Errorf("%s: pool: got %v", tt.name, err)
		}
	}
}

// privateKeys returns all private keys of a file.
func privateKeys(f pemfile.File) ([]crypto.Signer, error) {
	blocks, err := f.KeyBlocks()
	if err != nil {
		return nil, err
	}
	var keys []crypto.Signer
	for _, b := range blocks {
		key, err := b.PrivateKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Keys of every kind that a TLS client may have.
func TestPrivateKeys(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data := encode("PRIVATE KEY", pkcs8(t, ecKey(t))) + encode("PRIVATE KEY", pkcs8(t, ed)) + string(read(t, "app.key"))
	keys, err := privateKeys(file([]byte(data)))
	if err != nil || len(keys) != 3 {
		t.Fatalf("got %d keys, %v", len(keys), err)
	}
	for i, want := range []string{"an EC key", "an Ed25519 key", "an RSA key"} {
		if got := pemfile.KeyName(keys[i]); got != want || pemfile.KeyName(keys[i].Public()) != want {
			t.Errorf("key %d: got %s, want %s", i, got, want)
		}
	}
	_, err = privateKeys(file([]byte(data + string(read(t, "app.crt")))))
	checkRefusal(t, err, 4, data)
	if keys, err := privateKeys(file(read(t, "assert.bom.pem"))); err != nil || len(keys) != 2 {
		t.Errorf("from cases: got %d keys, %v", len(keys), err)
	}
}

func TestKeyPair(t *testing.T) {
	t.Parallel()
	rootKey, middleKey, leafKey := ecKey(t), ecKey(t), ecKey(t)
	root := certificate(t, "root", rootKey, nil, nil)
	middle := certificate(t, "middle", middleKey, root, rootKey)
	leaf := certificate(t, "leaf", leafKey, middle, middleKey)
	stranger := certificate(t, "stranger", ecKey(t), nil, nil)
	pems := func(certs ...*x509.Certificate) []byte {
		var text string
		for _, cert := range certs {
			text += encode("CERTIFICATE", cert.Raw)
		}
		return []byte(text)
	}
	key := file([]byte(encode("PRIVATE KEY", pkcs8(t, leafKey))))
	for _, tt := range []struct {
		name  string
		certs []byte
		chain []*x509.Certificate
	}{
		{"alone", pems(leaf), []*x509.Certificate{leaf}},
		{"in order", pems(leaf, middle), []*x509.Certificate{leaf, middle}},
		{"reversed", pems(middle, leaf), []*x509.Certificate{leaf, middle}},
		{"with the root", pems(root, middle, leaf), []*x509.Certificate{leaf, middle, root}},
		{"with the root and a stranger", pems(stranger, root, middle, leaf), []*x509.Certificate{leaf, middle, root}},
		{"with a stranger", pems(stranger, leaf, middle), []*x509.Certificate{leaf, middle}},
	} {
		pair, err := pemfile.KeyPair(file(tt.certs), key)
		if err != nil || len(pair.Certificate) != len(tt.chain) || !leafKey.Equal(pair.PrivateKey) || !leaf.Equal(pair.Leaf) {
			t.Errorf("%s: got %d certificates, %v", tt.name, len(pair.Certificate), err)
			continue
		}
		for i, cert := range tt.chain {
			if !bytes.Equal(pair.Certificate[i], cert.Raw) {
				t.Errorf("%s: certificate %d is another one", tt.name, i)
			}
		}
	}
	for name, bad := range map[string][2]pemfile.File{
		"another key":     {file(pems(middle, stranger)), key},
		"key for the two": {key, key},
		"certificate too": {file(pems(leaf)), file(pems(leaf))},
		"two keys":        {file(pems(leaf)), file(append(key.Data, key.Data...))},
	} {
		if _, err := pemfile.KeyPair(bad[0], bad[1]); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// However a file is damaged: every BEGIN line begins a block, or the file is refused; and no error quotes it.
func FuzzBlocks(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	block := encode("PRIVATE KEY", pkcs8(f, key))
	for _, seed := range []string{block, block + block, "\ufeff" + block, strings.ReplaceAll(block, "\n", `\n`), "Bag Attributes\n" + block, strings.ToLower(block),
		strings.Replace(block, "-----END", "----END", 1), "-----BEGIN X-----\nA: b\n\nAAAA\n-----END X-----", block + "-----BEGINCERT",
		strings.TrimSpace(block) + "--BEGIN", strings.TrimSpace(block) + "BEGIN"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := file(data).Blocks()
		if err != nil {
			e, ok := errors.AsType[*pemfile.Error](err)
			if !ok || blocks != nil || e.Block > bytes.Count(data, []byte("BEGIN"))+bytes.Count(data, []byte("B\x00")) {
				t.Errorf("got %v beside %d blocks", err, len(blocks))
			}
			return
		}
		text := strings.ReplaceAll(string(data), "\ufeff", "")
		isUTF16 := bytes.IndexByte(data, 0) >= 0 || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff"))
		if !isUTF16 && len(blocks) != strings.Count(text, "-----BEGIN") {
			t.Errorf("got %d blocks of %q", len(blocks), data)
		}
		for _, b := range blocks {
			for _, read := range []func() error{
				func() error { _, err := b.Certificate(); return err },
				func() error { _, err := b.PrivateKey(); return err },
				func() error { _, err := b.PublicKey(); return err },
			} {
				if err := read(); err != nil && strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(b.DER)) && len(b.DER) > 8 {
					t.Errorf("quotes the block: %v", err)
				}
			}
		}
	})
}
