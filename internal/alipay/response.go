package alipay

import (
	"context"
	"net/http"
	"time"

	"koubei-landing/internal/operator"
)

// response is what came back over HTTP, whole and bounded in size.
type response struct {
	status      int
	contentType string
	body        []byte
	traceID     string
	date        time.Time // the Date header; zero when there is none
}

// read turns the response to koubei.member.data.oauth.query into a grant without AppID and ExchangedAt, or into an *Error.
func (c *Client) read(ctx context.Context, r response) (operator.Grant, error) {
	// 1. Errors of the gateway have status 200 too. Any other status comes from something in front of it.
	if r.status != http.StatusOK {
		return operator.Grant{}, unavailable(OutcomeNotGateway, "HTTP status %d", r.status)
	}
	// 2. Decode bytes to text.
	body, err := decode(r.body, r.contentType, c.charset)
	if err != nil {
		return operator.Grant{}, err
	}
	grant, err := c.readBody(ctx, body, r.contentType)
	if err != nil {
		return operator.Grant{}, addUnverifiedDetails(err, body.text)
	}
	return grant, nil
}

// readBody continues read. The order of the steps is what makes it safe: nothing is decrypted, parsed or trusted before
// its signature is verified.
func (c *Client) readBody(ctx context.Context, body decoded, contentType string) (operator.Grant, error) {
	// 3. The body is one JSON object without repeated names and with exactly one node.
	env, err := openEnvelope(body.text, queryNode)
	if err != nil {
		return operator.Grant{}, err
	}
	// 4. The signature covers the bytes of the node exactly as received.
	node := body.slice(env.node)
	// 5. Without a signature there can only be an error.
	if env.sign == "" {
		return operator.Grant{}, unsigned(env, node)
	}
	// 6. Find the key that the signature must belong to.
	key, err := c.trust.key(ctx, env.alipaySN)
	if err != nil {
		return operator.Grant{}, err
	}
	// 7. Verify the signature.
	verified, err := verify(key, c.signType.hash(), node, env.sign)
	if err != nil {
		return operator.Grant{}, err
	}
	// 8. Read only the verified bytes, after decryption if they are encrypted.
	m, err := c.signedMessage(env, verified, contentType)
	if err != nil {
		return operator.Grant{}, err
	}
	// 9. Anything but a complete success is an error.
	if m.code != codeSuccess {
		return operator.Grant{}, signedError(m)
	}
	if c.trust.certificates != nil && env.alipaySN == "" {
		return operator.Grant{}, untrusted("a success without alipay_cert_sn")
	}
	if env.isError {
		return operator.Grant{}, malformed(m, "a success under error_response")
	}
	return identity(m)
}

// signedMessage parses a verified node. With content encryption a success must be encrypted. An error may be plain: the
// gateway says in this way that it could not decrypt the request.
func (c *Client) signedMessage(env envelope, node decoded, contentType string) (message, error) {
	encrypted := env.kind == '"'
	if encrypted {
		plain, err := c.decryptNode(node.text)
		if err != nil {
			return message{}, malformed(message{}, "%s", err)
		}
		if node, err = decode(plain, contentType, c.charset); err != nil {
			return message{}, malformed(message{}, "the decrypted text is neither UTF-8 nor GBK")
		}
	}
	m, err := parseMessage(node.text)
	if err != nil {
		return message{}, malformed(message{}, "%s", detailOf(err))
	}
	if c.block != nil && !encrypted && m.code == codeSuccess {
		return message{}, malformed(m, "a plain success, although the request was encrypted")
	}
	return m, nil
}

// unsigned turns a node without a signature into an error. The gateway does not sign if it cannot tell which application
// called, for example with isv.invalid-app-id.
func unsigned(env envelope, node decoded) error {
	if env.kind != '{' {
		return untrusted("an encrypted response without a signature")
	}
	m, err := parseMessage(node.text)
	if err != nil {
		return untrusted("not signed, and %s", detailOf(err))
	}
	if m.code == codeSuccess {
		return untrusted("a success without a signature")
	}
	return unsignedError(m)
}
