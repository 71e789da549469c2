package alipay

// adviceBySubCode says what to do about a sub_code, without its prefix where that tells nothing.
var adviceBySubCode = map[string]string{
	// Business errors of koubei.member.data.oauth.query.
	"INVALID_PARAMETER":   "Nothing to do for a single case; if every landing fails so, check the address registered at Koubei: it must hand over the code unchanged.",
	"AUTH_CODE_NOT_EXIST": "Nothing to do: the visitor enters again from Koubei; if every landing fails so, check that app id and environment belong together, and that nothing else spends the codes.",
	"AUTH_CODE_EXPIRES":   "Nothing to do: the visitor enters again from Koubei.",
	"ACCESS_NOT_ALLOWED":  "Check that the address registered at Koubei belongs to this app id: the code was issued for another application.",
	"SYSTEM_ERROR":        "Wait: Koubei is busy; ask Alipay's support with the trace id if it lasts.",

	// 20000
	"unknow-error":          "Wait: the gateway is busy; ask Alipay's support with the trace id if it lasts.",
	"service-not-available": "Wait: the gateway is busy; ask Alipay's support with the trace id if it lasts.",
	"unsupport-operation":   "Check the gateway's address: it doesn't know this method.",

	// 20001
	"invalid-auth-token":            "Renew the token: it is not valid.",
	"auth-token-time-out":           "Renew the token: it has expired.",
	"invalid-app-auth-token":        "Renew the app auth token, or remove it from the settings if none is needed: it is not valid.",
	"app-auth-token-time-out":       "Renew the app auth token: it has expired.",
	"invalid-app-auth-token-no-api": "Let the merchant authorise again with this interface included: the app auth token doesn't cover it.",
	"no-product-reg-by-partner":     "Let the merchant sign up for the product that holds this interface.",

	// 40001
	"missing-method":                        "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"missing-signature":                     "Report it as a defect of this service, or look for a proxy that changes requests: the signature is missing.",
	"missing-signature-type":                "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"missing-signature-key":                 "Upload the application's public key in Alipay's console.",
	"missing-app-id":                        "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"missing-timestamp":                     "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"missing-version":                       "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"decryption-error-missing-encrypt-type": "Configure the AES key that the application has in Alipay's console, or turn content encryption off there; where it is configured, look for a proxy that changes requests: the gateway didn't see encrypt_type.",

	// 40002 and 40003
	"invalid-signature":           "Upload the public key that belongs to the private key in the settings to Alipay's console, or configure the private key that fits; check the sign type, and that no proxy adds parameters.",
	"invalid-app-id":              "Check the app id, and that it belongs to the gateway's environment (production or sandbox).",
	"invalid-timestamp":           "Set this machine's clock right.",
	"invalid-charset":             "Set the charset to utf-8 or gbk.",
	"invalid-parameter":           "Report it as a defect of this service: the gateway didn't understand a parameter.",
	"invalid-method":              "Check the gateway's address: it doesn't know this method.",
	"invalid-format":              "Report it as a defect of this service: the gateway didn't understand the format.",
	"invalid-signature-type":      "Set the sign type to the one that the application has in Alipay's console (RSA2 for new ones).",
	"invalid-encrypt":             "Check the encryption key against the AES key in Alipay's console.",
	"invalid-encrypt-type":        "Remove the encryption key from the settings: the gateway refuses this kind of encryption.",
	"decryption-error-unknown":    "Check the encryption key against the AES key in Alipay's console.",
	"illegal-json":                "Report it as a defect of this service: the gateway couldn't read the question.",
	"suspected-attack":            "Look at what sends codes to the callback: the gateway took a request for an attack.",
	"not-support-app-auth":        "Remove the app auth token from the settings: this interface doesn't take one.",
	"forbidden-api":               "Add the Koubei interface to the application in Alipay's console: it may not call this one.",
	"app-cert-not-exist":          "Check the app certificate: the gateway doesn't know it for this app id.",
	"app-cert-expired":            "Renew the app certificate in Alipay's console.",
	"missing-app-cert-sn":         "Configure the three certificates: the application works in certificate mode.",
	"missing-alipay-root-cert-sn": "Configure the three certificates: the application works in certificate mode.",
	"invalid-alipay-root-cert-sn": "Download alipayRootCert.crt of the same environment from Alipay's console again.",
	"not-online-app":              "Put the application online in Alipay's console.",
	"code-invalid":                "Check that the code reaches the gateway unchanged, and that the app id is the one registered at Koubei.",
	"missing-signature-config":    "Upload the application's public key, or its certificate, in Alipay's console: none is configured there.",
	"invalid-auth-relations":      "Let the merchant authorise the application again, or check the app auth token.",

	// 40005
	"app-call-limited":    "Wait, and ask Alipay for a higher limit if it lasts: the application calls too often.",
	"method-call-limited": "Wait, and ask Alipay for a higher limit if it lasts: this interface is called too often.",

	// 40006
	"insufficient-isv-permissions":  "Add the Koubei interface to the application in Alipay's console and sign its contract: the application may not call it.",
	"insufficient-user-permissions": "Let the merchant grant the application the permission that it lacks.",
	"route-no-permissions":          "Add the Koubei interface to the application in Alipay's console: the application may not call it.",
	"access-forbidden":              "Add the Koubei interface to the application in Alipay's console: the application may not call it.",
	"self-invoke-forbidden":         "Configure an app auth token: the application may not make this call in its own name.",
}

// adviceByCode is for a sub_code that isn't in the table above.
var adviceByCode = map[string]string{
	"20000": "Wait: the gateway is busy; ask Alipay's support with the trace id if it lasts.",
	"20001": "Renew the app auth token, or let the merchant authorise again.",
	"40001": "Report it as a defect of this service, or look for a proxy that changes requests: a parameter is missing.",
	"40002": "Compare the settings with the application in Alipay's console: the gateway found a parameter wrong.",
	"40003": "Complete the application's settings in Alipay's console: a condition of the call isn't met.",
	"40004": "Look the sub_code up in Alipay's documentation: it is none that this interface documents.",
	"40005": "Wait, and ask Alipay for a higher limit if it lasts: calls are limited.",
	"40006": "Add the Koubei interface to the application in Alipay's console: the application lacks a permission.",
}

// adviceByKind is for an answer without a code that helps, and for none.
var adviceByKind = map[error]string{
	ErrUnavailable: "Check the gateway's address, and this machine's way to it (DNS, proxy, firewall); wait if both are right.",
	ErrUntrusted:   "Check that Alipay's public key (not the application's own) or the certificates belong to this app id and environment, and that nothing between here and the gateway changes answers.",
	ErrRejected:    "Compare the settings with the application in Alipay's console.",
}

// adviceMalformed is for an answer that the gateway signed and that we can't use.
const adviceMalformed = "Ask Alipay's support with the trace id: the gateway signed an answer that names no operator as documented."

// Advice returns one sentence for whoever runs the service, to stand in the log beside the error. An answer that can't be
// believed gives no advice of its own.
func (e *Error) Advice() string {
	bare := bareSubCode(e.SubCode)
	_, isVerdict := verdicts[bare]
	switch {
	case e.kind == ErrUntrusted && e.Signed:
		return adviceMalformed
	case e.kind == ErrUntrusted, isVerdict && !e.Signed && e.kind == ErrRejected:
		return adviceByKind[ErrUntrusted]
	}
	if a, ok := adviceBySubCode[bare]; ok {
		return a
	}
	if a, ok := adviceByCode[e.Code]; ok {
		return a
	}
	return adviceByKind[e.kind]
}
