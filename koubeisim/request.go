package koubeisim

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// chinaTime is the time zone of timestamps, with a fixed offset because slim images have no zone data.
var chinaTime = time.FixedZone("GMT+8", 8*60*60)

const (
	maxRequest = 64 << 10
	tolerance  = 15 * time.Minute // of timestamps; the platform documents none

	// The methods of this gateway.
	methodOAuthQuery   = "koubei.member.data.oauth.query"
	methodCertDownload = "alipay.open.app.alipaycert.download"
)

// request is a gateway call. The values of params are the bytes as sent, because signed text is never transcoded.
type request struct {
	query   url.Values
	params  map[string]string
	charset charset // of the request and the response
	method  string

	code      string // of the OAuth query
	certSN    string // of the certificate download
	encrypted bool   // so the response is encrypted too
}

// accept parses a call and refuses what the real gateway refuses, and a little more. It spends nothing.
func (k *Koubei) accept(w http.ResponseWriter, r *http.Request) (request, error) {
	req := request{params: map[string]string{}, charset: gbkCharset}
	for _, step := range []func() error{
		func() error { return req.parse(w, r) },
		func() error { return k.checkApp(req) },
		func() error { return k.checkSignature(req) },
		func() error { return k.checkParams(req) },
		func() error { return k.readBizContent(&req) },
	} {
		if err := step(); err != nil {
			return req, err
		}
	}
	return req, nil
}

// parse merges query and body, as the gateway does. Only charset has a fixed place: the query. A gateway that does not find
// it there assumes GBK, for the response too.
func (req *request) parse(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return notAForm
	}
	req.query = query
	name := query.Get("charset")
	spoken, known := charsetNamed(name)
	if known {
		req.charset = spoken
	}
	kind, extra, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return notAForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return notAForm
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return notAForm
	}
	for _, part := range []url.Values{query, form} {
		for name, values := range part {
			before, twice := req.params[name]
			// Only charset may be in both places: the official .NET SDK sends it so.
			if len(values) > 1 || twice && (name != "charset" || before != values[0]) {
				return repeatedParam
			}
			req.params[name] = values[0]
		}
	}
	req.method = req.params["method"]
	if !known || !strings.EqualFold(extra["charset"], name) {
		return charsetLost
	}
	return nil
}

// signedContent returns the string to sign: all parameters but the signature, sorted by name in byte order, with raw values.
func (req request) signedContent() []byte {
	var pairs [][2]string
	for name, value := range req.params {
		if name != "sign" {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	var content []string
	for _, p := range pairs {
		content = append(content, p[0]+"="+p[1])
	}
	return []byte(strings.Join(content, "&"))
}

// checkApp comes before the signature: without an application there is no key to verify with, and none to sign with.
func (k *Koubei) checkApp(req request) error {
	appID, given := req.params["app_id"]
	switch {
	case !given:
		return missing("isv.missing-app-id", "缺少AppID参数").withoutSignature()
	case appID != k.o.AppID:
		return invalidAppID
	case k.certs != nil:
		if err := k.certs.checkSerials(req); err != nil {
			return err
		}
	}
	if k.o.Charset != "" && !strings.EqualFold(k.o.Charset, req.params["charset"]) {
		return invalid("isv.invalid-charset", "字符集错误，应用约定的字符集是"+k.o.Charset)
	}
	return nil
}

func (k *Koubei) checkSignature(req request) error {
	signType, given := req.params["sign_type"]
	switch {
	case !given:
		return missing("isv.missing-signature-type", "缺少签名类型参数")
	case hashes[signType] == 0:
		return invalid("isv.invalid-signature-type", "无效的签名类型")
	case signType != k.o.SignType:
		return noSignatureConfig
	case req.params["sign"] == "":
		return missing("isv.missing-signature", "缺少签名参数")
	}
	for _, value := range req.params {
		if value == "" {
			return invalidSignature // the platform signs no empty values, and clients must not send them
		}
	}
	if verify(k.appKey, signType, req.signedContent(), req.params["sign"]) {
		return nil
	}
	// The real gateway quotes its string to sign, escaped for HTML.
	quoted := "（不是" + req.charset.name + "）"
	if content, err := req.charset.decode(string(req.signedContent())); err == nil {
		quoted = strings.ReplaceAll(content, "&", "&amp;")
	}
	v := invalidSignature
	v.subMsg += "，网关的待签名字符串为：" + quoted
	return v
}

// longest holds the documented lengths, except those of app_id and sign: signatures of 2048-bit keys are longer than
// documented.
var longest = map[string]int{"method": 128, "format": 40, "charset": 10, "sign_type": 10, "timestamp": 19, "version": 3}

func (k *Koubei) checkParams(req request) error {
	for name, n := range longest {
		if len(req.params[name]) > n {
			return invalid("isv.invalid-parameter", "参数过长："+name)
		}
	}
	format, formatted := req.params["format"]
	timestamp, timed := req.params["timestamp"]
	sent, err := time.ParseInLocation(time.DateTime, timestamp, chinaTime)
	switch {
	case req.method == "":
		return missing("isv.missing-method", "缺少方法名参数")
	case nodeNames[req.method] == "":
		return invalid("isv.invalid-method", "不存在的方法名")
	case req.params["version"] == "":
		return missing("isv.missing-version", "缺少版本参数")
	case req.params["version"] != "1.0":
		return invalid("isv.invalid-parameter", "版本参数只能是1.0")
	case formatted && !strings.EqualFold(format, "JSON"):
		return invalid("isv.invalid-format", "无效的数据格式")
	case len(req.params["app_auth_token"]) > 40:
		return invalidToken
	case !timed:
		return missing("isv.missing-timestamp", "缺少时间戳参数")
	case err != nil || sent.Format(time.DateTime) != timestamp || k.o.Now().Sub(sent).Abs() > tolerance:
		return invalid("isv.invalid-timestamp", "非法的时间戳参数，应为GMT+8时间，格式yyyy-MM-dd HH:mm:ss")
	}
	return nil
}

// readBizContent reads biz_content: a JSON object of strings, encrypted if the application has an AES key. The download of
// a certificate may be plain even then.
func (k *Koubei) readBizContent(req *request) error {
	raw, given := req.params["biz_content"]
	kind, encrypted := req.params["encrypt_type"]
	switch {
	case !given:
		return missing("isv.missing-parameter", "缺少biz_content参数")
	case encrypted && (kind != "AES" || len(k.o.EncryptKey) == 0):
		return invalid("isv.invalid-encrypt-type", "无效的加密类型，或应用未设置接口内容加密方式")
	case !encrypted && len(k.o.EncryptKey) > 0 && req.method == methodOAuthQuery:
		return missing("isv.decryption-error-missing-encrypt-type", "解密出错，未指定加密算法")
	case encrypted:
		if raw, req.encrypted = decryptAES(k.o.EncryptKey, raw); !req.encrypted {
			return cannotDecrypt
		}
	}
	text, err := req.charset.decode(raw)
	if err != nil {
		return invalid("isv.invalid-charset", "biz_content的字符集与charset参数不符")
	}
	members, err := readObject(text)
	if err != nil {
		return invalid("isv.illegal-json", "biz_content不是合法的JSON")
	}
	ok := false
	if req.method == methodCertDownload {
		req.certSN = members["alipay_cert_sn"]
		ok = req.certSN != "" && len(members) == 1
	} else {
		req.code = members["code"]
		ok = validQuery(members)
	}
	if !ok {
		return invalidParameter
	}
	return nil
}

// validQuery accepts what the method documents, and nothing else.
func validQuery(members map[string]string) bool {
	for name := range members {
		if name != "auth_type" && name != "code" && name != "ext_info" {
			return false
		}
	}
	ext, given := members["ext_info"]
	if given && (utf8.RuneCountInString(ext) > 512 || !json.Valid([]byte(ext))) {
		return false
	}
	return members["auth_type"] == "pay_member" && members["code"] != "" && len(members["code"]) <= 32
}

var errNotAnObject = errors.New("not one JSON object of strings without repeated names")

// readObject is stricter than encoding/json: no name may be repeated, and case matters.
func readObject(text string) (map[string]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotAnObject
	}
	members := map[string]string{}
	for d.More() {
		name, _ := d.Token()
		value, _ := d.Token()
		key, isName := name.(string)
		s, isString := value.(string)
		if _, twice := members[key]; twice || !isName || !isString {
			return nil, errNotAnObject
		}
		members[key] = s
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotAnObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotAnObject
	}
	return members, nil
}
