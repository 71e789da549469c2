package koubeisim

// verdict is the gateway's result for a call, without the data of a success. A refusal is an error.
type verdict struct {
	code, msg, subCode, subMsg string

	unsigned bool // the gateway does not know which key to use
}

func (v verdict) Error() string { return v.code + " " + v.subCode }

func (v verdict) withoutSignature() verdict {
	v.unsigned = true
	return v
}

func (v verdict) fields() []field {
	fields := []field{{name: "code", value: v.code}, {name: "msg", value: v.msg}}
	if v.subCode != "" {
		fields = append(fields, field{name: "sub_code", value: v.subCode}, field{name: "sub_msg", value: v.subMsg})
	}
	return fields
}

func business(subCode, subMsg string) verdict {
	return verdict{code: "40004", msg: "Business Failed", subCode: subCode, subMsg: subMsg}
}

func missing(subCode, subMsg string) verdict {
	return verdict{code: "40001", msg: "Missing Required Arguments", subCode: subCode, subMsg: subMsg}
}

func invalid(subCode, subMsg string) verdict {
	return verdict{code: "40002", msg: "Invalid Arguments", subCode: subCode, subMsg: subMsg}
}

var (
	success = verdict{code: "10000", msg: "Success"}

	// The business errors that koubei.member.data.oauth.query documents.
	invalidParameter = business("INVALID_PARAMETER", "参数有误")
	authCodeNotExist = business("AUTH_CODE_NOT_EXIST", "授权码不存在")
	authCodeExpires  = business("AUTH_CODE_EXPIRES", "授权码过期")
	accessNotAllowed = business("ACCESS_NOT_ALLOWED", "无权访问")
	systemError      = business("SYSTEM_ERROR", "系统繁忙")

	// The errors of the gateway itself.
	busy              = verdict{code: "20000", msg: "Service Currently Unavailable", subCode: "isp.unknow-error", subMsg: "系统繁忙"}
	busyGateway       = verdict{code: "20000", msg: "Service Currently Unavailable", subCode: "aop.unknow-error", subMsg: "系统繁忙", unsigned: true}
	limited           = verdict{code: "40005", msg: "Call Limited", subCode: "isv.app-call-limited", subMsg: "应用调用次数超限，请稍后再试"}
	invalidAppID      = invalid("isv.invalid-app-id", "无效的AppID参数").withoutSignature()
	invalidSignature  = invalid("isv.invalid-signature", "验签出错，请检查签名字符串、应用私钥与sign_type是否正确")
	noSignatureConfig = verdict{code: "40003", msg: "Insufficient Conditions", subCode: "isv.missing-signature-config", subMsg: "应用未配置该sign_type对应的公钥", unsigned: true}
	cannotDecrypt     = verdict{code: "40003", msg: "Insufficient Conditions", subCode: "isv.decryption-error-unknown", subMsg: "解密出错，未知异常"}
	invalidToken      = verdict{code: "20001", msg: "Insufficient Token Permissions", subCode: "aop.invalid-app-auth-token", subMsg: "无效的应用授权令牌"}
	tokenTimeOut      = verdict{code: "20001", msg: "Insufficient Token Permissions", subCode: "aop.app-auth-token-time-out", subMsg: "应用授权令牌已过期"}
	noPermission      = verdict{code: "40006", msg: "Insufficient Permissions", subCode: "isv.insufficient-isv-permissions", subMsg: "ISV权限不足，建议在开发者中心检查对应功能是否已经添加"}
	codeInvalid       = invalid("isv.code-invalid", "授权码code无效")
	notAForm          = invalid("isv.invalid-parameter", "请以application/x-www-form-urlencoded格式提交参数")
	repeatedParam     = invalid("isv.suspected-attack", "参数重复")
	charsetLost       = invalid("isv.invalid-charset", "字符集错误，请确认charset参数放在了URL查询字符串中，且与Content-Type中的charset一致")
)
