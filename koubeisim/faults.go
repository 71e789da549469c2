package koubeisim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is what goes wrong with one gateway call. Its value is its name, in kebab case.
type Fault string

// The faults. Whether the code is spent is said by each: after one that leaves it alone, the same code may be tried again.
const (
	// Nothing arrives, or not what was sent.

	Drop          Fault = "drop"            // the connection is cut; the code is not looked at
	SpendThenDrop Fault = "spend-then-drop" // the code is spent, then the connection is cut
	DropMidway    Fault = "drop-midway"     // spent, and cut in the middle of the answer
	Truncated     Fault = "truncated"       // spent; half an answer arrives as if it were whole
	Empty         Fault = "empty"           // an empty body; code not looked at
	Slow          Fault = "slow"            // waits first: Options.SlowFor, or until the client leaves; spends only then
	SpendThenSlow Fault = "spend-then-slow" // spends first, and keeps the answer back
	Hold          Fault = "hold"            // waits for Release before anything is spent
	SpendThenHold Fault = "spend-then-hold" // spends, and keeps the answer back until Release
	HTML          Fault = "html"            // 200 with a web page; code not looked at
	Status500     Fault = "status-500"      // a proxy's error page; code not looked at
	Status502     Fault = "status-502"      // likewise
	Redirect      Fault = "redirect"        // 307 back to the gateway; a client that follows would be served
	Garbage       Fault = "garbage"         // bytes that are no text; code not looked at
	Huge          Fault = "huge"            // spent; far more bytes than any answer has
	Trailing      Fault = "trailing"        // spent; a true answer with more behind it

	// The gateway refuses.

	Busy              Fault = "busy"                // 20000 isp.unknow-error, signed; code not looked at
	BusyUnsigned      Fault = "busy-unsigned"       // 20000 aop.unknow-error, unsigned
	SpendThenBusy     Fault = "spend-then-busy"     // the code is spent, and then the answer is 20000
	SystemError       Fault = "system-error"        // 40004 SYSTEM_ERROR; code not looked at
	Limited           Fault = "limited"             // 40005 isv.app-call-limited
	NotExist          Fault = "not-exist"           // 40004 AUTH_CODE_NOT_EXIST, whatever the code
	Expired           Fault = "expired"             // 40004 AUTH_CODE_EXPIRES
	AccessDenied      Fault = "access-denied"       // 40004 ACCESS_NOT_ALLOWED
	InvalidParameter  Fault = "invalid-parameter"   // 40004 INVALID_PARAMETER
	PrefixedNotExist  Fault = "prefixed-not-exist"  // isv.AUTH_CODE_NOT_EXIST: other interfaces have prefixes
	UnknownError      Fault = "unknown-error"       // 40004 with a sub_code that nobody has heard of
	InvalidAppID      Fault = "invalid-app-id"      // 40002 isv.invalid-app-id, unsigned as in life
	InvalidSignature  Fault = "invalid-signature"   // 40002 isv.invalid-signature
	NoSignConfig      Fault = "no-sign-config"      // 40003 isv.missing-signature-config, unsigned
	NoPermission      Fault = "no-permission"       // 40006 isv.insufficient-isv-permissions
	TokenTimeOut      Fault = "token-time-out"      // 20001 aop.app-auth-token-time-out
	ErrorNode         Fault = "error-node"          // isv.code-invalid in the old error_response, signed
	ErrorNodeUnsigned Fault = "error-node-unsigned" // the same, unsigned

	// Somebody forges. The code is spent.

	WrongKey          Fault = "wrong-key"           // signed by a stranger
	Unsigned          Fault = "unsigned"            // the answer without its signature
	UnsignedExpired   Fault = "unsigned-expired"    // AUTH_CODE_EXPIRES without a signature; code not looked at
	BadSignature      Fault = "bad-signature"       // the signature is not even base64
	EmptySignature    Fault = "empty-signature"     // the signature is an empty string
	Tampered          Fault = "tampered"            // another operator, put in after signing
	SecondNode        Fault = "second-node"         // a forged node of the same name behind the true one
	EscapedSecondNode Fault = "escaped-second-node" // the same, its name spelled with \u
	ForeignNode       Fault = "foreign-node"        // a forged object of another name before the true one
	BothNodes         Fault = "both-nodes"          // a true node and an error_response
	SuccessAsError    Fault = "success-as-error"    // a signed success, in error_response
	OtherNode         Fault = "other-node"          // a signed success of another method
	UnknownCert       Fault = "unknown-cert"        // alipay_cert_sn that no download knows
	RogueCert         Fault = "rogue-cert"          // signed by a stranger whose downloadable certificate ends in no root of ours
	NoCertSN          Fault = "no-cert-sn"          // alipay_cert_sn left out
	NotEncrypted      Fault = "not-encrypted"       // a plain answer to an encrypted question

	// Signed, but not what was documented. The code is spent.

	Malformed      Fault = "malformed"        // operator_id is empty
	NoType         Fault = "no-type"          // operator_type is missing
	UnknownType    Fault = "unknown-type"     // operator_type SYSTEM, a role of neighbouring interfaces
	RepeatedField  Fault = "repeated-field"   // operator_id twice
	CaseField      Fault = "case-field"       // Operator_Id after operator_id
	NumberCode     Fault = "number-code"      // code as a number
	NoCode         Fault = "no-code"          // code missing
	SuccessSubCode Fault = "success-sub-code" // 10000 with a sub_code
	ArrayNode      Fault = "array-node"       // the node is an array

	// True answers that are hard to read. The code is spent.

	GBK            Fault = "gbk"             // in GBK, and declared so, although UTF-8 was asked for
	GBKUndeclared  Fault = "gbk-undeclared"  // in GBK, but declared as UTF-8
	EscapedSlashes Fault = "escaped-slashes" // signed before the slashes were escaped: verifies once they are plain again
	SignFirst      Fault = "sign-first"      // the signature stands before the node
	Spaced         Fault = "spaced"          // white space wherever JSON allows it
)

// SlowBy is Slow with a delay of its own.
func SlowBy(d time.Duration) Fault {
	return Fault(string(Slow) + ":" + d.String())
}

// String is the fault's name, as ParseFault reads it.
func (f Fault) String() string { return string(f) }

// About says in English what the fault does.
func (f Fault) About() string { return f.trick().en }

// Faults lists them all.
func Faults() []Fault {
	names := make([]Fault, len(tricks))
	for i, t := range tricks {
		names[i] = t.fault
	}
	return names
}

// ParseFault reads a fault's name; slow:2s is SlowBy of two seconds.
func ParseFault(name string) (Fault, error) {
	if delay, ok := strings.CutPrefix(name, string(Slow)+":"); ok {
		if d, err := time.ParseDuration(delay); err != nil || d <= 0 {
			return "", fmt.Errorf("fault %q: want a delay such as slow:2s", name)
		}
		return Fault(name), nil
	}
	if !slices.ContainsFunc(tricks, func(t trick) bool { return string(t.fault) == name }) {
		return "", fmt.Errorf("unknown fault %q", name)
	}
	return Fault(name), nil
}

// Next queues faults: each gateway call that arrives takes one, whatever it asks, until none are left. It panics on a
// fault that ParseFault would not read.
func (k *Koubei) Next(faults ...Fault) {
	for _, f := range faults {
		if _, err := ParseFault(string(f)); err != nil {
			panic("koubeisim: " + err.Error())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, faults...)
}

// Queued lists the faults that no call has taken yet.
func (k *Koubei) Queued() []Fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.faults)
}

// ClearFaults forgets the queued faults.
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
