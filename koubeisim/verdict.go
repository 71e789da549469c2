package koubeisim

// verdict is what the gateway says about a call, besides the data of a success.
type verdict struct {
	code, msg, subCode, subMsg string

	// unsigned: the gateway cannot tell whose key to use, so it uses none.
	unsigned bool
}

// Error makes a refusal travel like any other error on its way to the answer.
func (v verdict) Error() string { return v.code + " " + v.subCode }

var success = verdict{code: "10000", msg: "Success"}

// The business errors that koubei.member.data.oauth.query documents.
var (
	invalidParameter = business("INVALID_PARAMETER", "参数有误")
	authCodeNotExist = business("AUTH_CODE_NOT_EXIST", "授权码不存在")
	authCodeExpires  = business("AUTH_CODE_EXPIRES", "授权码过期")
	accessNotAllowed = business("ACCESS_NOT_ALLOWED", "无权访问")
	systemError      = business("SYSTEM_ERROR", "系统繁忙")
)

// What the gateway itself says.
var (
	busy              = verdict{code: "20000", msg: "Service Currently Unavailable", subCode: "isp.unknow-error", subMsg: "系统繁忙"}
	busyGateway       = verdict{code: "20000", msg: "Service Currently Unavailable", subCode: "aop.unknow-error", subMsg: "系统繁忙", unsigned: true}
	limited           = verdict{code: "40005", msg: "Call Limited", subCode: "isv.app-call-limited", subMsg: "应用调用次数超限，请稍后再试"}
	invalidAppID      = verdict{code: "40002", msg: "Invalid Arguments", subCode: "isv.invalid-app-id", subMsg: "无效的AppID参数", unsigned: true}
	invalidSignature  = invalid("isv.invalid-signature", "验签出错，请检查签名字符串、应用私钥与sign_type是否正确")
	noSignatureConfig = verdict{code: "40003", msg: "Insufficient Conditions", subCode: "isv.missing-signature-config", subMsg: "应用未配置该sign_type对应的公钥", unsigned: true}
	cannotDecrypt     = verdict{code: "40003", msg: "Insufficient Conditions", subCode: "isv.decryption-error-unknown", subMsg: "解密出错，未知异常"}
	invalidToken      = verdict{code: "20001", msg: "Insufficient Token Permissions", subCode: "aop.invalid-app-auth-token", subMsg: "无效的应用授权令牌"}
	tokenTimeOut      = verdict{code: "20001", msg: "Insufficient Token Permissions", subCode: "aop.app-auth-token-time-out", subMsg: "应用授权令牌已过期"}
	noPermission      = verdict{code: "40006", msg: "Insufficient Permissions", subCode: "isv.insufficient-isv-permissions", subMsg: "ISV权限不足，建议在开发者中心检查对应功能是否已经添加"}
)

func business(subCode, subMsg string) verdict {
	return verdict{code: "40004", msg: "Business Failed", subCode: subCode, subMsg: subMsg}
}

func missing(subCode, subMsg string) verdict {
	return verdict{code: "40001", msg: "Missing Required Arguments", subCode: subCode, subMsg: subMsg}
}

func invalid(subCode, subMsg string) verdict {
	return verdict{code: "40002", msg: "Invalid Arguments", subCode: subCode, subMsg: subMsg}
}
