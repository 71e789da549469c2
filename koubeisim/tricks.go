package koubeisim

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// trick is how a fault is done. The zero trick is an honest answer.
type trick struct {
	fault  Fault
	group  group
	zh, en string

	before func(*Koubei, context.Context) error             // waits before the code is looked at
	blind  bool                                             // the code is not looked at
	says   *verdict                                         // in place of what was judged
	after  func(*Koubei, context.Context) error             // waits before the answer
	shape  func(*Koubei, *draft)                            // changes the answer
	send   func(http.ResponseWriter, *http.Request, *draft) // in place of sending it
}

// group is how the portal sorts the faults.
type group string

const (
	network  group = "network"
	refusal  group = "refusal"
	forgery  group = "forgery"
	content  group = "content"
	spelling group = "spelling"
)

func (f Fault) trick() trick {
	if delay, ok := strings.CutPrefix(string(f), string(Slow)+":"); ok {
		d, _ := time.ParseDuration(delay) // Next has parsed it before
		return trick{fault: f, group: network, en: "waits " + delay + " before anything is done", zh: "等待" + delay,
			before: func(_ *Koubei, ctx context.Context) error { return linger(ctx, d) }}
	}
	for _, t := range tricks {
		if t.fault == f {
			return t
		}
	}
	return trick{}
}

func say(v verdict) *verdict { return &v }

func unsigned(v verdict) *verdict {
	v.unsigned = true
	return &v
}

func slow(k *Koubei, ctx context.Context) error { return linger(ctx, k.slowFor) }

// tricks has a row for each fault, in the order in which people are shown them.
var tricks = []trick{
	{fault: Drop, group: network, blind: true, send: cut,
		zh: "连接被切断，授权码未消耗", en: "the connection is cut, the code is left alone"},
	{fault: SpendThenDrop, group: network, send: cut,
		zh: "授权码已消耗，随后连接被切断", en: "the code is spent, then the connection is cut"},
	{fault: DropMidway, group: network, send: cutMidway,
		zh: "授权码已消耗，应答传到一半连接被切断", en: "the code is spent, the connection is cut in the middle of the answer"},
	{fault: Truncated, group: network, send: halve,
		zh: "授权码已消耗，应答只有一半", en: "the code is spent, half an answer arrives as if it were whole"},
	{fault: Empty, group: network, blind: true, send: page(http.StatusOK, ""),
		zh: "应答为空", en: "an empty answer"},
	{fault: Slow, group: network, before: slow,
		zh: "很慢，等待之后才处理", en: "slow: waits before anything is done"},
	{fault: SpendThenSlow, group: network, after: slow,
		zh: "授权码已消耗，应答很慢", en: "the code is spent at once, the answer is slow"},
	{fault: Hold, group: network, before: (*Koubei).hold,
		zh: "挂起，放行后才处理", en: "held before anything is done, until released"},
	{fault: SpendThenHold, group: network, after: (*Koubei).hold,
		zh: "授权码已消耗，应答挂起到放行", en: "the code is spent, the answer is held until released"},
	{fault: HTML, group: network, blind: true, send: page(http.StatusOK, "<html><body>系统维护中</body></html>"),
		zh: "状态200，但应答是网页", en: "a web page with status 200"},
	{fault: Status500, group: network, blind: true, send: page(http.StatusInternalServerError, "<html><body>Internal Server Error</body></html>"),
		zh: "状态500", en: "status 500"},
	{fault: Status502, group: network, blind: true, send: page(http.StatusBadGateway, "<html><body>Bad Gateway</body></html>"),
		zh: "状态502", en: "status 502"},
	{fault: Redirect, group: network, blind: true, send: redirect,
		zh: "重定向回网关（307）", en: "a redirect (307) back to the gateway"},
	{fault: Garbage, group: network, blind: true, send: page(http.StatusOK, "\xff\xfe\x00\x80\x1b{\"\xc3"),
		zh: "应答是乱码", en: "bytes that are no text"},
	{fault: Huge, group: network, send: inflate,
		zh: "应答巨大（32 MiB）", en: "the code is spent, the answer has 32 MiB"},
	{fault: Trailing, group: network, shape: func(_ *Koubei, d *draft) {
		d.retouch = func(s string) string { return s + `{"code":"10000"}` }
	}, zh: "应答之后还有多余内容", en: "the code is spent, more follows the end of the answer"},

	{fault: Busy, group: refusal, blind: true, says: say(busy),
		zh: "系统繁忙（20000）", en: "busy (20000), the code is left alone"},
	{fault: BusyUnsigned, group: refusal, blind: true, says: say(busyGateway),
		zh: "系统繁忙（20000），无签名", en: "busy (20000), unsigned"},
	{fault: SpendThenBusy, group: refusal, says: say(busy),
		zh: "授权码已消耗，却答系统繁忙", en: "the code is spent, yet the answer is busy (20000)"},
	{fault: SystemError, group: refusal, blind: true, says: say(systemError),
		zh: "SYSTEM_ERROR 系统繁忙", en: "SYSTEM_ERROR, the code is left alone"},
	{fault: Limited, group: refusal, blind: true, says: say(limited),
		zh: "调用次数超限（40005）", en: "too many calls (40005)"},
	{fault: NotExist, group: refusal, blind: true, says: say(authCodeNotExist),
		zh: "授权码不存在", en: "AUTH_CODE_NOT_EXIST, whatever the code"},
	{fault: Expired, group: refusal, blind: true, says: say(authCodeExpires),
		zh: "授权码过期", en: "AUTH_CODE_EXPIRES, whatever the code"},
	{fault: AccessDenied, group: refusal, blind: true, says: say(accessNotAllowed),
		zh: "无权访问", en: "ACCESS_NOT_ALLOWED"},
	{fault: InvalidParameter, group: refusal, blind: true, says: say(invalidParameter),
		zh: "参数有误", en: "INVALID_PARAMETER"},
	{fault: PrefixedNotExist, group: refusal, blind: true, says: say(business("isv.AUTH_CODE_NOT_EXIST", "授权码不存在")),
		zh: "带前缀的 isv.AUTH_CODE_NOT_EXIST", en: "isv.AUTH_CODE_NOT_EXIST, with the prefix of other interfaces"},
	{fault: UnknownError, group: refusal, blind: true, says: say(business("KOUBEI_IS_CLOSED", "未知的业务错误")),
		zh: "未知的业务错误", en: "a business error that nobody knows"},
	{fault: InvalidAppID, group: refusal, blind: true, says: say(invalidAppID),
		zh: "无效的AppID（无签名）", en: "isv.invalid-app-id, unsigned"},
	{fault: InvalidSignature, group: refusal, blind: true, says: say(invalidSignature),
		zh: "验签出错", en: "isv.invalid-signature"},
	{fault: NoSignConfig, group: refusal, blind: true, says: say(noSignatureConfig),
		zh: "未配置公钥（无签名）", en: "isv.missing-signature-config, unsigned"},
	{fault: NoPermission, group: refusal, blind: true, says: say(noPermission),
		zh: "ISV权限不足", en: "isv.insufficient-isv-permissions"},
	{fault: TokenTimeOut, group: refusal, blind: true, says: say(tokenTimeOut),
		zh: "应用授权令牌已过期", en: "aop.app-auth-token-time-out"},
	{fault: ErrorNode, group: refusal, blind: true, says: say(codeInvalid), shape: inErrorNode,
		zh: "旧式 error_response（有签名）", en: "isv.code-invalid in error_response, signed"},
	{fault: ErrorNodeUnsigned, group: refusal, blind: true, says: unsigned(codeInvalid), shape: inErrorNode,
		zh: "旧式 error_response（无签名）", en: "isv.code-invalid in error_response, unsigned"},

	{fault: WrongKey, group: forgery, shape: func(k *Koubei, d *draft) { d.key = k.stranger() },
		zh: "由陌生密钥签名", en: "signed by a stranger"},
	{fault: Unsigned, group: forgery, shape: func(_ *Koubei, d *draft) { d.key = nil },
		zh: "应答没有签名", en: "the answer without its signature"},
	{fault: UnsignedExpired, group: forgery, blind: true, says: unsigned(authCodeExpires),
		zh: "授权码过期，但没有签名", en: "AUTH_CODE_EXPIRES without a signature"},
	{fault: BadSignature, group: forgery, shape: signature("!not base64!"),
		zh: "签名不是base64", en: "the signature is not base64"},
	{fault: EmptySignature, group: forgery, shape: signature(""),
		zh: "签名为空", en: "the signature is empty"},
	{fault: Tampered, group: forgery, shape: func(_ *Koubei, d *draft) { d.forged = forge(d.fields) },
		zh: "签名之后被篡改", en: "another operator, put in after signing"},
	{fault: SecondNode, group: forgery, shape: func(_ *Koubei, d *draft) { d.addForged(quote(d.node, d.bytes, false)) },
		zh: "其后跟着伪造的同名节点", en: "a forged node of the same name behind the true one"},
	{fault: EscapedSecondNode, group: forgery, shape: func(_ *Koubei, d *draft) { d.addForged(`"\u006b` + d.node[1:] + `"`) },
		zh: "伪造的同名节点，名称用\\u转义", en: "the same, its name spelled with an escape"},
	{fault: ForeignNode, group: forgery, shape: foreignNode,
		zh: "真节点之前有伪造的异名节点", en: "a forged object of another name before the true node"},
	{fault: BothNodes, group: forgery, shape: bothNodes,
		zh: "同时有应答节点与 error_response", en: "the true node and an error_response"},
	{fault: SuccessAsError, group: forgery, shape: inErrorNode,
		zh: "成功内容放在 error_response 里", en: "a signed success in error_response"},
	{fault: OtherNode, group: forgery, shape: func(_ *Koubei, d *draft) { d.node = "alipay_system_oauth_token_response" },
		zh: "别的接口的应答节点", en: "a signed answer of another method"},
	{fault: UnknownCert, group: forgery, shape: unknownCert,
		zh: "未知的支付宝证书序列号", en: "an alipay_cert_sn that no download knows"},
	{fault: RogueCert, group: forgery, shape: rogueCert,
		zh: "由伪造证书链签名", en: "signed under a certificate that ends in a foreign root"},
	{fault: NoCertSN, group: forgery, shape: func(_ *Koubei, d *draft) { d.certSN = "" },
		zh: "没有 alipay_cert_sn", en: "alipay_cert_sn left out"},
	{fault: NotEncrypted, group: forgery, shape: func(_ *Koubei, d *draft) { d.encryptKey = nil },
		zh: "应加密而未加密", en: "a plain answer to an encrypted question"},

	{fault: Malformed, group: content, shape: put(field{name: "operator_id"}),
		zh: "operator_id 为空", en: "operator_id is empty"},
	{fault: NoType, group: content, shape: func(_ *Koubei, d *draft) { d.fields = without(d.fields, "operator_type") },
		zh: "缺少 operator_type", en: "operator_type is missing"},
	{fault: UnknownType, group: content, shape: put(field{name: "operator_type", value: "SYSTEM"}),
		zh: "未知的操作人类型 SYSTEM", en: "operator_type SYSTEM"},
	{fault: RepeatedField, group: content, shape: repeat("operator_id"),
		zh: "operator_id 出现两次", en: "operator_id twice"},
	{fault: CaseField, group: content, shape: repeat("Operator_Id"),
		zh: "另有大小写不同的 Operator_Id", en: "Operator_Id after operator_id"},
	{fault: NumberCode, group: content, shape: put(field{name: "code", value: "10000", literal: true}),
		zh: "code 是数字", en: "code as a number"},
	{fault: NoCode, group: content, shape: func(_ *Koubei, d *draft) { d.fields = without(d.fields, "code") },
		zh: "缺少 code", en: "code is missing"},
	{fault: SuccessSubCode, group: content, shape: put(field{name: "sub_code", value: "SYSTEM_ERROR"}),
		zh: "成功却带 sub_code", en: "10000 with a sub_code"},
	{fault: ArrayNode, group: content, shape: func(_ *Koubei, d *draft) { d.manner.array = true },
		zh: "节点是数组", en: "the node is an array"},

	{fault: GBK, group: spelling, shape: func(_ *Koubei, d *draft) { d.speakGBK(); d.declared = gbkCharset },
		zh: "应答为GBK，并如实声明", en: "in GBK, and declared so"},
	{fault: GBKUndeclared, group: spelling, shape: func(_ *Koubei, d *draft) { d.speakGBK() },
		zh: "应答为GBK，却声明为请求的字符集", en: "in GBK, declared as what was asked for"},
	{fault: EscapedSlashes, group: spelling, shape: escapedSlashes,
		zh: "签名之后才转义斜杠", en: "signed before its slashes were escaped"},
	{fault: SignFirst, group: spelling, shape: func(_ *Koubei, d *draft) { d.manner.signFirst = true },
		zh: "签名在节点之前", en: "the signature before the node"},
	{fault: Spaced, group: spelling, shape: func(_ *Koubei, d *draft) { d.manner.spaces = true },
		zh: "到处是空白", en: "white space wherever JSON allows it"},
}
