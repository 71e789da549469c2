package alipay

// message is what we read from an answer's node: every field of it that we know. ext_info is reserved and not read.
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

// parseMessage reads a node. It fails unless text is one JSON object with no name in it twice, with a code, and with
// strings for all fields that we know. Names are case-sensitive, unlike encoding/json's.
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
		s, err := stringValue(text[value.start:value.end])
		if err != nil {
			return untrusted("the field %s is no string", name)
		}
		*into = s
		return nil
	})
	if err != nil {
		return message{}, err
	}
	if m.code == "" {
		return message{}, untrusted("no code in the answer")
	}
	return m, nil
}
