package koubeisim

import (
	"crypto/rsa"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nodeNames are the members that hold the responses. Errors without a known method use errorNode.
var nodeNames = map[string]string{
	methodOAuthQuery:   "koubei_member_data_oauth_query_response",
	methodCertDownload: "alipay_open_app_alipaycert_download_response",
}

const errorNode = "error_response"

// reply is a response before it is written: everything that a fault may change.
type reply struct {
	node     string
	fields   []field
	forged   []field // replaces fields after signing
	style    style
	array    bool    // the node stands in an array
	charset  charset // of the body
	declared charset // in the Content-Type

	key        *rsa.PrivateKey // nil: unsigned
	signType   string
	certSN     string // empty: no alipay_cert_sn
	encryptKey []byte // empty: plain

	first, last []string // further members before and after
	signature   *string  // replaces the signature; JSON
	unescaped   bool     // sign the text as it was before slashes were escaped
	trailer     string   // follows the JSON
	traceID     string
	date        time.Time
}

// newReply returns a correct response.
func (k *Koubei) newReply(req request, v verdict, data []field) *reply {
	a := &reply{
		node:     nodeNames[req.method],
		fields:   slices.Concat(v.fields(), data),
		charset:  req.charset,
		declared: req.charset,
		signType: k.o.SignType,
		traceID:  "21" + randomText("0123456789abcdef", 30),
		date:     k.o.Now(),
	}
	if a.node == "" {
		a.node = errorNode
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !v.unsigned { // without an application there is no key to sign or encrypt with
		a.key = k.key
		if k.certs != nil {
			a.certSN = k.certs.leafSN
		}
		if req.encrypted {
			a.encryptKey = k.o.EncryptKey
		}
	}
	if !k.o.Plain {
		k.replies++
		if v.subCode == "" && req.method == methodOAuthQuery && k.replies%3 == 0 {
			a.fields = append(a.fields, field{name: "ext_info", value: `{"key":"value"}`}) // an optional field
		}
		a.vary(k.replies)
	}
	return a
}

// vary makes successive responses differ wherever the protocol leaves a choice. It counts instead of drawing random
// numbers, so that a failed test fails again.
func (a *reply) vary(n int) {
	a.style = style{first: n, spaces: n%5 == 3, escapeSlashes: n%2 == 0, signFirst: n%7 == 5}
	if n%4 != 1 {
		a.fields = append(a.fields, a.undocumented()...)
	}
}

// undocumented returns fields that are not documented. In GBK the second byte of 誠 is a backslash, which breaks readers
// that scan bytes.
func (a *reply) undocumented() []field {
	text := "口碑（测试）\n\"A\\B\""
	if a.charset.has('誠') && a.charset.name != "GB2312" {
		text += "誠"
	}
	return []field{{name: "diagnosis", value: text}, {name: "link", value: "https://example.com/a/b?c=d"}}
}

// value returns the value of the node.
func (a *reply) value(fields []field, s style) string {
	escapeBase64 := a.unescaped && s.escapeSlashes // the signed text is the base64, so its slashes count
	if len(a.encryptKey) > 0 {
		s.escapeSlashes = s.escapeSlashes && !a.unescaped
		return style{escapeSlashes: escapeBase64}.quote(encryptAES(a.encryptKey, a.charset.encode(s.object(a.charset, fields))), a.charset)
	}
	text := s.object(a.charset, fields)
	if a.array {
		return "[" + text + "]"
	}
	return text
}

// body returns the response, signed over exactly the bytes in it.
func (a *reply) body() []byte {
	value := a.value(a.fields, a.style)
	var members []string
	if a.certSN != "" && a.key != nil {
		members = append(members, `"alipay_cert_sn":`+quote(a.certSN, a.charset))
	}
	if a.signature != nil {
		members = append(members, `"sign":`+*a.signature)
	} else if a.key != nil {
		signed := value
		if a.unescaped {
			s := a.style
			s.escapeSlashes = false
			signed = a.value(a.fields, s)
		}
		members = append(members, `"sign":`+quote(sign(a.key, a.signType, a.charset.encode(signed)), a.charset))
	}
	if a.forged != nil {
		value = a.value(a.forged, a.style)
	}
	node := quote(a.node, a.charset) + ":" + a.style.gap() + value
	if a.style.signFirst {
		members = append(members, node)
	} else {
		members = slices.Insert(members, 0, node)
	}
	return a.charset.encode("{" + strings.Join(slices.Concat(a.first, members, a.last), ","+a.style.gap()) + "}" + a.trailer)
}

// send writes the response with status 200 and text/html for every verdict, like the real gateway.
func (a *reply) send(w http.ResponseWriter) {
	body := a.body()
	a.writeHeader(w)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (a *reply) writeHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html;charset="+a.declared.name)
	w.Header().Set("trace_id", a.traceID)
	w.Header().Set("Date", a.date.UTC().Format(http.TimeFormat))
}
