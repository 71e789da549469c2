package readiness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/store"
)

// maxCause bounds a cause in bytes.
const maxCause = 200

// causeOf returns the reason why a check failed, in one line. If Redis replied, it uses Redis's own word and definite is
// true. The same cause always has the same text.
func causeOf(err error) (cause string, definite bool) {
	// Nil is no cause: go-redis joins it into the error of a failed dial, whose reason is looked for below.
	if reply, ok := errors.AsType[redis.Error](err); ok && !errors.Is(reply, redis.Nil) {
		return shorten(replyText(reply.Error())), true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && !op.Timeout() {
		// Without the local port, which differs each time.
		return shorten(fmt.Sprintf("unreachable: %s %v: %v", op.Op, op.Addr, op.Err)), false
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no reply in time", false
	}
	return shorten(strings.TrimPrefix(err.Error(), store.ErrUnavailable.Error()+": ")), false
}

var (
	// inScript is where Redis 6.2 hides the error of a command that a script ran.
	inScript = regexp.MustCompile(`^ERR Error running script .*?-([A-Z]+ .*)`)

	// scriptPlace is what Redis adds to the error of a script: its hash and line.
	scriptPlace = regexp.MustCompile(` *(script: [0-9a-f]{40}, on @user_script:\d+\.|, Lua.*)$`)
)

// replyText returns Redis's error with its code first.
func replyText(text string) string {
	if m := inScript.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	text = scriptPlace.ReplaceAllString(text, "")
	if strings.HasPrefix(text, "ERR The user executing the script ") {
		// Outside of scripts, Redis 7.0 calls this error NOPERM. Inside of scripts it has no code.
		text = "NOPERM " + strings.TrimPrefix(text, "ERR ")
	}
	return text
}

// shorten returns a text as one line of at most maxCause bytes.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return text
}
