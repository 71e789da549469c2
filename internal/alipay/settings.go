package alipay

import (
	"fmt"
	"strings"

	"koubei-landing/internal/setting"
)

// The settings that the problems of this package name.
const (
	appIDSetting          = "ALIPAY_APP_ID"
	privateKeySetting     = "ALIPAY_APP_PRIVATE_KEY"
	publicKeySetting      = "ALIPAY_PUBLIC_KEY"
	appCertSetting        = "ALIPAY_APP_CERT_FILE"
	alipayCertSetting     = "ALIPAY_CERT_FILE"
	rootCertSetting       = "ALIPAY_ROOT_CERT_FILE"
	encryptKeySetting     = "ALIPAY_ENCRYPT_KEY"
	appAuthTokenSetting   = "ALIPAY_APP_AUTH_TOKEN"
	gatewaySetting        = "ALIPAY_GATEWAY_URL"
	allowHTTPSetting      = "ALIPAY_ALLOW_HTTP"
	signTypeSetting       = "ALIPAY_SIGN_TYPE"
	charsetSetting        = "ALIPAY_CHARSET"
	timeoutSetting        = "ALIPAY_TIMEOUT"
	attemptTimeoutSetting = "ALIPAY_ATTEMPT_TIMEOUT"
)

// problems returns everything that keeps cfg from working.
func (cfg Config) problems() setting.Problems {
	var ps setting.Problems
	refuse := func(bad bool, name, problem, fix string) {
		if bad {
			ps = append(ps, setting.Bad(name, problem, fix))
		}
	}
	refuse(cfg.AppID == "", appIDSetting, "is missing", "copy the APPID of the application from Alipay's console")
	refuse(len(cfg.AppID) > 32 || !visibleASCII(cfg.AppID), appIDSetting, "is not an app id", "copy the APPID of the application from Alipay's console")
	refuse(cfg.SignType != RSA2 && cfg.SignType != RSA, signTypeSetting, "is not a sign type", "use RSA2 or RSA")
	refuse(!cfg.Charset.known(), charsetSetting, "is not a charset that the gateway documents", "use utf-8, gbk, gb2312 or gb18030")
	refuse(len(cfg.EncryptKey) != 0 && len(cfg.EncryptKey) != encryptKeySize, encryptKeySetting,
		fmt.Sprintf("has %d bytes, but AES-128 needs %d", len(cfg.EncryptKey), encryptKeySize), "copy the AES key from Alipay's console")
	refuse(!visibleASCII(cfg.AppAuthToken), appAuthTokenSetting, "holds white space or characters that no token has", "copy the token again")
	refuse(cfg.Timeout < 0, timeoutSetting, "is negative", "use a positive duration such as 10s")
	refuse(cfg.AttemptTimeout < 0, attemptTimeoutSetting, "is negative", "use a positive duration such as 6s")
	if cfg.AttemptTimeout > cfg.Timeout {
		ps = append(ps, setting.Problem{
			Settings: []string{timeoutSetting, attemptTimeoutSetting},
			Problem:  fmt.Sprintf("allow one attempt %s, but the whole exchange only %s", cfg.AttemptTimeout, cfg.Timeout),
			Fix:      "raise " + timeoutSetting,
		})
	}
	return append(append(ps, cfg.gatewayProblems()...), cfg.keyProblems()...)
}

func (cfg Config) gatewayProblems() setting.Problems {
	u := cfg.GatewayURL
	switch {
	case u == nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return setting.Problems{setting.Bad(gatewaySetting, "is not an https:// address", "use https://openapi.alipay.com/gateway.do")}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		// Further parameters in the query would break the signature.
		return setting.Problems{setting.Bad(gatewaySetting, "has a user, a query or a fragment", "remove it")}
	case u.Scheme == "http" && !cfg.AllowHTTP && !setting.Loopback(u.Hostname()):
		return setting.Problems{{
			Settings: []string{gatewaySetting, allowHTTPSetting},
			Problem:  "do not allow http:// to another machine",
			Fix:      "use https://; in a test network set " + allowHTTPSetting + "=true",
		}}
	}
	return nil
}

// keyProblems checks the keys, and that they belong together.
func (cfg Config) keyProblems() setting.Problems {
	var ps setting.Problems
	own := cfg.PrivateKey
	if p := privateKeyProblem(own); p != nil {
		ps, own = append(ps, *p), nil
	}
	names := []string{publicKeySetting, appCertSetting, alipayCertSetting, rootCertSetting}
	switch {
	case cfg.PublicKey == nil && cfg.Certificates == nil:
		return append(ps, setting.Problem{Settings: names, Problem: "are all missing", Fix: "set Alipay's public key or the three certificate files"})
	case cfg.PublicKey != nil && cfg.Certificates != nil:
		return append(ps, setting.Problem{Settings: names, Problem: "are all set", Fix: "keep what the application uses in Alipay's console: the key or the certificates"})
	case cfg.PublicKey == nil:
		return append(ps, cfg.Certificates.problems(own, cfg.Now())...)
	case cfg.PublicKey.N == nil || cfg.PublicKey.N.BitLen() < minKeyBits:
		return append(ps, setting.Bad(publicKeySetting, "is too short to be Alipay's public key", publicKeyFix))
	case own != nil && cfg.PublicKey.N.Cmp(own.N) == 0:
		// The classic mistake.
		return append(ps, setting.Bad(publicKeySetting, "is the application's own public key", "copy the one named \"Alipay public key\" (支付宝公钥) from Alipay's console"))
	}
	return ps
}

// warnings returns what New accepts but an administrator should know.
func (cfg Config) warnings() []setting.Problem {
	var ws []setting.Problem
	warn := func(concerns bool, name, problem, fix string) {
		if concerns {
			ws = append(ws, setting.Bad(name, problem, fix))
		}
	}
	cs := Charset(strings.ToLower(string(cfg.Charset)))
	warn(cs == GB2312 || cs == GB18030, charsetSetting, fmt.Sprintf("is %s, but the gateway is known to accept only utf-8 and gbk", cs), "use utf-8")
	warn(cfg.SignType == RSA, signTypeSetting, "is RSA, which relies on SHA-1", "set the application to RSA2 in Alipay's console, and here")
	warn(cfg.PrivateKey.N.BitLen() < goodKeyBits, privateKeySetting,
		fmt.Sprintf("has only %d bits", cfg.PrivateKey.N.BitLen()), fmt.Sprintf("create a new key pair of %d bits", goodKeyBits))
	warn(cfg.PublicKey != nil && cfg.PublicKey.N.BitLen() < goodKeyBits, publicKeySetting,
		fmt.Sprintf("has fewer than %d bits, so it belongs to an old application", goodKeyBits), "create new keys in Alipay's console")
	warn(cfg.GatewayURL.Scheme == "http" && !setting.Loopback(cfg.GatewayURL.Hostname()), gatewaySetting,
		"is http://, so responses can be replayed", "use https:// in production")
	if cfg.Certificates != nil {
		ws = append(ws, cfg.Certificates.warnings(cfg.Now())...)
	}
	return ws
}
