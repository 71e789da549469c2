package koubeisim

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const maxRequest = 64 << 10

// request is a call as it came. Values are the bytes that were sent: what is signed is never transcoded.
type request struct {
	query  url.Values
	params map[string]string
	answer charset // for the answer
}

var (
	notAForm    = invalid("isv.invalid-parameter", "请以application/x-www-form-urlencoded格式提交参数")
	repeated    = invalid("isv.suspected-attack", "参数重复")
	charsetLost = invalid("isv.invalid-charset", "字符集错误，请确认charset参数放在了URL查询字符串中，且与Content-Type中的charset一致")
)

// readRequest merges query and body, as the gateway does, and settles the charset. Only charset has a forced place: the
// query. A gateway that doesn't find it there assumes GBK, and so does the answer.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	req := request{params: map[string]string{}, answer: gbkCharset}
	var err error
	if req.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return req, notAForm
	}
	name := req.query.Get("charset")
	spoken, known := charsetNamed(name)
	if known {
		req.answer = spoken
	}
	kind, extra, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return req, notAForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return req, notAForm
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return req, notAForm
	}
	if err := req.merge(form); err != nil {
		return req, err
	}
	if !known || !strings.EqualFold(extra["charset"], name) {
		return req, charsetLost
	}
	return req, nil
}

// merge refuses a parameter given twice. charset alone may stand in both places: the official .NET SDK sends it so.
func (req *request) merge(form url.Values) error {
	for _, part := range []url.Values{req.query, form} {
		for name, values := range part {
			before, twice := req.params[name]
			if len(values) > 1 || twice && (name != "charset" || before != values[0]) {
				return repeated
			}
			req.params[name] = values[0]
		}
	}
	return nil
}

// signedContent is the canonical string: every parameter but the signature, sorted by name in byte order, raw.
func (req request) signedContent() []byte {
	pairs := make([][2]string, 0, len(req.params))
	for name, value := range req.params {
		if name != "sign" {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	var content []byte
	for i, p := range pairs {
		if i > 0 {
			content = append(content, '&')
		}
		content = append(append(append(content, p[0]...), '='), p[1]...)
	}
	return content
}
