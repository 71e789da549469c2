// Package alipay speaks to the Alipay OpenAPI gateway about one thing: koubei.member.data.oauth.query, which tells
// who stands behind an authorisation code. The caller hands over a code and gets an operator.Grant, or an error of
// one of seven kinds.
//
// What surprises in this protocol, and where it is dealt with:
//
//   - Parameters travel in the URL's query and in the form body, and the gateway merges both; but charset must be in
//     the query, or the gateway falls back to GBK (request.go).
//   - The string to sign holds raw values, in the charset of the request, and sign_type is part of it (sign.go).
//   - Answers come as text/html, may be GBK although UTF-8 was asked for, and are signed over their raw bytes, which
//     can't be scanned for JSON before they are decoded (charset.go, envelope.go).
//   - The signature covers the value of one member and nothing else: not its name, not the question. Nothing is
//     decoded, decrypted or believed before it is verified, and a name that occurs twice is refused (response.go).
//   - Some errors can't be signed by the gateway. They are reported with Signed == false, and never lead to a verdict
//     about a code (judge.go).
//   - Real Alipay certificates don't pass crypto/x509's path validation, so chains are checked by names, signatures
//     and dates (chain.go), and a certificate that we don't know yet is fetched (download.go).
//
// An exchange is one or more attempts, one after another, inside one budget (client.go). Only ErrUnavailable is
// tried again: the gateway said "busy" or said nothing. A code is good for one exchange, so an attempt whose answer was
// lost may have spent it, and the next attempt's ErrCodeNotExist then means "enter again", as it always does.
package alipay
