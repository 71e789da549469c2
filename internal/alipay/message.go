package alipay

import "strings"

// message holds the fields of a node that the client reads. ext_info is reserved and not read.
type message struct {
	code, msg, subCode, subMsg                   string
	operatorID, operatorType, partnerID, shopIDs string
	certContent                                  string // of alipay.open.app.alipaycert.download
}

func (m *message) field(name string) *string {
	switch name {
	case "code":
		return &m.code
	case "msg":
		return &m.msg
	case "sub_code":
		return &m.subCode
	case "sub_msg":
		return &m.subMsg
	case "operator_id":
		return &m.operatorID
	case "operator_type":
		return &m.operatorType
	case "operator_partner_id":
		return &m.partnerID
	case "shop_ids":
		return &m.shopIDs
	case "alipay_cert_content":
		return &m.certContent
	}
	return nil
}

// parseMessage parses a node. It fails unless text is one JSON object with a code, without repeated names, and with a
// string in every field that the client reads. There are two exceptions: null in an optional field counts as absent, and
// shop_ids, whose format is not documented, may be an array of strings. Names are case-sensitive, unlike in encoding/json.
func parseMessage(text []byte) (message, error) {
	var m message
	if err := object(text); err != nil {
		return message{}, err
	}
	err := members(text, func(name string, value span) error {
		into := m.field(name)
		if into == nil {
			return nil
		}
		raw, ok := text[value.start:value.end], true
		switch {
		case raw[0] == 'n' && name != "code" && name != "msg":
			// null; a success without its operator is refused later
		case raw[0] == '[' && name == "shop_ids":
			*into, ok = joinedStrings(raw)
		default:
			*into, ok = stringValue(raw)
		}
		if !ok {
			return untrusted("the field %s is not a string", name)
		}
		return nil
	})
	if err != nil {
		return message{}, err
	}
	if m.code == "" {
		return message{}, untrusted("the response has no code")
	}
	return m, nil
}

// joinedStrings returns the strings of a JSON array, joined by commas, and whether all of its elements are strings.
func joinedStrings(array []byte) (string, bool) {
	var parts []string
	all := true
	elements(array, func(value span) {
		s, ok := stringValue(array[value.start:value.end])
		parts, all = append(parts, s), all && ok
	})
	return strings.Join(parts, ","), all
}
