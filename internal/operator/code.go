package operator

import (
	"crypto/sha256"
	"encoding/base64"
)

// HashCode returns the name under which a code is known wherever it is stored or compared: base64url of the SHA-256 of
// the application's id, a zero byte and the code. The id keeps two applications that share a Redis apart, the zero byte
// keeps "1"+"23" from "12"+"3".
func HashCode(appID, code string) string {
	sum := sha256.Sum256([]byte(appID + "\x00" + code))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
