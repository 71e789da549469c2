package koubeisim

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// behavior is what a fault does. The zero behavior is a correct response.
type behavior struct {
	fault  Fault
	group  group
	zh, en string // for the portal and the control API
	effect
}

type effect struct {
	before  func(*Koubei, context.Context) error             // waits before the code is spent
	unspent bool                                             // the code is not spent
	says    *verdict                                         // replaces what was decided
	after   func(*Koubei, context.Context) error             // waits before the response
	change  func(*Koubei, *reply)                            // changes the response
	send    func(http.ResponseWriter, *http.Request, *reply) // replaces sending it
	prepare func(*Koubei)                                    // makes keys when the fault is queued, because that takes time
}

// group is a group of faults on the portal.
type group string

const (
	network  group = "network"
	refusal  group = "refusal"
	forgery  group = "forgery"
	content  group = "content"
	spelling group = "spelling"
)

func (f Fault) behavior() behavior {
	if delay, ok := strings.CutPrefix(string(f), string(Slow)+":"); ok {
		d, _ := time.ParseDuration(delay) // ParseFault has checked it
		return behavior{f, network, "等待 " + delay + " 之后才处理", "waits " + delay + " before anything is done",
			effect{before: func(_ *Koubei, ctx context.Context) error { return wait(ctx, d) }}}
	}
	for _, b := range behaviors {
		if b.fault == f {
			return b
		}
	}
	return behavior{}
}

// behaviors has a row for each fault, in the order of the portal.
var behaviors = []behavior{
	{Drop, network, "连接被切断，授权码未消耗", "cuts the connection; the code is not spent", effect{unspent: true, send: cut}},
	{SpendThenDrop, network, "授权码已消耗，随后连接被切断", "spends the code, then cuts the connection", effect{send: cut}},
	{DropMidway, network, "授权码已消耗，响应传到一半时连接被切断", "spends the code, and cuts the connection in the middle of the response", effect{send: cutMidway}},
	{Truncated, network, "授权码已消耗，响应不完整但看似完整", "spends the code; half a response arrives as if it were whole", effect{send: half}},
	{Empty, network, "响应为空", "an empty response", effect{unspent: true, send: page(http.StatusOK, "")}},
	{Slow, network, "等待之后才处理", "waits before anything is done", effect{before: (*Koubei).slow}},
	{SpendThenSlow, network, "授权码已消耗，等待之后才响应", "spends the code, then waits", effect{after: (*Koubei).slow}},
	{Hold, network, "挂起，放行后才处理", "waits for the release before anything is done", effect{before: (*Koubei).hold}},
	{SpendThenHold, network, "授权码已消耗，放行后才响应", "spends the code, then waits for the release", effect{after: (*Koubei).hold}},
	{HTML, network, "状态码 200，但响应是网页", "a web page with status 200", effect{unspent: true, send: page(http.StatusOK, "<html><body>系统维护中</body></html>")}},
	{Status500, network, "状态码 500", "status 500", effect{unspent: true, send: page(http.StatusInternalServerError, "<html><body>Internal Server Error</body></html>")}},
	{Status502, network, "状态码 502", "status 502", effect{unspent: true, send: page(http.StatusBadGateway, "<html><body>Bad Gateway</body></html>")}},
	{Redirect, network, "重定向到网关自身（307）", "a redirect (307) to the gateway itself", effect{unspent: true, send: redirect}},
	{Garbage, network, "响应是乱码", "bytes that are not text", effect{unspent: true, send: page(http.StatusOK, "\xff\xfe\x00\x80\x1b{\"\xc3")}},
	{Huge, network, "授权码已消耗，响应长达 32 MiB", "spends the code; the response has 32 MiB", effect{send: huge}},
	{Trailing, network, "授权码已消耗，响应之后还有多余内容", "spends the code; more text follows the response", changed(func(a *reply) { a.trailer = `{"code":"10000"}` })},

	{Busy, refusal, "系统繁忙（20000）", "busy (20000)", refuses(busy)},
	{BusyUnsigned, refusal, "系统繁忙（20000），无签名", "busy (20000), unsigned", refuses(busyGateway)},
	{BusyNoCertSN, refusal, "系统繁忙（20000），没有 alipay_cert_sn", "busy (20000), without alipay_cert_sn", refuses(busy, noCertSN)},
	{SpendThenBusy, refusal, "授权码已消耗，却返回系统繁忙（20000）", "spends the code, but responds busy (20000)", effect{says: &busy}},
	{SystemError, refusal, "系统错误（SYSTEM_ERROR）", "SYSTEM_ERROR", refuses(systemError)},
	{Limited, refusal, "调用次数超限（40005）", "too many calls (40005)", refuses(limited)},
	{NotExist, refusal, "授权码不存在（AUTH_CODE_NOT_EXIST），与实际授权码无关", "AUTH_CODE_NOT_EXIST, whatever the code", refuses(authCodeNotExist)},
	{Expired, refusal, "授权码过期（AUTH_CODE_EXPIRES），与实际授权码无关", "AUTH_CODE_EXPIRES, whatever the code", refuses(authCodeExpires)},
	{ExpiredNoCertSN, refusal, "授权码过期（AUTH_CODE_EXPIRES），没有 alipay_cert_sn", "AUTH_CODE_EXPIRES, without alipay_cert_sn", refuses(authCodeExpires, noCertSN)},
	{AccessDenied, refusal, "无权访问（ACCESS_NOT_ALLOWED）", "ACCESS_NOT_ALLOWED", refuses(accessNotAllowed)},
	{InvalidParameter, refusal, "参数有误（INVALID_PARAMETER）", "INVALID_PARAMETER", refuses(invalidParameter)},
	{PrefixedNotExist, refusal, "isv.AUTH_CODE_NOT_EXIST，带有其他接口的前缀", "isv.AUTH_CODE_NOT_EXIST, with the prefix of other interfaces", refuses(business("isv.AUTH_CODE_NOT_EXIST", "授权码不存在"))},
	{UnknownError, refusal, "文档之外的业务错误", "an undocumented business error", refuses(business("KOUBEI_IS_CLOSED", "未知的业务错误"))},
	{InvalidAppID, refusal, "无效的 APPID（isv.invalid-app-id），无签名", "isv.invalid-app-id, unsigned", refuses(invalidAppID)},
	{InvalidSignature, refusal, "验签出错（isv.invalid-signature）", "isv.invalid-signature", refuses(invalidSignature)},
	{NoSignConfig, refusal, "未配置公钥（isv.missing-signature-config），无签名", "isv.missing-signature-config, unsigned", refuses(noSignatureConfig)},
	{NoPermission, refusal, "ISV 权限不足（isv.insufficient-isv-permissions）", "isv.insufficient-isv-permissions", refuses(noPermission)},
	{TokenTimeOut, refusal, "应用授权令牌已过期（aop.app-auth-token-time-out）", "aop.app-auth-token-time-out", refuses(tokenTimeOut)},
	{ErrorNode, refusal, "error_response 中的 isv.code-invalid，有签名", "isv.code-invalid in error_response, signed", refuses(codeInvalid, inErrorNode)},
	{ErrorNodeUnsigned, refusal, "error_response 中的 isv.code-invalid，无签名", "isv.code-invalid in error_response, unsigned", refuses(codeInvalid.withoutSignature(), inErrorNode)},
	{NullSign, refusal, "无效的 APPID，sign 为 null", "isv.invalid-app-id with \"sign\":null", refuses(invalidAppID, signature("null"))},
	{NumberErrorCode, refusal, "无效的 APPID，code 是数字，无签名", "isv.invalid-app-id with the code as a number, unsigned", refuses(invalidAppID, put(field{"code", invalidAppID.code, true}))},
	{OtherNodeError, refusal, "无效的 APPID，节点名称不同，无签名", "isv.invalid-app-id in a node with another name, unsigned", refuses(invalidAppID, otherNode)},

	{WrongKey, forgery, "用其他密钥签名", "signed with another key", effect{prepare: makeStranger, change: func(k *Koubei, a *reply) { a.key = k.stranger() }}},
	{Unsigned, forgery, "成功的响应没有签名", "a success without its signature", changed(func(a *reply) { a.key = nil })},
	{UnsignedExpired, forgery, "授权码过期（AUTH_CODE_EXPIRES），没有签名，授权码未消耗", "AUTH_CODE_EXPIRES without a signature; the code is not spent", refuses(authCodeExpires.withoutSignature())},
	{BadSignature, forgery, "签名不是 Base64", "the signature is not base64", changed(signature(`"!not base64!"`))},
	{EmptySignature, forgery, "签名为空字符串", "the signature is an empty string", changed(signature(`""`))},
	{Tampered, forgery, "签名之后操作人被篡改", "another operator, inserted after signing", changed(func(a *reply) { a.forged = forge(a.fields) })},
	{SecondNode, forgery, "正确的节点之后有伪造的同名节点", "a forged node of the same name follows the correct one", changed(func(a *reply) { a.last = a.forgedMember(quote(a.node, a.charset)) })},
	{EscapedSecondNode, forgery, "同上，但节点名称经过转义", "the same, with an escape in its name", changed(func(a *reply) { a.last = a.forgedMember(`"\u006b` + a.node[1:] + `"`) })},
	{ForeignNode, forgery, "正确的节点之前有伪造的其他节点", "a forged object with another name precedes the correct node", changed(func(a *reply) { a.first = a.forgedMember(`"koubei_member_data_oauth_query"`) })},
	{BothNodes, forgery, "同时有正确的节点和 error_response", "the correct node and an error_response", changed(func(a *reply) { a.last = []string{`"` + errorNode + `":` + a.value(codeInvalid.fields(), a.style)} })},
	{SuccessAsError, forgery, "有签名的成功内容放在 error_response 中", "a signed success in error_response", changed(inErrorNode)},
	{OtherNode, forgery, "其他接口的成功响应，有签名", "a signed success of another method", changed(otherNode)},
	{UnknownCert, forgery, "无法下载 alipay_cert_sn 对应的证书", "an alipay_cert_sn whose download is refused", effect{prepare: makeStranger, change: unknownCert}},
	{RogueCert, forgery, "用其他根证书签发的证书签名", "signed with a certificate that leads to another root", effect{prepare: makeRogueCert, change: rogueCert}},
	{NoCertSN, forgery, "成功的响应没有 alipay_cert_sn", "a success without alipay_cert_sn", changed(noCertSN)},
	{NotEncrypted, forgery, "请求已加密，响应却未加密", "a plain response to an encrypted request", changed(func(a *reply) { a.encryptKey = nil })},

	{Malformed, content, "operator_id 为空", "operator_id is empty", changed(put(field{name: "operator_id"}))},
	{NoType, content, "缺少 operator_type", "operator_type is missing", changed(func(a *reply) { a.fields = without(a.fields, "operator_type") })},
	{UnknownType, content, "未知的操作人类型 SYSTEM", "operator_type SYSTEM", changed(put(field{name: "operator_type", value: "SYSTEM"}))},
	{RepeatedField, content, "operator_id 出现两次", "operator_id twice", changed(repeat("operator_id"))},
	{CaseField, content, "operator_id 之后还有 Operator_Id", "Operator_Id after operator_id", changed(repeat("Operator_Id"))},
	{NumberCode, content, "code 是数字", "code as a number", changed(put(field{"code", "10000", true}))},
	{NoCode, content, "缺少 code", "code is missing", changed(func(a *reply) { a.fields = without(a.fields, "code") })},
	{SuccessSubCode, content, "10000，却带有 sub_code", "10000 with a sub_code", changed(put(field{name: "sub_code", value: "SYSTEM_ERROR"}))},
	{ArrayNode, content, "节点是数组", "the node is an array", changed(func(a *reply) { a.array = true })},

	{GBK, spelling, "使用 GBK，并声明为 GBK", "in GBK, and declared so", changed(func(a *reply) { inGBK(a); a.declared = gbkCharset })},
	{GBKUndeclared, spelling, "使用 GBK，却声明为请求的字符集", "in GBK, but declared as the requested charset", changed(inGBK)},
	{EscapedSlashes, spelling, "签名之后才转义斜杠", "signed before slashes were escaped", changed(escapedSlashes)},
	{SignFirst, spelling, "签名在节点之前", "the signature precedes the node", changed(func(a *reply) { a.style.signFirst = true })},
	{Spaced, spelling, "所有允许空白的位置都有空白", "white space wherever JSON allows it", changed(func(a *reply) { a.style.spaces = true })},
	{NullFields, spelling, "缺少的可选字段为 null", "every absent optional field is null", changed(nullFields)},
	{ShopArray, spelling, "shop_ids 是字符串数组", "shop_ids is an array of strings", changed(shopArray)},
}

// changed returns the effect of changing a correct response.
func changed(changes ...func(*reply)) effect {
	return effect{change: func(_ *Koubei, a *reply) {
		for _, change := range changes {
			change(a)
		}
	}}
}

// refuses returns the effect of an error without looking at the code.
func refuses(v verdict, changes ...func(*reply)) effect {
	e := changed(changes...)
	e.unspent, e.says = true, &v
	return e
}

func noCertSN(a *reply)    { a.certSN = "" }
func inErrorNode(a *reply) { a.node = errorNode }
func otherNode(a *reply)   { a.node = "alipay_system_oauth_token_response" }

func signature(json string) func(*reply) { return func(a *reply) { a.signature = &json } }
func put(f field) func(*reply)           { return func(a *reply) { a.fields = with(a.fields, f) } }

// intruder is the operator in forged responses.
var intruder = Person{OperatorID: "2088999999999999", OperatorType: "PROVIDER", PartnerID: "2088999999999998"}

func forge(fields []field) []field {
	return with(without(fields, "sub_code", "sub_msg"), append(identity(intruder), success.fields()...)...)
}

func (a *reply) forgedMember(name string) []string {
	return []string{name + ":" + a.value(forge(a.fields), a.style)}
}

// repeat appends a second operator id, which a careless reader would use.
func repeat(name string) func(*reply) {
	return func(a *reply) {
		a.style.first = 0
		a.fields = append(a.fields, field{name: name, value: intruder.OperatorID})
	}
}

// inGBK adds text whose encoding differs from UTF-8.
func inGBK(a *reply) {
	a.charset = gbkCharset
	a.fields = with(a.fields, a.undocumented()[0])
}

func escapedSlashes(a *reply) {
	a.fields = with(a.fields, a.undocumented()[1])
	a.style.escapeSlashes, a.unescaped = true, true
}

func nullFields(a *reply) {
	for _, name := range []string{"operator_partner_id", "shop_ids", "ext_info", "sub_code", "sub_msg"} {
		f := field{name, "null", true}
		for _, other := range a.fields {
			if other.name == name {
				f = other
			}
		}
		a.fields = with(a.fields, f)
	}
}

func shopArray(a *reply) {
	for i, f := range a.fields {
		if f.name == "shop_ids" {
			var shops []string
			for shop := range strings.SplitSeq(f.value, ",") {
				shops = append(shops, a.style.quote(shop, a.charset))
			}
			a.fields[i] = field{f.name, "[" + strings.Join(shops, ",") + "]", true}
			return
		}
	}
	a.fields = append(a.fields, field{"shop_ids", "[]", true})
}

func makeStranger(k *Koubei) { k.stranger() }

func makeRogueCert(k *Koubei) {
	if k.certs == nil {
		k.stranger()
		return
	}
	r := k.certs.rogue()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.certs.chains[r.sn] = r.chain
}

func rogueCert(k *Koubei, a *reply) {
	if k.certs == nil {
		a.key = k.stranger()
		return
	}
	r := k.certs.rogue()
	a.key, a.certSN = r.key, r.sn
}

func unknownCert(k *Koubei, a *reply) {
	a.key = k.stranger()
	if k.certs != nil {
		a.certSN = "00000000000000000000000000000000"
	}
}

// cut closes the connection without a response. net/http does not log ErrAbortHandler.
func cut(http.ResponseWriter, *http.Request, *reply) { panic(http.ErrAbortHandler) }

func cutMidway(w http.ResponseWriter, r *http.Request, a *reply) {
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body())))
	half(w, r, a)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func half(w http.ResponseWriter, _ *http.Request, a *reply) {
	body := a.body()
	a.writeHeader(w)
	w.Write(body[:len(body)/2])
}

// huge precedes a correct response with 32 MiB of white space, which JSON allows.
func huge(w http.ResponseWriter, _ *http.Request, a *reply) {
	a.writeHeader(w)
	padding := bytes.Repeat([]byte(" "), 1<<20)
	for range 32 {
		if _, err := w.Write(padding); err != nil {
			return // the client has left
		}
	}
	w.Write(a.body())
}

func page(status int, body string) func(http.ResponseWriter, *http.Request, *reply) {
	return func(w http.ResponseWriter, _ *http.Request, a *reply) {
		a.writeHeader(w)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// redirect keeps method and body, so the gateway would serve a client that follows it.
func redirect(w http.ResponseWriter, r *http.Request, _ *reply) {
	w.Header().Set("Location", r.URL.RequestURI())
	w.WriteHeader(http.StatusTemporaryRedirect)
}
