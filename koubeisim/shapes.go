package koubeisim

// Shapes that faults give to an answer.

var codeInvalid = invalid("isv.code-invalid", "授权码code无效")

// intruder is the operator whom forgers would like to be.
var intruder = Person{OperatorID: "2088999999999999", OperatorType: "PROVIDER", PartnerID: "2088999999999998"}

func forge(fields []field) []field {
	for _, f := range identity(intruder) {
		fields = with(fields, f)
	}
	return with(with(without(without(fields, "sub_code"), "sub_msg"), field{name: "code", value: "10000"}), field{name: "msg", value: "Success"})
}

// addForged puts a forged success behind the true answer.
func (d *draft) addForged(name string) {
	d.last = append(d.last, name+":"+d.value(forge(d.fields), d.manner))
}

func foreignNode(_ *Koubei, d *draft) {
	d.first = append(d.first, `"koubei_member_data_oauth_query":`+d.value(forge(d.fields), d.manner))
}

func bothNodes(_ *Koubei, d *draft) {
	d.last = append(d.last, `"`+errorNode+`":`+d.value(codeInvalid.fields(), d.manner))
}

func inErrorNode(_ *Koubei, d *draft) { d.node = errorNode }

func signature(text string) func(*Koubei, *draft) {
	return func(_ *Koubei, d *draft) { d.signature = &text }
}

func put(f field) func(*Koubei, *draft) {
	return func(_ *Koubei, d *draft) { d.fields = with(d.fields, f) }
}

// repeat puts a second operator id behind all other fields, where careless readers let it win.
func repeat(name string) func(*Koubei, *draft) {
	return func(_ *Koubei, d *draft) {
		d.manner.turn = 0
		d.fields = append(d.fields, field{name: name, value: intruder.OperatorID})
	}
}

// speakGBK makes sure that there is something in the answer that UTF-8 would spell differently.
func (d *draft) speakGBK() {
	d.bytes = gbkCharset
	d.fields = with(d.fields, d.oddities()[0])
}

func escapedSlashes(_ *Koubei, d *draft) {
	d.fields = with(d.fields, d.oddities()[1])
	d.manner.escapeSlashes, d.unescaped = true, true
}
