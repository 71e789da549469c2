package handler

import (
	"net/url"
	"slices"
	"strings"
)

// landingParams are the parameters of the callback. The address that is registered at Koubei may carry others.
var landingParams = []string{"code", "auth_code", "app_id", "auth_type", "return_to", arrivedParam, "app_auth_code", "error"}

// unreadable is the value of a parameter that cannot be unescaped. No rule accepts it.
const unreadable = "\x00"

// landingQuery returns the values of landingParams in a query. Unlike url.ParseQuery it ignores other parameters: a
// semicolon, a stray percent sign or invalid UTF-8 in them must not make a landing fail.
func landingQuery(rawQuery string) url.Values {
	values := url.Values{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(landingParams, name) {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			value = unreadable
		}
		values.Add(name, value)
	}
	return values
}

// valuesOf returns the values of a parameter of /session or /auth/verify. It fails when any parameter cannot be read: a
// selector that was dropped would select something else.
func valuesOf(rawQuery, name string) ([]string, error) {
	if rawQuery == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(rawQuery)
	return q[name], err
}
