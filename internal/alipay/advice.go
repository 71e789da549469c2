package alipay

import "errors"

// Advice that several sub_codes share.
const (
	adviceWait        = "Wait: the gateway is busy. If this lasts, contact Alipay's support with the trace id."
	adviceParameter   = "Look for a proxy that changes requests, or report a defect of this service: a parameter is missing."
	adviceNoAPI       = "Add the Koubei interface to the application in Alipay's console: the application may not call it."
	adviceCertMode    = "Set ALIPAY_APP_CERT_FILE, ALIPAY_CERT_FILE and ALIPAY_ROOT_CERT_FILE: the application uses certificate mode."
	adviceEncryptKey  = "Compare ALIPAY_ENCRYPT_KEY with the AES key in Alipay's console."
	adviceWrongMethod = "Check ALIPAY_GATEWAY_URL: this gateway does not know the method."
)

// adviceBySubCode says what to do about a sub_code. The keys have no prefix.
var adviceBySubCode = map[string]string{
	// Business errors of koubei.member.data.oauth.query.
	"INVALID_PARAMETER":   "A single case needs no action. If every landing fails like this, check the address registered at Koubei: it must pass the code on unchanged.",
	"AUTH_CODE_NOT_EXIST": "A single case needs no action: the visitor enters again from Koubei. If every landing fails like this, check that ALIPAY_APP_ID and ALIPAY_GATEWAY_URL belong to the same environment, and that no other program spends the codes.",
	"AUTH_CODE_EXPIRES":   "No action is needed: the visitor enters again from Koubei.",
	"ACCESS_NOT_ALLOWED":  "Check that the address registered at Koubei belongs to ALIPAY_APP_ID: the code was issued for another application.",
	"SYSTEM_ERROR":        "Wait: Koubei is busy. If this lasts, contact Alipay's support with the trace id.",

	// 20000
	"unknow-error":          adviceWait,
	"service-not-available": adviceWait,
	"unsupport-operation":   adviceWrongMethod,

	// 20001
	"invalid-auth-token":            "Renew the token: it is not valid.",
	"auth-token-time-out":           "Renew the token: it has expired.",
	"invalid-app-auth-token":        "Renew ALIPAY_APP_AUTH_TOKEN, or unset it if the application needs none: it is not valid.",
	"app-auth-token-time-out":       "Renew ALIPAY_APP_AUTH_TOKEN: it has expired.",
	"invalid-app-auth-token-no-api": "Let the merchant authorize the application again, including this interface: ALIPAY_APP_AUTH_TOKEN does not cover it.",
	"no-product-reg-by-partner":     "Let the merchant sign up for the product that includes this interface.",

	// 40001
	"missing-method":                        adviceParameter,
	"missing-signature":                     adviceParameter,
	"missing-signature-type":                adviceParameter,
	"missing-signature-key":                 "Upload the application's public key in Alipay's console.",
	"missing-app-id":                        adviceParameter,
	"missing-timestamp":                     adviceParameter,
	"missing-version":                       adviceParameter,
	"decryption-error-missing-encrypt-type": "Set ALIPAY_ENCRYPT_KEY to the AES key of the application in Alipay's console, or turn content encryption off there. If it is set, look for a proxy that removes encrypt_type.",

	// 40002 and 40003
	"invalid-signature":           "Upload the public key that belongs to ALIPAY_APP_PRIVATE_KEY in Alipay's console, or set the private key that belongs to the uploaded one. Check ALIPAY_SIGN_TYPE, and that no proxy adds parameters.",
	"invalid-app-id":              "Check ALIPAY_APP_ID, and that it belongs to the environment of ALIPAY_GATEWAY_URL (production or sandbox).",
	"invalid-timestamp":           "Correct the clock of this machine.",
	"invalid-charset":             "Set ALIPAY_CHARSET to utf-8 or gbk.",
	"invalid-parameter":           "Report a defect of this service: the gateway did not accept a parameter.",
	"invalid-method":              adviceWrongMethod,
	"invalid-format":              "Report a defect of this service: the gateway did not accept the format.",
	"invalid-signature-type":      "Set ALIPAY_SIGN_TYPE to the sign type of the application in Alipay's console (RSA2 for new ones).",
	"invalid-encrypt":             adviceEncryptKey,
	"invalid-encrypt-type":        "Unset ALIPAY_ENCRYPT_KEY: the gateway does not accept this kind of encryption.",
	"decryption-error-unknown":    adviceEncryptKey,
	"illegal-json":                "Report a defect of this service: the gateway could not parse the request.",
	"suspected-attack":            "Find out who sends codes to the callback: the gateway took a request for an attack.",
	"not-support-app-auth":        "Unset ALIPAY_APP_AUTH_TOKEN: this interface does not accept one.",
	"forbidden-api":               adviceNoAPI,
	"app-cert-not-exist":          "Check ALIPAY_APP_CERT_FILE: the gateway does not know this certificate for the app id.",
	"app-cert-expired":            "Renew the application certificate in Alipay's console and replace ALIPAY_APP_CERT_FILE.",
	"missing-app-cert-sn":         adviceCertMode,
	"missing-alipay-root-cert-sn": adviceCertMode,
	"invalid-alipay-root-cert-sn": "Download alipayRootCert.crt for the same environment from Alipay's console again and replace ALIPAY_ROOT_CERT_FILE.",
	"not-online-app":              "Put the application online in Alipay's console.",
	"code-invalid":                "Check that the code reaches the gateway unchanged, and that ALIPAY_APP_ID is the one registered at Koubei.",
	"missing-signature-config":    "Upload the application's public key or certificate in Alipay's console: there is none.",
	"invalid-auth-relations":      "Let the merchant authorize the application again, or check ALIPAY_APP_AUTH_TOKEN.",

	// 40005
	"app-call-limited":    "Wait. If this lasts, ask Alipay for a higher limit: the application calls too often.",
	"method-call-limited": "Wait. If this lasts, ask Alipay for a higher limit: the interface is called too often.",

	// 40006
	"insufficient-isv-permissions":  "Add the Koubei interface to the application in Alipay's console and sign its contract: the application may not call it.",
	"insufficient-user-permissions": "Let the merchant grant the application the missing permission.",
	"route-no-permissions":          adviceNoAPI,
	"access-forbidden":              adviceNoAPI,
	"self-invoke-forbidden":         "Set ALIPAY_APP_AUTH_TOKEN: the application may not make this call in its own name.",
}

// adviceByCode is for a sub_code that is not in the table above.
var adviceByCode = map[string]string{
	"20000": adviceWait,
	"20001": "Renew ALIPAY_APP_AUTH_TOKEN, or let the merchant authorize the application again.",
	"40001": adviceParameter,
	"40002": "Compare the settings with the application in Alipay's console: the gateway found a wrong parameter.",
	"40003": "Complete the application's settings in Alipay's console: a condition of the call is not met.",
	"40004": "Look the sub_code up in Alipay's documentation: this interface does not document it.",
	"40005": "Wait. If this lasts, ask Alipay for a higher limit: the number of calls is limited.",
	"40006": "Add the Koubei interface to the application in Alipay's console: the application lacks a permission.",
}

// adviceByKind is for a response without a known code, and for no response.
var adviceByKind = map[error]string{
	ErrUnavailable: "Check ALIPAY_GATEWAY_URL, and this machine's way to it (DNS, proxy, firewall). If both are right, wait.",
	ErrUntrusted:   "Check that ALIPAY_PUBLIC_KEY (Alipay's key, not the application's) or the certificates belong to this app id and environment, and that nothing between this machine and the gateway changes responses.",
	ErrRejected:    "Compare the settings with the application in Alipay's console.",
}

const (
	// adviceMalformed is for a signed response that is not as documented.
	adviceMalformed = "Contact Alipay's support with the trace id: the gateway signed a response that does not name an operator as documented."

	// adviceMissingCert is for a certificate that the client neither has nor could download.
	adviceMissingCert = "Download Alipay's current certificate (alipayCertPublicKey_RSA2.crt) from Alipay's console into ALIPAY_CERT_FILE and restart the service: responses name another certificate, and downloading that one failed."
)

// Advice says what an administrator should do, for the log line of the error. It never follows from an unverified response
// alone: it then quotes the response and says that it is unverified.
func (e *Error) Advice() string {
	_, isBusinessError := businessErrors[e.BareSubCode()]
	switch {
	case e.missingCert && errors.Is(e.kind, ErrUnavailable):
		return "Wait. If this lasts: " + adviceMissingCert
	case e.missingCert:
		return adviceMissingCert + e.unverifiedAdvice()
	case errors.Is(e.kind, ErrUntrusted) && e.Signed:
		return adviceMalformed
	case errors.Is(e.kind, ErrUntrusted), isBusinessError && !e.Signed && errors.Is(e.kind, ErrRejected):
		return adviceByKind[ErrUntrusted] + e.unverifiedAdvice()
	}
	if a := e.adviceForCode(); a != "" {
		return a
	}
	return adviceByKind[e.kind]
}

// adviceForCode returns the advice for the sub_code or the code, empty if both are unknown.
func (e *Error) adviceForCode() string {
	if a, ok := adviceBySubCode[e.BareSubCode()]; ok {
		return a
	}
	return adviceByCode[e.Code]
}

// unverifiedAdvice quotes the error of an unverified response, empty if it has none.
func (e *Error) unverifiedAdvice() string {
	if e.Code == "" && e.SubCode == "" {
		return ""
	}
	text := ` The response, which is unverified, says "` + e.responseText() + `".`
	_, isBusinessError := businessErrors[e.BareSubCode()] // it says nothing about the settings
	if a := e.adviceForCode(); a != "" && !isBusinessError {
		text += " If the gateway sent it: " + a
	}
	return text
}
