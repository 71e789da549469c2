// Package alipay calls one method of the Alipay OpenAPI gateway: koubei.member.data.oauth.query, which says who is behind
// an authorization code. Client.Exchange takes a code and returns an operator.Grant, or an error of one of seven kinds.
//
// The protocol has these surprises:
//
//   - Parameters travel in the URL query and in the form body. The gateway merges both, but charset must be in the query,
//     or else the gateway falls back to GBK (request.go).
//   - The string to sign holds raw values in the charset of the request, and it includes sign_type (sign.go).
//   - Responses have the content type text/html and may be GBK although UTF-8 was requested. The signature covers the raw
//     bytes, but JSON can only be scanned after decoding (charset.go, envelope.go).
//   - The signature covers the value of one member and nothing else: not its name and not the request. So the client
//     verifies it before it decodes, decrypts or trusts anything, and refuses repeated names (response.go).
//   - The gateway cannot sign some errors. They have Signed == false and are never a verdict on a code (verdict.go).
//   - Real Alipay certificates fail crypto/x509's path validation. So chains are checked by names, signatures and dates
//     (chain.go), and unknown certificates are downloaded (download.go).
//
// An exchange consists of attempts, one after another, within one timeout (client.go). Only ErrUnavailable is retried: the
// gateway said that it is busy, or said nothing. A code is valid for one exchange, so an attempt whose response was lost may
// have spent it. ErrCodeNotExist from the next attempt then means the same as always: enter again from Koubei.
//
// Problems with the configuration are values of package setting that name the environment variables concerned.
package alipay
