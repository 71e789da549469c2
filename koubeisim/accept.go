package koubeisim

import (
	"net/http"
	"strings"
	"time"
)

// Alipay's clock, by a fixed offset: the zone has had no summer time since 1991, and slim images carry no zone data.
var chinaTime = time.FixedZone("GMT+8", 8*60*60)

const (
	timestampLayout = "2006-01-02 15:04:05"
	tolerance       = 15 * time.Minute // the platform documents none
)

// The methods that this gateway knows.
const (
	methodOAuthQuery   = "koubei.member.data.oauth.query"
	methodCertDownload = "alipay.open.app.alipaycert.download"
)

// question is what a call asks, once it is known who asks.
type question struct {
	method    string
	code      string // of the OAuth query
	certSN    string // of the certificate download
	encrypted bool   // so the answer is, too
}

// accept reads a call and refuses what the real gateway refuses, and a little more. Nothing is spent on the way.
func (k *Koubei) accept(w http.ResponseWriter, r *http.Request) (request, question, error) {
	req, err := readRequest(w, r)
	q := question{method: req.params["method"]}
	if err != nil {
		return req, q, err
	}
	for _, check := range []func(request) error{k.checkApp, k.checkCharset, k.checkSignature, checkCall, k.checkTime} {
		if err := check(req); err != nil {
			return req, q, err
		}
	}
	err = k.readQuestion(req, &q)
	return req, q, err
}

// checkApp comes before the signature: without an application there is no key to check with, nor one to sign with.
func (k *Koubei) checkApp(req request) error {
	appID, given := req.params["app_id"]
	if !given {
		v := missing("isv.missing-app-id", "缺少AppID参数")
		v.unsigned = true
		return v
	}
	if appID != k.appID {
		return invalidAppID
	}
	if k.certs == nil {
		return nil
	}
	return k.certs.checkSerials(req)
}

func (k *Koubei) checkCharset(req request) error {
	if k.charset != "" && !strings.EqualFold(k.charset, req.params["charset"]) {
		return invalid("isv.invalid-charset", "字符集错误，应用约定的字符集是"+k.charset)
	}
	return nil
}

func (k *Koubei) checkSignature(req request) error {
	signType, given := req.params["sign_type"]
	switch {
	case !given:
		return missing("isv.missing-signature-type", "缺少签名类型参数")
	case digests[signType] == 0:
		return invalid("isv.invalid-signature-type", "无效的签名类型")
	case signType != k.signType:
		return noSignatureConfig
	case req.params["sign"] == "":
		return missing("isv.missing-signature", "缺少签名参数")
	}
	for _, value := range req.params {
		if value == "" {
			return invalidSignature // an empty value is neither signed nor sent: the platform's text drops it
		}
	}
	if !verify(k.appKey, signType, req.signedContent(), req.params["sign"]) {
		v := invalidSignature
		v.subMsg += "，网关的待签名字符串为：" + quotedContent(req)
		return v
	}
	return nil
}

// quotedContent is the gateway's own string to sign, as its answers quote it: escaped as if for HTML.
func quotedContent(req request) string {
	content, err := req.answer.decode(string(req.signedContent()))
	if err != nil {
		return "（不是" + req.answer.name + "）"
	}
	return strings.ReplaceAll(content, "&", "&amp;")
}

// longest holds the documented lengths. Those of app_id and sign are left out: the signature of a 2048-bit key is longer
// than documented.
var longest = map[string]int{
	"method": 128, "format": 40, "charset": 10, "sign_type": 10, "timestamp": 19, "version": 3,
}

func checkCall(req request) error {
	for name, n := range longest {
		if len(req.params[name]) > n {
			return invalid("isv.invalid-parameter", "参数过长："+name)
		}
	}
	format, formatted := req.params["format"]
	switch {
	case req.params["method"] == "":
		return missing("isv.missing-method", "缺少方法名参数")
	case nodeNames[req.params["method"]] == "":
		return invalid("isv.invalid-method", "不存在的方法名")
	case req.params["version"] == "":
		return missing("isv.missing-version", "缺少版本参数")
	case req.params["version"] != "1.0":
		return invalid("isv.invalid-parameter", "版本参数只能是1.0")
	case formatted && !strings.EqualFold(format, "JSON"):
		return invalid("isv.invalid-format", "无效的数据格式")
	case len(req.params["app_auth_token"]) > 40:
		return invalidToken
	}
	return nil
}

func (k *Koubei) checkTime(req request) error {
	text, given := req.params["timestamp"]
	if !given {
		return missing("isv.missing-timestamp", "缺少时间戳参数")
	}
	sent, err := time.ParseInLocation(timestampLayout, text, chinaTime)
	if err != nil || sent.Format(timestampLayout) != text || k.now().Sub(sent).Abs() > tolerance {
		return invalid("isv.invalid-timestamp", "非法的时间戳参数，应为GMT+8时间，格式yyyy-MM-dd HH:mm:ss")
	}
	return nil
}
