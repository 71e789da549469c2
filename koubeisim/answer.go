package koubeisim

import (
	"crypto/rsa"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nodeNames are the members that hold the answers; what belongs to no method is said in error_response.
var nodeNames = map[string]string{
	methodOAuthQuery:   "koubei_member_data_oauth_query_response",
	methodCertDownload: "alipay_open_app_alipaycert_download_response",
}

const errorNode = "error_response"

// draft is an answer before it is written down: everything that a fault may want to change.
type draft struct {
	node     string
	fields   []field
	forged   []field // in place of fields, once those are signed
	manner   manner
	bytes    charset // of the body
	declared charset // in the Content-Type

	key        *rsa.PrivateKey // nil: unsigned
	signType   string
	certSN     string // empty: left out
	encryptKey []byte // nil: plain

	first, last []string              // further members, in front of ours and behind
	signature   *string               // in place of the true one
	unescaped   bool                  // sign the text as it was before its slashes were escaped
	retouch     func(s string) string // of the whole body, at last
	traceID     string
	date        time.Time
}

// draft begins an honest answer.
func (k *Koubei) draft(req request, q question, v verdict, fields []field) *draft {
	d := &draft{
		node:     nodeNames[q.method],
		fields:   slices.Concat(v.fields(), fields),
		bytes:    req.answer,
		declared: req.answer,
		signType: k.signType,
		traceID:  "21" + randomText("0123456789abcdef", 30),
		date:     k.now(),
	}
	if d.node == "" {
		d.node = errorNode
	}
	if q.encrypted && !v.unsigned { // where no key can be told to sign with, none can be told to encrypt with
		d.encryptKey = k.encryptKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !v.unsigned {
		d.key = k.key
		if k.certs != nil {
			d.certSN = k.certs.leafSN
		}
	}
	if !k.plain {
		k.answers++
		d.vary(k.answers, v.subCode == "" && q.method == methodOAuthQuery)
	}
	return d
}

func (v verdict) fields() []field {
	fields := []field{{name: "code", value: v.code}, {name: "msg", value: v.msg}}
	if v.subCode != "" {
		fields = append(fields, field{name: "sub_code", value: v.subCode}, field{name: "sub_msg", value: v.subMsg})
	}
	return fields
}

// value is the value of the answer's member, as text.
func (d *draft) value(fields []field, m manner) string {
	if d.encryptKey == nil {
		return m.object(d.bytes, fields)
	}
	escapeOutside := d.unescaped && m.escapeSlashes // of the base64, which is what is signed
	m.escapeSlashes = m.escapeSlashes && !d.unescaped
	return quote(encryptAES(d.encryptKey, d.bytes.encode(m.object(d.bytes, fields))), d.bytes, escapeOutside)
}

// body writes the answer down: signed over exactly the bytes that stand in it.
func (d *draft) body() []byte {
	value := d.value(d.fields, d.manner)
	var members []string
	if d.key != nil {
		if d.certSN != "" {
			members = append(members, `"alipay_cert_sn":`+quote(d.certSN, d.bytes, false))
		}
		members = append(members, `"sign":`+quote(d.sign(value), d.bytes, false))
	}
	if d.forged != nil {
		value = d.value(d.forged, d.manner)
	}
	node := quote(d.node, d.bytes, false) + ":" + d.manner.gap() + value
	if d.manner.signFirst {
		members = append(members, node)
	} else {
		members = slices.Insert(members, 0, node)
	}
	text := "{" + strings.Join(slices.Concat(d.first, members, d.last), ","+d.manner.gap()) + "}"
	if d.retouch != nil {
		text = d.retouch(text)
	}
	return d.bytes.encode(text)
}

func (d *draft) sign(value string) string {
	if d.signature != nil {
		return *d.signature
	}
	if d.unescaped {
		m := d.manner
		m.escapeSlashes = false
		value = d.value(d.fields, m)
	}
	return sign(d.key, d.signType, d.bytes.encode(value))
}

// send answers as the gateway does, with 200 and text/html whatever it has to say.
func (d *draft) send(w http.ResponseWriter) {
	body := d.body()
	d.head(w)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (d *draft) head(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html;charset="+d.declared.name)
	w.Header().Set("trace_id", d.traceID)
	w.Header().Set("Date", d.date.UTC().Format(http.TimeFormat))
}
