package koubeisim

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// field is one member of a JSON object. A literal is written as it is, anything else as a string.
type field struct {
	name, value string
	literal     bool
}

// style is the free choice in spelling the same JSON.
type style struct {
	first         int // index of the field that comes first
	spaces        bool
	escapeSlashes bool
	signFirst     bool
}

func (s style) gap() string {
	if s.spaces {
		return " \n\t"
	}
	return ""
}

func (s style) object(c charset, fields []field) string {
	members := make([]string, len(fields))
	for i := range fields {
		f := fields[(i+s.first)%len(fields)]
		value := f.value
		if !f.literal {
			value = s.quote(f.value, c)
		}
		members[i] = quote(f.name, c) + ":" + s.gap() + value
	}
	return "{" + s.gap() + strings.Join(members, ","+s.gap()) + "}"
}

// quote returns a JSON string with plain slashes. It escapes what the charset lacks.
func quote(text string, c charset) string { return style{}.quote(text, c) }

// quote is like quote, and escapes slashes if the style does.
func (s style) quote(text string, c charset) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\' || r == '/' && s.escapeSlashes:
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

// with replaces fields by name, or appends them.
func with(fields []field, changes ...field) []field {
	fields = slices.Clone(fields)
	for _, f := range changes {
		i := slices.IndexFunc(fields, func(other field) bool { return other.name == f.name })
		if i < 0 {
			fields = append(fields, f)
		} else {
			fields[i] = f
		}
	}
	return fields
}

func without(fields []field, names ...string) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return slices.Contains(names, f.name) })
}
