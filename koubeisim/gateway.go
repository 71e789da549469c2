package koubeisim

import (
	"context"
	"errors"
	"net/http"
)

// Gateway returns the gateway, which stands for openapi.alipay.com/gateway.do.
func (k *Koubei) Gateway() http.Handler { return http.HandlerFunc(k.serveGateway) }

func (k *Koubei) serveGateway(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the gateway accepts only POST", http.StatusMethodNotAllowed)
		return
	}
	req, err := k.accept(w, r)
	call := k.logCall(req, k.nextFault())
	if err != nil {
		v := verdictOf(err)
		k.setOutcome(call, v.subCode)
		k.newReply(req, v, nil).send(w)
		return
	}
	k.respond(w, r, req, call)
}

// respond responds to an accepted call, changed by its fault.
func (k *Koubei) respond(w http.ResponseWriter, r *http.Request, req request, call *Call) {
	f := call.Fault.behavior()
	if clientLeft(r.Context(), k, f.before) {
		k.setOutcome(call, string(call.Fault))
		return
	}
	v, data := verdict{}, []field(nil)
	if !f.unspent {
		v, data = k.decide(req)
	}
	if f.says != nil {
		v, data = *f.says, nil
	}
	k.setOutcome(call, outcome(v, call.Fault))
	if clientLeft(r.Context(), k, f.after) {
		return
	}
	a := k.newReply(req, v, data)
	if f.change != nil {
		f.change(k, a)
	}
	if f.send != nil {
		f.send(w, r, a)
		return
	}
	a.send(w)
}

// clientLeft waits and reports whether the client has left in the meantime.
func clientLeft(ctx context.Context, k *Koubei, wait func(*Koubei, context.Context) error) bool {
	return wait != nil && wait(k, ctx) != nil
}

// decide returns what a call gets, and spends its code.
func (k *Koubei) decide(req request) (verdict, []field) {
	if req.method == methodCertDownload {
		return k.downloadCertificate(req.certSN)
	}
	p, err := k.spend(req.code)
	if err != nil {
		return verdictOf(err), nil
	}
	return success, identity(p)
}

// identity returns the fields about a person, without the optional ones that are empty.
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

// outcome returns Call.Outcome.
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
