package alipay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	queryMethod  = "koubei.member.data.oauth.query"
	queryNode    = "koubei_member_data_oauth_query_response"
	userAgent    = "koubei-landing"
	timestampFmt = "2006-01-02 15:04:05"
)

// beijing is the time zone of timestamps, with a fixed offset. Local time is wrong in a container that runs in UTC
// (smartwalle/alipay#103), and zone names need tzdata.
var beijing = time.FixedZone("GMT+8", 8*60*60)

// bizContent holds the parameters of koubei.member.data.oauth.query.
type bizContent struct {
	AuthType string `json:"auth_type"`
	Code     string `json:"code"`
}

// certBizContent holds the parameters of alipay.open.app.alipaycert.download.
type certBizContent struct {
	SN string `json:"alipay_cert_sn"`
}

// call is one method call. It can be sent any number of times.
type call struct {
	method string
	biz    string
}

func newCall(method string, biz any) call {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)    // \u0026 is as valid as &, but harder to read
	if enc.Encode(biz) != nil { // cannot happen with strings
		return call{}
	}
	return call{method: method, biz: strings.TrimSuffix(b.String(), "\n")}
}

// params returns the parameters of a call without the signature. It fails if the charset cannot encode them.
func (c *Client) params(q call, at time.Time) ([]param, error) {
	biz, encryptType := q.biz, ""
	if c.block != nil {
		plain, err := c.charset.encode(q.biz)
		if err != nil {
			return nil, err
		}
		biz, encryptType = encrypt(c.block, plain), "AES"
	}
	ps := []param{
		{"app_id", c.appID},
		{"method", q.method},
		{"charset", string(c.charset)},
		{"sign_type", string(c.signType)},
		{"timestamp", at.In(beijing).Format(timestampFmt)},
		{"version", "1.0"},
		{"encrypt_type", encryptType},
		{"app_auth_token", c.appAuthToken},
		{"biz_content", biz},
	}
	if c.trust.certificates != nil {
		ps = append(ps,
			param{"app_cert_sn", c.trust.certificates.AppSN()},
			param{"alipay_root_cert_sn", c.trust.certificates.RootSN()})
	}
	return ps, nil
}

// newRequest signs params and returns the HTTP request.
func (c *Client) newRequest(ctx context.Context, params []param) (*http.Request, error) {
	signature, err := sign(c.privateKey, c.signType.hash(), c.charset, canonical(params))
	if err != nil {
		return nil, err
	}
	query, body := layout(append(params, param{"sign", signature}), c.charset)
	u := *c.gateway
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the gateway address cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset="+string(c.charset))
	req.Header.Set("User-Agent", userAgent)
	return req, nil
}

// layout divides params between the URL query and the form body. The gateway merges both, but it responds in GBK if charset
// is only in the body (yansongda/pay#247). biz_content holds the code and app_auth_token is a secret, so they stay out of
// the URL, which proxies log. The official Java SDK does the same.
func layout(params []param, charset Charset) (query, body string) {
	var q, b strings.Builder
	for _, p := range params {
		if p.value == "" {
			continue
		}
		to := &q
		if p.name == "biz_content" || p.name == "app_auth_token" {
			to = &b
		}
		value, _ := charset.encode(p.value) // sign has encoded it, too
		if to.Len() > 0 {
			to.WriteByte('&')
		}
		to.WriteString(p.name + "=" + url.QueryEscape(string(value)))
	}
	return q.String(), b.String()
}
