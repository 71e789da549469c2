package koubeisim

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// field is one member of the answer's object. A literal is written as it is, anything else as a string.
type field struct {
	name, value string
	literal     bool
}

// manner is the free choice in spelling one and the same JSON.
type manner struct {
	turn          int // fields begin with this one
	spaces        bool
	escapeSlashes bool
	signFirst     bool
	array         bool // the node in brackets, which no documentation has
}

// vary spells the nth answer differently from its neighbours wherever the protocol is silent. It counts, and draws no lots:
// a test that fails once fails again.
func (d *draft) vary(n int, extraInfo bool) {
	d.manner = manner{turn: n, spaces: n%5 == 3, escapeSlashes: n%2 == 0, signFirst: n%7 == 5}
	if extraInfo && n%3 == 0 {
		d.fields = append(d.fields, field{name: "ext_info", value: `{"key":"value"}`})
	}
	if n%4 != 1 {
		d.fields = append(d.fields, d.oddities()...)
	}
}

// oddities are fields that no documentation has. In the bytes of 誠 in GBK the second is a backslash, which a reader that
// scans bytes stumbles over.
func (d *draft) oddities() []field {
	text := "口碑（测试）\n\"A\\B\""
	if d.bytes.has('誠') && d.bytes.name != "GB2312" {
		text += "誠"
	}
	return []field{{name: "diagnosis", value: text}, {name: "link", value: "https://example.com/a/b?c=d"}}
}

func (m manner) gap() string {
	if m.spaces {
		return " \n\t"
	}
	return ""
}

func (m manner) object(c charset, fields []field) string {
	members := make([]string, len(fields))
	for i := range fields {
		f := fields[(i+m.turn)%len(fields)]
		value := f.value
		if !f.literal {
			value = quote(f.value, c, m.escapeSlashes)
		}
		members[i] = quote(f.name, c, false) + ":" + m.gap() + value
	}
	text := "{" + m.gap() + strings.Join(members, ","+m.gap()) + "}"
	if m.array {
		return "[" + text + "]"
	}
	return text
}

// quote writes a JSON string with nothing in it that the charset lacks.
func quote(text string, c charset, escapeSlashes bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\' || r == '/' && escapeSlashes:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || !c.has(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// with replaces the value of a field, or adds one.
func with(fields []field, f field) []field {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].name == f.name {
			fields[i] = f
			return fields
		}
	}
	return append(fields, f)
}

func without(fields []field, name string) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.name == name })
}
