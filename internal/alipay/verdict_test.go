package alipay

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A row is the gateway's response, and the kind of error with and without a signature.
func TestKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code, subCode    string
		signed, unsigned error
	}{
		{"40004", "INVALID_PARAMETER", ErrInvalidParameter, ErrRejected},
		{"40004", "AUTH_CODE_NOT_EXIST", ErrCodeNotExist, ErrRejected},
		{"40004", "AUTH_CODE_EXPIRES", ErrCodeExpired, ErrRejected},
		{"40004", "ACCESS_NOT_ALLOWED", ErrAccessNotAllowed, ErrRejected},
		{"40004", "SYSTEM_ERROR", ErrUnavailable, ErrRejected},
		{"20000", "SYSTEM_ERROR", ErrUnavailable, ErrUnavailable},
		{"20000", "AUTH_CODE_EXPIRES", ErrCodeExpired, ErrUnavailable},
		{"40002", "isv.AUTH_CODE_NOT_EXIST", ErrCodeNotExist, ErrRejected},
		{"40004", "isp.SYSTEM_ERROR", ErrUnavailable, ErrRejected},
		{"40004", "aop.ACCESS_NOT_ALLOWED", ErrAccessNotAllowed, ErrRejected},
		{"40004", "ACQ.INVALID_PARAMETER", ErrInvalidParameter, ErrRejected},
		{"40004", "KOUBEI.AUTH_CODE_EXPIRES", ErrCodeExpired, ErrRejected},
		{"40004", "isv.isv.AUTH_CODE_EXPIRES", ErrRejected, ErrRejected},
		{"40004", "auth_code_expires", ErrRejected, ErrRejected},
		{"40002", "isv.invalid-parameter", ErrRejected, ErrRejected},
		{"20000", "isp.unknow-error", ErrUnavailable, ErrUnavailable},
		{"20000", "", ErrUnavailable, ErrUnavailable},
		{"40005", "isv.app-call-limited", ErrUnavailable, ErrRejected},
		{"20001", "aop.invalid-auth-token", ErrRejected, ErrRejected},
		{"40006", "isv.insufficient-isv-permissions", ErrRejected, ErrRejected},
		{"10003", "", ErrRejected, ErrRejected},
		{"10000", "", ErrUntrusted, ErrUntrusted},
		{"10000 ", "", ErrRejected, ErrRejected},
	}
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range tests {
		t.Run(tt.code+" "+tt.subCode, func(t *testing.T) {
			node := `{"code":"` + tt.code + `","msg":"m","sub_code":"` + tt.subCode + `"}`
			for _, signed := range []bool{true, false} {
				for _, name := range []string{queryNode, errorNode} {
					body, want := signedBy(t, key, node), tt.signed
					if !signed {
						body, want = `{"`+queryNode+`":`+node+`}`, tt.unsigned
					}
					body = strings.Replace(body, queryNode, name, 1)
					_, err := c.read(t.Context(), response{status: 200, contentType: "text/html", body: []byte(body)})
					wantCode := tt.code
					if !signed && tt.code == codeSuccess {
						wantCode = "" // a success is no error
					}
					if e := asError(err); !errors.Is(err, want) || e.Signed != signed || e.Code != wantCode || strings.Contains(err.Error(), "(unverified)") != (!signed && tt.code != codeSuccess) {
						t.Errorf("%s, signed %t: got %+v, want %v with the code %q", name, signed, e, want, wantCode)
					}
				}
			}
		})
	}
}

// Conditions of a signed success, beyond the vectors.
func TestIdentity(t *testing.T) {
	t.Parallel()
	field := func(name, value string) string {
		return strings.Replace(successNode, `"operator_type"`, `"`+name+`":"`+value+`","operator_type"`, 1)
	}
	replace := func(old, with string) string { return strings.Replace(successNode, old, with, 1) }
	// names returns a success with n names.
	names := func(n int) string {
		node := strings.TrimSuffix(successNode, "}")
		for i := range n - strings.Count(successNode, `":`) {
			node += fmt.Sprintf(`,"x%d":{"y":[1,"]"]}`, i)
		}
		return node + "}"
	}
	tests := []struct {
		name, node string
		want       error
	}{
		{"as documented", successNode, nil},
		{"null in every optional field", replace(`"2088000000000202"`, `null,"shop_ids":null,"ext_info":null,"sub_code":null,"sub_msg":null`), nil},
		{"null code", replace(`"10000"`, "null"), ErrUntrusted},
		{"null msg", replace(`"Success"`, "null"), ErrUntrusted},
		{"null operator", replace(`"2088000000000101"`, "null"), ErrUntrusted},
		{"null type", replace(`"PROVIDER"`, "null"), ErrUntrusted},
		{"numeric partner", replace(`"2088000000000202"`, "2088000000000202"), ErrUntrusted},
		{"boolean sub_code", replace(`"code"`, `"sub_code":false,"code"`), ErrUntrusted},
		{"array for the partner", replace(`"2088000000000202"`, `["2088000000000202"]`), ErrUntrusted},
		{"first and last visible character in id", replace("2088000000000101", "!~"), nil},
		{"64 bytes of id", replace("2088000000000101", strings.Repeat("x", 64)), nil},
		{"65 bytes of id", replace("2088000000000101", strings.Repeat("x", 65)), ErrUntrusted},
		{"space in id", replace("2088000000000101", "2088 1"), ErrUntrusted},
		{"line feed in id", replace("2088000000000101", `2088\n1`), ErrUntrusted},
		{"Chinese id", replace("2088000000000101", "店"), ErrUntrusted},
		{"DEL in type", replace("PROVIDER", `MER\u007f`), ErrUntrusted},
		{"65 bytes of type", replace("PROVIDER", strings.Repeat("x", 65)), ErrUntrusted},
		{"space in partner", replace("2088000000000202", "2088 2"), ErrUntrusted},
		{"empty partner", replace("2088000000000202", ""), nil},
		{"empty sub_code", field("sub_code", ""), nil},
		{"sub_code", field("sub_code", "x"), ErrUntrusted},
		{"shops", field("shop_ids", "1, 2"), nil},
		{"16 KiB of shops", field("shop_ids", strings.Repeat("1", 16<<10)), nil},
		{"more than 16 KiB of shops", field("shop_ids", strings.Repeat("1", 16<<10+1)), ErrUntrusted},
		{"tab in shops", field("shop_ids", `1\t2`), ErrUntrusted},
		{"last C0 control character in shops", field("shop_ids", `1\u001f2`), ErrUntrusted},
		{"tilde in shops", field("shop_ids", `1~2`), nil},
		{"DEL in shops", field("shop_ids", `1\u007f2`), ErrUntrusted},
		{"first C1 control character in shops", field("shop_ids", `1\u00802`), ErrUntrusted},
		{"last C1 control character in shops", field("shop_ids", `1\u009f2`), ErrUntrusted},
		{"no-break space in shops", field("shop_ids", `1\u00a02`), nil},
		{"128 names", names(128), nil},
		{"129 names", names(129), ErrUntrusted},
		{"escaped duplicate", field(`operator\u005fid`, "1"), ErrUntrusted},
		{"repeated unknown name", field("x", `1","x":"2`), ErrUntrusted},
	}
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.read(t.Context(), response{status: 200, body: []byte(signedBy(t, key, tt.node))})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// The documentation does not say how shop_ids lists several shops.
func TestShopIDs(t *testing.T) {
	t.Parallel()
	key := privateKey(t, "keys/alipay_private_pkcs8.pem")
	c := newTestClient(t, testConfig(t))
	for _, tt := range []struct {
		name, value string
		want        string
		kind        error
	}{
		{"text", `"1,2"`, "1,2", nil},
		{"null", `null`, "", nil},
		{"empty text", `""`, "", nil},
		{"array", `["1","2","3"]`, "1,2,3", nil},
		{"one in an array", `["1"]`, "1", nil},
		{"empty array", `[ ]`, "", nil},
		{"array with white space and escapes", "[ \"1\" ,\n\t\"\\u0032\" ]", "1,2", nil},
		{"number", `1`, "", ErrUntrusted},
		{"boolean", `true`, "", ErrUntrusted},
		{"object", `{"1":"2"}`, "", ErrUntrusted},
		{"array of numbers", `[1,2]`, "", ErrUntrusted},
		{"null in an array", `["1",null]`, "", ErrUntrusted},
		{"array in an array", `["1",["2"]]`, "", ErrUntrusted},
		{"control character in an array", `["1","2\n3"]`, "", ErrUntrusted},
		{"16 KiB", `"` + strings.Repeat("1", 16<<10) + `"`, strings.Repeat("1", 16<<10), nil},
		{"more than 16 KiB in an array", `["` + strings.Repeat("1", 8<<10) + `","` + strings.Repeat("2", 8<<10) + `"]`, "", ErrUntrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := strings.Replace(successNode, `"code"`, `"shop_ids":`+tt.value+`,"code"`, 1)
			got, err := c.read(t.Context(), response{status: 200, body: []byte(signedBy(t, key, node))})
			if got.ShopIDs != tt.want || tt.kind == nil && err != nil || !errors.Is(err, tt.kind) {
				t.Errorf("got %q, %v, want %q, %v", got.ShopIDs, err, tt.want, tt.kind)
			}
		})
	}
}
