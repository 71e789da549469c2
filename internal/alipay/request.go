package alipay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

// beijing is the zone of timestamps: GMT+8 by a fixed offset. Local time is wrong in a container that runs in UTC
// (smartwalle/alipay#103), and zone names need tzdata.
var beijing = time.FixedZone("GMT+8", 8*60*60)

// bizContent is the question of koubei.member.data.oauth.query.
type bizContent struct {
	AuthType string `json:"auth_type"`
	Code     string `json:"code"`
}

// certBizContent is the question of alipay.open.app.alipaycert.download.
type certBizContent struct {
	SN string `json:"alipay_cert_sn"`
}

// question is one method call, ready to be asked any number of times.
type question struct {
	method string
	biz    string
}

func newQuestion(method string, biz any) question {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)    // \u0026 for & would be as valid, and harder to read
	if enc.Encode(biz) != nil { // of strings alone: can't happen
		return question{}
	}
	return question{method: method, biz: strings.TrimSuffix(b.String(), "\n")}
}

// params returns the call's parameters but the signature. It fails where content encryption does.
func (c *Client) params(q question, at time.Time) ([]param, error) {
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

// newRequest signs params and lays them out for the wire.
func (c *Client) newRequest(ctx context.Context, params []param) (*http.Request, error) {
	signature, err := sign(c.privateKey, c.signType.hash(), c.charset, canonical(params))
	if err != nil {
		return nil, err
	}
	query, body, err := layout(append(params, param{"sign", signature}), c.charset)
	if err != nil {
		return nil, err
	}
	u := *c.gateway
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the request can't be made")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset="+string(c.charset))
	req.Header.Set("User-Agent", userAgent)
	return req, nil
}

// layout spreads params over the URL's query and the form body. The gateway merges the two, but a charset that is only
// in the body makes it answer in GBK (yansongda/pay#247). biz_content holds the code and app_auth_token is a secret:
// they stay out of the URL, which proxies log, as in the official Java SDK.
func layout(params []param, charset Charset) (query, body string, err error) {
	var q, b strings.Builder
	for _, p := range params {
		if p.value == "" {
			continue
		}
		to := &q
		if p.name == "biz_content" || p.name == "app_auth_token" {
			to = &b
		}
		value, err := charset.encode(p.value)
		if err != nil {
			return "", "", err
		}
		if to.Len() > 0 {
			to.WriteByte('&')
		}
		to.WriteString(p.name + "=" + url.QueryEscape(string(value)))
	}
	return q.String(), b.String(), nil
}
