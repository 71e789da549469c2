package koubeisim

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

var illegalJSON = invalid("isv.illegal-json", "biz_content不是合法的JSON")

// readQuestion reads biz_content: a JSON object of strings, encrypted if that was agreed.
func (k *Koubei) readQuestion(req request, q *question) error {
	text, err := k.bizContent(req, q)
	if err != nil {
		return err
	}
	members, err := readObject(text)
	if err != nil {
		return illegalJSON
	}
	if q.method == methodCertDownload {
		q.certSN = members["alipay_cert_sn"]
		if len(members) != 1 || q.certSN == "" {
			return invalidParameter
		}
		return nil
	}
	return readOAuthQuery(members, q)
}

// readOAuthQuery takes what the method documents, and nothing else.
func readOAuthQuery(members map[string]string, q *question) error {
	q.code = members["code"]
	for name := range members {
		if name != "auth_type" && name != "code" && name != "ext_info" {
			return invalidParameter
		}
	}
	if ext, given := members["ext_info"]; given && (utf8.RuneCountInString(ext) > 512 || !json.Valid([]byte(ext))) {
		return invalidParameter
	}
	if members["auth_type"] != "pay_member" || q.code == "" || len(q.code) > 32 {
		return invalidParameter
	}
	return nil
}

// bizContent is the text of biz_content, decrypted. Where a key was agreed the query must come encrypted; the download of
// a certificate is public data and may go either way.
func (k *Koubei) bizContent(req request, q *question) (string, error) {
	raw, given := req.params["biz_content"]
	if !given {
		return "", missing("isv.missing-parameter", "缺少biz_content参数")
	}
	kind, encrypted := req.params["encrypt_type"]
	switch {
	case encrypted && (kind != "AES" || k.encryptKey == nil):
		return "", invalid("isv.invalid-encrypt-type", "无效的加密类型，或应用未设置接口内容加密方式")
	case !encrypted && k.encryptKey != nil && q.method == methodOAuthQuery:
		return "", missing("isv.decryption-error-missing-encrypt-type", "解密出错，未指定加密算法")
	case encrypted:
		plain, err := decryptAES(k.encryptKey, raw)
		if err != nil {
			return "", cannotDecrypt
		}
		raw, q.encrypted = plain, true
	}
	text, err := req.answer.decode(raw)
	if err != nil {
		return "", invalid("isv.invalid-charset", "biz_content的字符集与charset参数不符")
	}
	return text, nil
}

var errNotAnObject = errors.New("want one JSON object of strings, no name twice")

// readObject is stricter than encoding/json about names: none twice, and case counts.
func readObject(text string) (map[string]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotAnObject
	}
	members := map[string]string{}
	for d.More() {
		name, err := stringToken(d)
		if err != nil {
			return nil, err
		}
		value, err := stringToken(d)
		if err != nil {
			return nil, err
		}
		if _, twice := members[name]; twice {
			return nil, errNotAnObject
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotAnObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotAnObject
	}
	return members, nil
}

func stringToken(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if s, ok := t.(string); ok && err == nil {
		return s, nil
	}
	return "", errNotAnObject
}
