package session

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
)

// Token is the value of the session cookie. It grants access to the session. It prints as redacted.
type Token string

// String hides the token from printing.
func (Token) String() string { return "redacted" }

// GoString hides the token from %#v.
func (Token) GoString() string { return "redacted" }

// LogValue hides the token from slog.
func (Token) LogValue() slog.Value { return slog.StringValue("redacted") }

// tokenLength is the length of 32 random bytes in base64url, as scs creates them.
const tokenLength = 43

// WellFormed reports whether the token has the right form. The service does not look up other tokens in Redis.
func (t Token) WellFormed() bool { return base64URL(string(t), tokenLength) }

// base64URL reports whether a text consists of n characters of base64url.
func base64URL(text string, n int) bool {
	if len(text) != n {
		return false
	}
	for _, c := range []byte(text) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// Hash returns the name under which the session is stored: base64url of the token's SHA-256, like scs's HashTokenInStore.
// Access to Redis alone is therefore not enough to sign in.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t))
	var text [tokenLength]byte // as long as a token: both have 32 bytes
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return string(text[:])
}
