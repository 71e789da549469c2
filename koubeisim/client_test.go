package koubeisim_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"koubei-landing/koubeisim"
)

// noon is the time of these tests and of the vectors.
var noon = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 8*60*60))

var merchant = koubeisim.Person{OperatorID: "2088102150477653", OperatorType: "MER", PartnerID: "2088102150477653"}

// world is a simulator on a real listener, with a client that has its own code for signing.
type world struct {
	t      *testing.T
	koubei *koubeisim.Koubei
	server *httptest.Server
	http   *http.Client
	now    time.Time

	key      *rsa.PrivateKey
	signType string
	charset  string
	aesKey   []byte
	certs    map[string]string // certificate parameters
}

func newWorld(t *testing.T, o koubeisim.Options) *world {
	t.Helper()
	w := newOffline(t, o)
	w.server = httptest.NewServer(w.koubei.Handler())
	t.Cleanup(w.server.Close)
	t.Cleanup(func() { w.koubei.Release() })
	w.http = &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(w.http.CloseIdleConnections)
	return w
}

// newOffline returns a world without a network, for testing/synctest.
func newOffline(t *testing.T, o koubeisim.Options) *world {
	t.Helper()
	w := &world{t: t, now: noon, signType: "RSA2", charset: "utf-8"}
	if o.SignType != "" {
		w.signType = o.SignType
	}
	w.aesKey = o.EncryptKey
	if o.AppPublicKey == "" {
		o.AppPrivateKey = testdata(t, "keys/app_private_pkcs8.b64")
	}
	o.AlipayPrivateKey = testdata(t, "keys/alipay_private_pkcs8.b64")
	if o.Now == nil {
		o.Now = func() time.Time { return w.now }
	}
	var err error
	if w.koubei, err = koubeisim.New(o); err != nil {
		t.Fatal(err)
	}
	if private := w.koubei.AppPrivateKey(); private != "" {
		w.key = privateKey(t, private)
	}
	return w
}

// call is a request before it is signed.
type call struct {
	query, form url.Values
	header      http.Header
	method      string
	after       func(*call) // once signed
}

func (w *world) query(code string) *call {
	biz, _ := json.Marshal(map[string]string{"auth_type": "pay_member", "code": code})
	return w.ask("koubei.member.data.oauth.query", string(biz))
}

func (w *world) ask(method, biz string) *call {
	c := &call{
		query: url.Values{
			"app_id": {w.koubei.AppID()}, "method": {method}, "charset": {w.charset}, "sign_type": {w.signType},
			"timestamp": {w.now.In(noon.Location()).Format(time.DateTime)}, "version": {"1.0"},
		},
		form:   url.Values{},
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=" + w.charset}},
		method: http.MethodPost,
	}
	for name, value := range w.certs {
		c.query.Set(name, value)
	}
	biz = string(encode(w.t, w.charset, biz))
	if w.aesKey != nil {
		c.query.Set("encrypt_type", "AES")
		biz = crypt(w.t, w.aesKey, biz)
	}
	c.form.Set("biz_content", biz)
	return c
}

// response is what came back, parsed by the tests' own code.
type response struct {
	status   int
	header   http.Header
	body     []byte
	err      error
	node     string
	fields   map[string]any
	verified bool
	certSN   string
}

func (a response) text(name string) string {
	s, _ := a.fields[name].(string)
	return s
}

func (w *world) send(c *call) response {
	w.t.Helper()
	return w.sendAs(context.Background(), c)
}

func (w *world) sendAs(ctx context.Context, c *call) response {
	w.t.Helper()
	res, err := w.http.Do(w.request(c).WithContext(ctx))
	if err != nil {
		return response{err: err}
	}
	return w.receive(res)
}

// request signs the call.
func (w *world) request(c *call) *http.Request {
	w.t.Helper()
	c.query.Set("sign", w.sign(c))
	if c.after != nil {
		c.after(c)
	}
	r, err := http.NewRequest(c.method, w.address()+"/gateway.do?"+c.query.Encode(), strings.NewReader(c.form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header = c.header
	return r
}

// in returns the same world for a row of a test, because making keys takes time.
func (w *world) in(t *testing.T) *world {
	row := *w
	row.t = t
	return &row
}

func (w *world) address() string {
	if w.server == nil {
		return ""
	}
	return w.server.URL
}

// recordResponse calls the handler of an offline world.
func recordResponse(w *world, r *http.Request) response {
	rec := httptest.NewRecorder()
	w.koubei.Gateway().ServeHTTP(rec, r)
	return w.receive(rec.Result())
}

func (w *world) receive(res *http.Response) response {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := response{status: res.StatusCode, header: res.Header, body: body, err: err}
	w.read(&a)
	return a
}

func (w *world) sign(c *call) string {
	w.t.Helper()
	all := url.Values{}
	maps.Copy(all, c.form)
	maps.Copy(all, c.query)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != "sign" && all.Get(name) != "" {
			parts = append(parts, name+"="+all.Get(name))
		}
	}
	raw, err := rsa.SignPKCS1v15(nil, w.key, hashes[w.signType], digest(w.signType, []byte(strings.Join(parts, "&"))))
	if err != nil {
		w.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// read verifies with Alipay's current key, and keeps the fields of the node even if that fails.
func (w *world) read(a *response) {
	charset := strings.TrimPrefix(a.header.Get("Content-Type"), "text/html;charset=")
	text, err := decode(charset, a.body)
	if err != nil {
		return
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(text), &members) != nil {
		return
	}
	var signature string
	json.Unmarshal(members["sign"], &signature)
	json.Unmarshal(members["alipay_cert_sn"], &a.certSN)
	for name, value := range members {
		if !strings.HasSuffix(name, "_response") {
			continue
		}
		raw, _ := base64.StdEncoding.DecodeString(signature)
		der, _ := base64.StdEncoding.DecodeString(w.koubei.AlipayPublicKey())
		public, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			w.t.Fatal(err)
		}
		signed := digest(w.signType, encode(w.t, charset, string(value)))
		a.node = name
		a.verified = rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), hashes[w.signType], signed, raw) == nil
		var cipherText string
		if json.Unmarshal(value, &cipherText) == nil {
			plain, err := decode(charset, decrypt(w.t, w.aesKey, cipherText))
			if err != nil {
				w.t.Fatal(err)
			}
			value = []byte(plain)
		}
		json.Unmarshal(value, &a.fields)
	}
}

var hashes = map[string]crypto.Hash{"RSA": crypto.SHA1, "RSA2": crypto.SHA256}

func digest(signType string, content []byte) []byte {
	h := hashes[signType].New()
	h.Write(content)
	return h.Sum(nil)
}

func codec(name string) encoding.Encoding {
	switch strings.ToLower(name) {
	case "gbk", "gb2312":
		return simplifiedchinese.GBK
	case "gb18030":
		return simplifiedchinese.GB18030
	}
	return encoding.Nop
}

func encode(t *testing.T, charset, text string) []byte {
	t.Helper()
	raw, err := codec(charset).NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(charset string, raw []byte) (string, error) {
	text, err := codec(charset).NewDecoder().Bytes(raw)
	return string(text), err
}

func crypt(t *testing.T, key []byte, text string) string {
	t.Helper()
	n := 16 - len(text)%16
	raw := append([]byte(text), bytes.Repeat([]byte{byte(n)}, n)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(raw, raw)
	return base64.StdEncoding.EncodeToString(raw)
}

func decrypt(t *testing.T, key []byte, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(raw, raw)
	return raw[:len(raw)-int(raw[len(raw)-1])]
}

func privateKey(t *testing.T, bare string) *rsa.PrivateKey {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(bare))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// certificatesIn returns the certificates that Go can read, and the number of all.
func certificatesIn(t *testing.T, bundle []byte) (readable []*x509.Certificate, all int) {
	t.Helper()
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		all++
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			readable = append(readable, cert)
		}
	}
	return readable, all
}
