package koubeisim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is a failure of one gateway call. Its value is its name in kebab case, which the control API and the portal use.
//
// A fault applies to one call: Next puts faults into a queue, and each call takes one. Faults are never random. Each
// constant says whether the code is spent. A code that is not spent can be exchanged by the next call.
type Fault string

// Faults of the network: nothing arrives, or something else than was sent.
const (
	Drop          Fault = "drop"            // cuts the connection; the code is not spent
	SpendThenDrop Fault = "spend-then-drop" // spends the code, then cuts the connection
	DropMidway    Fault = "drop-midway"     // spends the code, and cuts the connection in the middle of the response
	Truncated     Fault = "truncated"       // spends the code; half a response arrives as if it were whole
	Empty         Fault = "empty"           // an empty body; the code is not spent
	Slow          Fault = "slow"            // waits for Options.SlowFor, or until the client leaves, and only then spends the code
	SpendThenSlow Fault = "spend-then-slow" // spends the code, then waits like Slow
	Hold          Fault = "hold"            // waits for Koubei.Release, and only then spends the code
	SpendThenHold Fault = "spend-then-hold" // spends the code, then waits for Koubei.Release
	HTML          Fault = "html"            // a web page with status 200; the code is not spent
	Status500     Fault = "status-500"      // the error page of a proxy; the code is not spent
	Status502     Fault = "status-502"      // the error page of a proxy; the code is not spent
	Redirect      Fault = "redirect"        // 307 to the gateway itself, which would serve a client that follows; the code is not spent
	Garbage       Fault = "garbage"         // bytes that are not text; the code is not spent
	Huge          Fault = "huge"            // spends the code; the response has 32 MiB
	Trailing      Fault = "trailing"        // spends the code; more text follows a correct response
)

// Refusals of the gateway. The code is not spent, except by SpendThenBusy.
const (
	Busy              Fault = "busy"                // 20000 isp.unknow-error, signed
	BusyUnsigned      Fault = "busy-unsigned"       // 20000 aop.unknow-error, unsigned
	BusyNoCertSN      Fault = "busy-no-cert-sn"     // 20000 isp.unknow-error, signed, without alipay_cert_sn
	SpendThenBusy     Fault = "spend-then-busy"     // spends the code, and responds 20000
	SystemError       Fault = "system-error"        // 40004 SYSTEM_ERROR
	Limited           Fault = "limited"             // 40005 isv.app-call-limited
	NotExist          Fault = "not-exist"           // 40004 AUTH_CODE_NOT_EXIST, whatever the code
	Expired           Fault = "expired"             // 40004 AUTH_CODE_EXPIRES, whatever the code
	ExpiredNoCertSN   Fault = "expired-no-cert-sn"  // 40004 AUTH_CODE_EXPIRES, signed, without alipay_cert_sn
	AccessDenied      Fault = "access-denied"       // 40004 ACCESS_NOT_ALLOWED
	InvalidParameter  Fault = "invalid-parameter"   // 40004 INVALID_PARAMETER
	PrefixedNotExist  Fault = "prefixed-not-exist"  // isv.AUTH_CODE_NOT_EXIST, with the prefix that other interfaces use
	UnknownError      Fault = "unknown-error"       // 40004 with an undocumented sub_code
	InvalidAppID      Fault = "invalid-app-id"      // 40002 isv.invalid-app-id, unsigned as in reality
	InvalidSignature  Fault = "invalid-signature"   // 40002 isv.invalid-signature
	NoSignConfig      Fault = "no-sign-config"      // 40003 isv.missing-signature-config, unsigned as in reality
	NoPermission      Fault = "no-permission"       // 40006 isv.insufficient-isv-permissions
	TokenTimeOut      Fault = "token-time-out"      // 20001 aop.app-auth-token-time-out
	ErrorNode         Fault = "error-node"          // isv.code-invalid under the old name error_response, signed
	ErrorNodeUnsigned Fault = "error-node-unsigned" // isv.code-invalid under the old name error_response, unsigned
	NullSign          Fault = "null-sign"           // isv.invalid-app-id with "sign":null
	NumberErrorCode   Fault = "number-error-code"   // isv.invalid-app-id with the code as a number, unsigned
	OtherNodeError    Fault = "other-node-error"    // isv.invalid-app-id in a node with another name, unsigned
)

// Forgeries. The code is spent, except by UnsignedExpired.
const (
	WrongKey          Fault = "wrong-key"           // signed with another key
	Unsigned          Fault = "unsigned"            // a success without its signature
	UnsignedExpired   Fault = "unsigned-expired"    // AUTH_CODE_EXPIRES without a signature; the code is not spent
	BadSignature      Fault = "bad-signature"       // the signature is not base64
	EmptySignature    Fault = "empty-signature"     // the signature is an empty string
	Tampered          Fault = "tampered"            // another operator, inserted after signing
	SecondNode        Fault = "second-node"         // a forged node of the same name follows the correct one
	EscapedSecondNode Fault = "escaped-second-node" // like SecondNode, with \u in the name
	ForeignNode       Fault = "foreign-node"        // a forged object with another name precedes the correct node
	BothNodes         Fault = "both-nodes"          // the correct node and an error_response
	SuccessAsError    Fault = "success-as-error"    // a signed success in error_response
	OtherNode         Fault = "other-node"          // a signed success of another method
	UnknownCert       Fault = "unknown-cert"        // an alipay_cert_sn whose download is refused
	RogueCert         Fault = "rogue-cert"          // signed with a certificate that can be downloaded and leads to another root
	NoCertSN          Fault = "no-cert-sn"          // a success without alipay_cert_sn
	NotEncrypted      Fault = "not-encrypted"       // a plain response to an encrypted request
)

// Signed responses that do not match the documentation. The code is spent.
const (
	Malformed      Fault = "malformed"        // operator_id is empty
	NoType         Fault = "no-type"          // operator_type is missing
	UnknownType    Fault = "unknown-type"     // operator_type SYSTEM, which other interfaces have
	RepeatedField  Fault = "repeated-field"   // operator_id twice
	CaseField      Fault = "case-field"       // Operator_Id after operator_id
	NumberCode     Fault = "number-code"      // code as a number
	NoCode         Fault = "no-code"          // code is missing
	SuccessSubCode Fault = "success-sub-code" // 10000 with a sub_code
	ArrayNode      Fault = "array-node"       // the node is an array
)

// Correct responses with an unusual spelling. The code is spent.
const (
	GBK            Fault = "gbk"             // in GBK and declared so, although UTF-8 was requested
	GBKUndeclared  Fault = "gbk-undeclared"  // in GBK, but declared as UTF-8
	EscapedSlashes Fault = "escaped-slashes" // signed before slashes were escaped, so it verifies only with plain slashes
	SignFirst      Fault = "sign-first"      // the signature precedes the node
	Spaced         Fault = "spaced"          // white space wherever JSON allows it
	NullFields     Fault = "null-fields"     // every absent optional field is null
	ShopArray      Fault = "shop-array"      // shop_ids is an array of strings
)

// SlowBy returns Slow with its own delay.
func SlowBy(d time.Duration) Fault { return Fault(string(Slow) + ":" + d.String()) }

// String returns the name of the fault, which ParseFault accepts.
func (f Fault) String() string { return string(f) }

// About describes the fault in English.
func (f Fault) About() string { return f.behavior().en }

// Faults returns all faults.
func Faults() []Fault {
	names := make([]Fault, len(behaviors))
	for i, b := range behaviors {
		names[i] = b.fault
	}
	return names
}

// ParseFault returns the fault with this name; slow:2s is SlowBy with two seconds.
func ParseFault(name string) (Fault, error) {
	if delay, ok := strings.CutPrefix(name, string(Slow)+":"); ok {
		if d, err := time.ParseDuration(delay); err != nil || d <= 0 {
			return "", fmt.Errorf("fault %q: use a delay such as slow:2s", name)
		}
		return Fault(name), nil
	}
	if !slices.Contains(Faults(), Fault(name)) {
		return "", fmt.Errorf("unknown fault %q", name)
	}
	return Fault(name), nil
}

// Next adds faults to the queue. Each gateway call of any method takes one, until the queue is empty. It panics on a fault
// that ParseFault would refuse.
func (k *Koubei) Next(faults ...Fault) {
	for _, f := range faults {
		if b := must(ParseFault(string(f))).behavior(); b.prepare != nil {
			b.prepare(k)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, faults...)
}

// Queued returns the faults that no call has taken yet.
func (k *Koubei) Queued() []Fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.faults)
}

// ClearFaults empties the queue.
func (k *Koubei) ClearFaults() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = nil
}

func (k *Koubei) nextFault() Fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.faults) == 0 {
		return ""
	}
	f := k.faults[0]
	k.faults = k.faults[1:]
	return f
}
