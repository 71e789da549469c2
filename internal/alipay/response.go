package alipay

import (
	"context"
	"net/http"
	"time"

	"koubei-landing/internal/operator"
)

// answer is what came back over HTTP, whole and bounded in size.
type answer struct {
	status      int
	contentType string
	body        []byte
	traceID     string
	date        time.Time // the Date header; zero when there is none
}

// read turns the answer to koubei.member.data.oauth.query into a grant without application and time, or into an *Error.
// The order of its steps is what makes it safe: nothing is decrypted, parsed or believed before its signature was right.
func (c *Client) read(ctx context.Context, a answer) (operator.Grant, error) {
	// 1. Gateway errors come with status 200 as well; anything else is something in front of it. The size is bounded.
	if a.status != http.StatusOK {
		return operator.Grant{}, unavailable(OutcomeNotGateway, "HTTP status %d", a.status)
	}
	// 2. Bytes to text.
	body, err := decode(a.body, a.contentType, c.charset)
	if err != nil {
		return operator.Grant{}, err
	}
	// 3. One object, no name twice, one answer in it.
	env, err := openEnvelope(body.text, queryNode)
	if err != nil {
		return operator.Grant{}, err
	}
	// 4. The answer's bytes, exactly as received.
	node := body.slice(env.node)
	// 7. Without a signature there can be an error and nothing else.
	if env.sign == "" {
		return operator.Grant{}, unsigned(env, node)
	}
	// 5. The key that the signature must be of.
	key, err := c.trust.key(ctx, env.alipaySN)
	if err != nil {
		return operator.Grant{}, hearsay(err, env, node)
	}
	// 6. The signature, over those bytes.
	proven, err := verify(key, c.signType.hash(), node, env.sign)
	if err != nil {
		return operator.Grant{}, hearsay(err, env, node)
	}
	// 8. Only what was verified is read, after decryption where it is encrypted.
	m, err := c.signedMessage(env, proven, a.contentType)
	if err != nil {
		return operator.Grant{}, err
	}
	// 9. A success is one in every respect.
	if m.code != codeSuccess {
		return operator.Grant{}, failure(m, true)
	}
	if env.isError {
		return operator.Grant{}, malformed(m, "a success under error_response")
	}
	return identity(m)
}

// signedMessage reads a verified node. With content encryption a success must be encrypted; an error may be plain,
// because that is how the gateway says that it couldn't decrypt the question.
func (c *Client) signedMessage(env envelope, node decoded, contentType string) (message, error) {
	encrypted := env.kind == '"'
	if encrypted {
		plain, err := c.decryptNode(node.text)
		if err != nil {
			return message{}, malformed(message{}, "%s", err)
		}
		if node, err = decode(plain, contentType, c.charset); err != nil {
			return message{}, malformed(message{}, "decrypted text that is neither UTF-8 nor GBK")
		}
	}
	m, err := parseMessage(node.text)
	if err != nil {
		return message{}, malformed(message{}, "%s", detailOf(err))
	}
	if c.block != nil && !encrypted && m.code == codeSuccess {
		return message{}, malformed(m, "a plain success although encryption was asked for")
	}
	return m, nil
}

// unsigned reads a node that carries no signature: the gateway doesn't sign where it can't tell for whom, as on
// isv.invalid-app-id.
func unsigned(env envelope, node decoded) error {
	if env.kind != '{' {
		return untrusted("an encrypted answer without a signature")
	}
	m, err := parseMessage(node.text)
	if err != nil {
		return untrusted("not signed, and %s", detailOf(err))
	}
	if m.code == codeSuccess {
		return untrusted("a success without a signature")
	}
	return failure(m, false)
}

// hearsay adds what an answer that can't be trusted claims to err, because it is often the gateway's true complaint, seen
// through a wrong key of ours. It changes no decision.
func hearsay(err error, env envelope, node decoded) error {
	e := asError(err)
	if env.kind != '{' {
		return e
	}
	if m, err := parseMessage(node.text); err == nil && m.code != codeSuccess {
		e.Code, e.Msg, e.SubCode, e.SubMsg = m.code, m.msg, m.subCode, m.subMsg
	}
	return e
}
