package operator

import (
	"crypto/sha256"
	"encoding/base64"
)

// AuthType is the only auth_type that Koubei's redirects and koubei.member.data.oauth.query know.
const AuthType = "pay_member"

// maxCode is the length of the longest code that Koubei documents.
const maxCode = 32

// IsCode reports whether code can be an authorization code: 1 to 32 visible ASCII characters. Real codes have letters of
// both cases and digits, and are not hexadecimal.
func IsCode(code string) bool {
	for i := range len(code) {
		if code[i] <= ' ' || code[i] > '~' {
			return false
		}
	}
	return code != "" && len(code) <= maxCode
}

// HashCode returns the name of a code wherever it is stored or compared: base64url of the SHA-256 of the application's id,
// a zero byte and the code. The id separates applications that share a Redis. The zero byte separates "1"+"23" from
// "12"+"3".
func HashCode(appID, code string) string {
	sum := sha256.Sum256([]byte(appID + "\x00" + code))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
