package alipay

// addUnverifiedDetails copies the error code and texts of an unverified response into err, for the log and the advice
// only: they are often the gateway's actual error. It changes no decision. It reads leniently, because such a response
// is often unusual too: the code is a number, "sign" is null, or the node has another name.
func addUnverifiedDetails(err error, text []byte) error {
	e := asError(err)
	if e.Signed || e.Code != "" || e.SubCode != "" || object(text) != nil {
		return e
	}
	m := errorFields(text) // without a node around it
	// An error by members means repeated names. What was visited before counts.
	_ = members(text, func(name string, value span) error {
		c := errorFields(text[value.start:value.end])
		if !c.isEmpty() && (m.isEmpty() || name == queryNode || name == errorNode) {
			m = c
		}
		return nil
	})
	e.Code, e.Msg, e.SubCode, e.SubMsg = m.code, m.msg, m.subCode, m.subMsg
	return e
}

// errorFields returns the fields of the error in value, a JSON value. They are empty if it is no object or reports success.
func errorFields(value []byte) message {
	var m message
	if value[skipSpace(value, 0)] != '{' {
		return message{}
	}
	texts := map[string]*string{"code": &m.code, "msg": &m.msg, "sub_code": &m.subCode, "sub_msg": &m.subMsg}
	_ = members(value, func(name string, at span) error {
		if into := texts[name]; into != nil {
			*into = scalar(value[at.start:at.end])
		}
		return nil
	})
	if m.code == codeSuccess && m.subCode == "" {
		return message{}
	}
	return m
}

func (m message) isEmpty() bool { return m.code == "" && m.subCode == "" }

// scalar returns a string or a number as text, and empty text for any other value.
func scalar(value []byte) string {
	switch c := value[0]; {
	case c == '"':
		s, _ := stringValue(value) // empty if it cannot be read
		return s
	case c == '-' || digit(c):
		return string(value)
	}
	return ""
}
