package koubeisim_test

import (
	"bytes"
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koubei-landing/koubeisim"
)

// faultRow says whether a fault spends the code, and what the response is.
type faultRow struct {
	fault koubeisim.Fault
	spent bool
	want  func(response) bool
}

func TestNetworkFaults(t *testing.T) { testFaults(t, networkFaults) }

var networkFaults = []faultRow{
	{koubeisim.Drop, false, func(a response) bool { return a.err != nil }},
	{koubeisim.SpendThenDrop, true, func(a response) bool { return a.err != nil && a.status == 0 }},
	{koubeisim.DropMidway, true, func(a response) bool { return a.err != nil && len(a.body) > 0 }},
	{koubeisim.Truncated, true, func(a response) bool { return a.err == nil && len(a.body) > 0 && a.fields == nil }},
	{koubeisim.Empty, false, func(a response) bool { return a.err == nil && len(a.body) == 0 }},
	{koubeisim.HTML, false, has("<html>", "系统维护中")},
	{koubeisim.Status500, false, status(500)},
	{koubeisim.Status502, false, status(502)},
	{koubeisim.Redirect, false, status(307)},
	{koubeisim.Garbage, false, func(a response) bool { return a.status == 200 && a.fields == nil }},
	{koubeisim.Huge, true, func(a response) bool { return len(a.body) > 32<<20 && a.verified }},
	{koubeisim.Trailing, true, func(a response) bool { return a.fields == nil && bytes.HasSuffix(a.body, []byte(`}{"code":"10000"}`)) }},
}

func TestRefusals(t *testing.T) { testFaults(t, refusals) }

var refusals = []faultRow{
	{koubeisim.Busy, false, said("isp.unknow-error", true)},
	{koubeisim.BusyUnsigned, false, said("aop.unknow-error", false)},
	{koubeisim.BusyNoCertSN, false, said("isp.unknow-error", true)},
	{koubeisim.SpendThenBusy, true, said("isp.unknow-error", true)},
	{koubeisim.SystemError, false, said("SYSTEM_ERROR", true)},
	{koubeisim.Limited, false, said("isv.app-call-limited", true)},
	{koubeisim.NotExist, false, said("AUTH_CODE_NOT_EXIST", true)},
	{koubeisim.Expired, false, said("AUTH_CODE_EXPIRES", true)},
	{koubeisim.ExpiredNoCertSN, false, said("AUTH_CODE_EXPIRES", true)},
	{koubeisim.AccessDenied, false, said("ACCESS_NOT_ALLOWED", true)},
	{koubeisim.InvalidParameter, false, said("INVALID_PARAMETER", true)},
	{koubeisim.PrefixedNotExist, false, said("isv.AUTH_CODE_NOT_EXIST", true)},
	{koubeisim.UnknownError, false, said("KOUBEI_IS_CLOSED", true)},
	{koubeisim.InvalidAppID, false, said("isv.invalid-app-id", false)},
	{koubeisim.InvalidSignature, false, said("isv.invalid-signature", true)},
	{koubeisim.NoSignConfig, false, said("isv.missing-signature-config", false)},
	{koubeisim.NoPermission, false, said("isv.insufficient-isv-permissions", true)},
	{koubeisim.TokenTimeOut, false, said("aop.app-auth-token-time-out", true)},
	{koubeisim.ErrorNode, false, func(a response) bool { return said("isv.code-invalid", true)(a) && a.node == "error_response" }},
	{koubeisim.ErrorNodeUnsigned, false, func(a response) bool { return said("isv.code-invalid", false)(a) && a.node == "error_response" }},
	{koubeisim.NullSign, false, func(a response) bool {
		return said("isv.invalid-app-id", false)(a) && bytes.Contains(a.body, []byte(`"sign":null`))
	}},
	{koubeisim.NumberErrorCode, false, func(a response) bool { return said("isv.invalid-app-id", false)(a) && a.fields["code"] == 40002.0 }},
	{koubeisim.OtherNodeError, false, func(a response) bool {
		return said("isv.invalid-app-id", false)(a) && a.node == "alipay_system_oauth_token_response"
	}},
}

func TestForgeries(t *testing.T) { testFaults(t, forgeries) }

var forgeries = []faultRow{
	{koubeisim.WrongKey, true, forged},
	{koubeisim.Unsigned, true, func(a response) bool { return forged(a) && !bytes.Contains(a.body, []byte(`"sign"`)) }},
	{koubeisim.UnsignedExpired, false, said("AUTH_CODE_EXPIRES", false)},
	{koubeisim.BadSignature, true, forged},
	{koubeisim.EmptySignature, true, func(a response) bool { return forged(a) && bytes.Contains(a.body, []byte(`"sign":`)) }},
	{koubeisim.Tampered, true, func(a response) bool { return forged(a) && a.text("operator_id") == intruder }},
	{koubeisim.SecondNode, true, has(`"2088102150477653"`, intruder, `"koubei_member_data_oauth_query_response"`)},
	{koubeisim.EscapedSecondNode, true, has(`"2088102150477653"`, intruder, `"\u006boubei_member_data_oauth_query_response"`)},
	{koubeisim.ForeignNode, true, has(`{"koubei_member_data_oauth_query":`, intruder, `"2088102150477653"`)},
	{koubeisim.BothNodes, true, has(`"error_response"`, `"koubei_member_data_oauth_query_response"`)},
	{koubeisim.SuccessAsError, true, signed(func(a response) bool { return a.node == "error_response" && a.text("code") == "10000" })},
	{koubeisim.OtherNode, true, signed(func(a response) bool { return a.node == "alipay_system_oauth_token_response" })},
	{koubeisim.UnknownCert, true, forged},
	{koubeisim.RogueCert, true, forged},
	{koubeisim.NoCertSN, true, func(a response) bool { return a.verified }},     // matters only in certificate mode
	{koubeisim.NotEncrypted, true, func(a response) bool { return a.verified }}, // matters only with encryption
}

func TestUndocumentedResponses(t *testing.T) { testFaults(t, undocumentedResponses) }

var undocumentedResponses = []faultRow{
	{koubeisim.Malformed, true, signed(has(`"operator_id":""`))},
	{koubeisim.NoType, true, signed(func(a response) bool { return a.fields["operator_type"] == nil && a.text("operator_id") != "" })},
	{koubeisim.UnknownType, true, signed(func(a response) bool { return a.text("operator_type") == "SYSTEM" })},
	{koubeisim.RepeatedField, true, signed(func(a response) bool { return bytes.Count(a.body, []byte(`"operator_id"`)) == 2 })},
	{koubeisim.CaseField, true, signed(func(a response) bool {
		return a.text("Operator_Id") == intruder && a.text("operator_id") == merchant.OperatorID
	})},
	{koubeisim.NumberCode, true, signed(func(a response) bool { return a.fields["code"] == 10000.0 })},
	{koubeisim.NoCode, true, signed(func(a response) bool { return a.fields["code"] == nil && a.text("operator_id") != "" })},
	{koubeisim.SuccessSubCode, true, signed(func(a response) bool { return a.text("code") == "10000" && a.text("sub_code") != "" })},
	{koubeisim.ArrayNode, true, signed(has(`_response":[{`))},
}

func TestUnusualSpellings(t *testing.T) { testFaults(t, unusualSpellings) }

var unusualSpellings = []faultRow{
	{koubeisim.GBK, true, signed(func(a response) bool {
		return a.header.Get("Content-Type") == "text/html;charset=GBK" && strings.Contains(a.text("diagnosis"), "口碑")
	})},
	{koubeisim.GBKUndeclared, true, func(a response) bool {
		return a.header.Get("Content-Type") == "text/html;charset=UTF-8" && bytes.Contains(a.body, []byte("\xd5\x5c"))
	}},
	{koubeisim.EscapedSlashes, true, func(a response) bool {
		return !a.verified && a.text("operator_id") == merchant.OperatorID && bytes.Contains(a.body, []byte(`\/`))
	}},
	{koubeisim.SignFirst, true, signed(has(`{"sign"`))},
	{koubeisim.NullFields, true, signed(has(`"shop_ids":null`, `"ext_info":null`, `"sub_code":null`, `"sub_msg":null`, `"operator_partner_id":"`))},
	{koubeisim.ShopArray, true, signed(has(`"shop_ids":[]`))},
	{koubeisim.Spaced, true, signed(func(a response) bool { return bytes.Count(a.body, []byte(" \n\t")) > 6 })},
}

// testFaults sends one call with each fault, and then a second call with the same code.
func testFaults(t *testing.T, rows []faultRow) {
	t.Parallel()
	plain := newWorld(t, koubeisim.Options{Plain: true})
	for _, row := range rows {
		t.Run(row.fault.String(), func(t *testing.T) {
			w := plain.in(t)
			code := w.koubei.Issue(merchant)
			w.koubei.Next(row.fault)
			if a := w.send(w.query(code)); !row.want(a) {
				t.Errorf("got %v, %d, signed %t: %.600q", a.err, a.status, a.verified, a.body)
			}
			calls := w.koubei.Calls()
			if last := calls[len(calls)-1]; w.koubei.CallsFor(code) != 1 || last.Fault != row.fault || last.Outcome == "" || last.Code != code {
				t.Errorf("%d calls, the last %+v", w.koubei.CallsFor(code), last)
			}
			if again := w.send(w.query(code)); (again.text("code") == "10000") == row.spent {
				t.Errorf("spent %t, but the next call got %s", row.spent, again.body)
			}
		})
	}
}

func TestEveryFaultIsTestedAndDescribed(t *testing.T) {
	t.Parallel()
	tested := map[koubeisim.Fault]bool{}
	for _, row := range slices.Concat(networkFaults, refusals, forgeries, undocumentedResponses, unusualSpellings) {
		tested[row.fault] = true
	}
	for _, f := range []koubeisim.Fault{koubeisim.Slow, koubeisim.SpendThenSlow, koubeisim.Hold, koubeisim.SpendThenHold} {
		tested[f] = true // in TestHold and TestSlow
	}
	for _, f := range koubeisim.Faults() {
		if !tested[f] {
			t.Errorf("no row tests %s", f)
		}
		if f.About() == "" {
			t.Errorf("%s has no description", f)
		}
	}
}

const intruder = "2088999999999999" // the operator of a forged response

// said accepts a response with this sub_code.
func said(subCode string, verified bool) func(response) bool {
	return func(a response) bool {
		return a.status == http.StatusOK && a.text("sub_code") == subCode && a.verified == verified
	}
}

// has accepts a response with all these parts, signed or not.
func has(parts ...string) func(response) bool {
	return func(a response) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !bytes.Contains(a.body, []byte(p)) })
	}
}

// forged accepts a success whose signature is wrong or missing.
func forged(a response) bool { return !a.verified && bytes.Contains(a.body, []byte(`"10000"`)) }

// signed accepts a response with a correct signature that check accepts.
func signed(check func(response) bool) func(response) bool {
	return func(a response) bool { return a.verified && check(a) }
}

func status(n int) func(response) bool {
	return func(a response) bool { return a.err == nil && a.status == n }
}

func TestEscapedSlashesVerifyOncePlain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.EscapedSlashes)
	a := w.send(w.query(w.koubei.Issue(merchant)))
	a.body = bytes.ReplaceAll(a.body, []byte(`\/`), []byte("/"))
	if w.read(&a); !a.verified {
		t.Errorf("got %s", a.body)
	}
}

func TestFaultsApplyInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.Busy, koubeisim.Limited)
	w.koubei.Next(koubeisim.Busy)
	code := w.koubei.Issue(merchant)
	var got []string
	for range 4 {
		a := w.send(w.query(code))
		got = append(got, a.text("sub_code"))
	}
	if want := []string{"isp.unknow-error", "isv.app-call-limited", "isp.unknow-error", ""}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestShopArray(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.ShopArray)
	a := w.send(w.query(w.koubei.Issue(koubeisim.Person{OperatorID: "1", OperatorType: "MER_STAFF", ShopIDs: "2,3"})))
	if got, want := a.fields["shop_ids"], any([]any{"2", "3"}); !a.verified || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v in %s, want %v", got, a.body, want)
	}
}

func TestWrongRequestIsRefusedWhateverTheFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.Drop)
	c := w.query("x")
	c.query.Set("method", "nonsense")
	if a := w.send(c); a.text("sub_code") != "isv.invalid-method" {
		t.Errorf("got %v %s", a.err, a.body)
	}
	if queued := w.koubei.Queued(); len(queued) != 0 {
		t.Errorf("the call left %v in the queue", queued)
	}
}

func TestClearFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	w.koubei.Next(koubeisim.Drop, koubeisim.Busy)
	w.koubei.ClearFaults()
	if a := w.send(w.query(w.koubei.Issue(merchant))); a.text("code") != "10000" {
		t.Errorf("got %v %s", a.err, a.body)
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for _, f := range append(koubeisim.Faults(), koubeisim.SlowBy(1500*time.Millisecond)) {
		if got, err := koubeisim.ParseFault(f.String()); err != nil || got != f {
			t.Errorf("%s: got %v, %v", f, got, err)
		}
	}
	for _, name := range []string{"", "Busy", "bus", "slow:", "slow:x", "slow:-1s"} {
		if f, err := koubeisim.ParseFault(name); err == nil {
			t.Errorf("%q: got %v, want an error", name, f)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Next accepts an unknown fault")
		}
	}()
	newWorld(t, koubeisim.Options{}).koubei.Next("no-such-fault")
}

func TestHold(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		fault  koubeisim.Fault
		during string // what a second call gets meanwhile
		held   string
	}{
		{koubeisim.Hold, "", "AUTH_CODE_NOT_EXIST"},
		{koubeisim.SpendThenHold, "AUTH_CODE_NOT_EXIST", ""},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			w := newWorld(t, koubeisim.Options{})
			code := w.koubei.Issue(merchant)
			w.koubei.Next(row.fault)
			c := w.query(code)
			responses := make(chan response, 1)
			go func() { responses <- w.send(c) }()
			if err := w.koubei.AwaitHeld(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if a := w.send(w.query(code)); a.text("sub_code") != row.during {
				t.Errorf("a second call got %s, want %q", a.body, row.during)
			}
			if n := w.koubei.Release(); n != 1 {
				t.Errorf("released %d, want 1", n)
			}
			if a := <-responses; !a.verified || a.text("sub_code") != row.held {
				t.Errorf("held call got %s, want %q", a.body, row.held)
			}
		})
	}
}

// A client that leaves before anything was done has not spent its code.
func TestClientLeavesWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, koubeisim.Options{})
	for _, f := range []koubeisim.Fault{koubeisim.Hold, koubeisim.Slow} {
		code := w.koubei.Issue(merchant)
		w.koubei.Next(f)
		ctx, leave := context.WithCancel(t.Context())
		c := w.query(code)
		left := make(chan response, 1)
		go func() { left <- w.sendAs(ctx, c) }()
		if f == koubeisim.Hold {
			if err := w.koubei.AwaitHeld(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		if a := <-left; a.err == nil {
			t.Errorf("%s: got %s", f, a.body)
		}
		w.koubei.ClearFaults() // if it left before it arrived
		if a := w.send(w.query(code)); a.text("code") != "10000" {
			t.Errorf("%s: then got %s", f, a.body)
		}
	}
}

func TestAwaitHeldStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newWorld(t, koubeisim.Options{}).koubei.AwaitHeld(ctx, 1); err == nil {
		t.Error("got no error, although no call is held")
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		fault koubeisim.Fault
		want  time.Duration
	}{
		{koubeisim.Slow, 5 * time.Second},
		{koubeisim.SpendThenSlow, 5 * time.Second},
		{koubeisim.SlowBy(90 * time.Second), 90 * time.Second},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newOffline(t, koubeisim.Options{SlowFor: 5 * time.Second})
				w.koubei.Next(row.fault)
				r := w.request(w.query(w.koubei.Issue(merchant)))
				began := time.Now()
				a := recordResponse(w, r)
				if took := time.Since(began); took != row.want || a.text("code") != "10000" {
					t.Errorf("took %v, want %v: %s", took, row.want, a.body)
				}
			})
		})
	}
}
