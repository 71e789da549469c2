package alipay

import "testing"

// Detail has the parts that the error has, in one line, and Error adds only the package.
func TestErrorDetail(t *testing.T) {
	t.Parallel()
	busy := failure{ErrUnavailable, OutcomeBusy}
	full := newError(message{code: "40004", msg: "Business Failed", subCode: "SYSTEM_ERROR", subMsg: "系统\n繁忙"}, busy)
	full.detail, full.TraceID = "found", "0b26"
	signed := *full
	signed.Signed = true
	kind := ErrUnavailable.Error()
	for _, tt := range []struct {
		name string
		err  *Error
		want string
	}{
		{"a kind alone", newError(message{}, busy), kind},
		{"a detail", unavailable(OutcomeLost, "no %s", "route"), kind + ": no route"},
		{"a code", newError(message{code: "20000"}, busy), kind + ": 20000 (unverified)"},
		{"everything, unverified", full, kind + ": found: 40004 Business Failed SYSTEM_ERROR 系统 繁忙 (unverified), trace_id 0b26"},
		{"everything, signed", &signed, kind + ": found: 40004 Business Failed SYSTEM_ERROR 系统 繁忙, trace_id 0b26"},
	} {
		if got := tt.err.Detail(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if got, want := tt.err.Error(), "alipay: "+tt.want; got != want {
			t.Errorf("%s: got %q, want %q", tt.name, got, want)
		}
	}
}

func TestBareSubCode(t *testing.T) {
	t.Parallel()
	for subCode, want := range map[string]string{
		"": "", "AUTH_CODE_EXPIRES": "AUTH_CODE_EXPIRES", "isv.invalid-app-id": "invalid-app-id", "isp.unknow-error": "unknow-error",
		"aop.invalid-auth-token": "invalid-auth-token", "ACQ.SYSTEM_ERROR": "SYSTEM_ERROR", "KOUBEI.SYSTEM_ERROR": "SYSTEM_ERROR",
		"isv.isv.x": "isv.x", "other.x": "other.x",
	} {
		e := &Error{SubCode: subCode}
		if got := e.BareSubCode(); got != want {
			t.Errorf("%q: got %q, want %q", subCode, got, want)
		}
	}
}
