package koubeisim

import (
	"context"
	"errors"
	"net/http"
)

// Gateway speaks for openapi.alipay.com/gateway.do.
func (k *Koubei) Gateway() http.Handler {
	return http.HandlerFunc(k.serveGateway)
}

func (k *Koubei) serveGateway(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the gateway takes POST", http.StatusMethodNotAllowed)
		return
	}
	req, q, refused := k.accept(w, r)
	fault := k.nextFault()
	call := k.begin(q, fault)
	if refused != nil {
		// A wrong request is told what is wrong with it, whatever fault was its turn.
		v := verdictOf(refused)
		k.decided(call, v.subCode)
		k.draft(req, q, v, nil).send(w)
		return
	}
	k.play(w, r, req, q, call)
}

// play answers an acceptable call, as the fault wants it.
func (k *Koubei) play(w http.ResponseWriter, r *http.Request, req request, q question, call *Call) {
	t := call.Fault.trick()
	if gone(r.Context(), k, t.before) {
		k.decided(call, string(call.Fault))
		return
	}
	v, fields := verdict{}, []field(nil)
	if !t.blind {
		v, fields = k.judge(q)
	}
	if t.says != nil {
		v, fields = *t.says, nil
	}
	k.decided(call, outcome(v, call.Fault))
	if gone(r.Context(), k, t.after) {
		return
	}
	d := k.draft(req, q, v, fields)
	if t.shape != nil {
		t.shape(k, d)
	}
	if t.send != nil {
		t.send(w, r, d)
		return
	}
	d.send(w)
}

// gone waits, and reports whether the client left meanwhile.
func gone(ctx context.Context, k *Koubei, wait func(*Koubei, context.Context) error) bool {
	return wait != nil && wait(k, ctx) != nil
}

// judge decides what a question is worth, and spends its code.
func (k *Koubei) judge(q question) (verdict, []field) {
	if q.method == methodCertDownload {
		return k.downloadCertificate(q.certSN)
	}
	p, err := k.spend(q.code)
	if err != nil {
		return verdictOf(err), nil
	}
	return success, identity(p)
}

// identity is the answer's fields about a person. What is empty is left out, but not who acts and as what.
func identity(p Person) []field {
	fields := []field{{name: "operator_id", value: p.OperatorID}, {name: "operator_type", value: p.OperatorType}}
	if p.PartnerID != "" {
		fields = append(fields, field{name: "operator_partner_id", value: p.PartnerID})
	}
	if p.ShopIDs != "" {
		fields = append(fields, field{name: "shop_ids", value: p.ShopIDs})
	}
	return fields
}

// outcome is a call's word in the log.
func outcome(v verdict, f Fault) string {
	switch {
	case v.code == "":
		return string(f)
	case v.subCode == "":
		return "success"
	}
	return v.subCode
}

func verdictOf(err error) verdict {
	var v verdict
	if !errors.As(err, &v) {
		panic("koubeisim: not a verdict: " + err.Error())
	}
	return v
}
