package alipay

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// errorNode is the old name under which some errors come, signed or not (alipay-sdk-nodejs-all#122).
const errorNode = "error_response"

// maxMembers bounds the number of names in an object. Real responses have about ten.
const maxMembers = 128

// span is a range of bytes in a text.
type span struct{ start, end int }

// envelope holds the parts of a response. Nothing in it is verified yet.
type envelope struct {
	node     span   // the value that the signature covers, as it stands in the text
	kind     byte   // its first byte: '{', or '"' when it is encrypted
	isError  bool   // its name is error_response
	sign     string // empty when there is none
	alipaySN string // alipay_cert_sn, the certificate that signed; empty in public key mode
}

// openEnvelope splits the response in text into its parts. It fails with ErrUnavailable when text is not JSON at all, and
// with ErrUntrusted unless it is one object that holds exactly one of nodeName and error_response.
func openEnvelope(text []byte, nodeName string) (envelope, error) {
	if err := object(text); err != nil {
		return envelope{}, err
	}
	var env envelope
	nodes := 0
	err := members(text, func(name string, value span) error {
		raw, ok := text[value.start:value.end], true
		switch name {
		case nodeName, errorNode:
			nodes++
			env.node, env.kind, env.isError = value, raw[0], name == errorNode
		case "sign":
			env.sign, ok = stringValue(raw)
		case "alipay_cert_sn":
			if raw[0] != 'n' { // null counts as absent
				env.alipaySN, ok = stringValue(raw)
			}
		}
		if !ok {
			return untrusted("%s is not a string", name)
		}
		return nil
	})
	switch {
	case err != nil:
		return envelope{}, err
	case nodes != 1:
		return envelope{}, untrusted("the response has %d nodes named %s or %s, not one", nodes, nodeName, errorNode)
	case env.kind != '{' && env.kind != '"':
		return envelope{}, untrusted("the node is neither an object nor a string")
	}
	return env, nil
}

// object fails unless text is one JSON object, with at most white space around it.
func object(text []byte) error {
	if !json.Valid(text) {
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)); err == nil {
			return untrusted("something follows the JSON value")
		}
		return unavailable(OutcomeNotGateway, "the body is not JSON")
	}
	if text[skipSpace(text, 0)] != '{' {
		return untrusted("the body is JSON, but not an object")
	}
	return nil
}

// members calls visit for every member of the object in text, which must be valid JSON, with the unescaped name and the
// range of the value. It fails if a name is repeated: the official Node SDK verifies the first one and returns the last.
func members(text []byte, visit func(name string, value span) error) error {
	var seen []string
	i := skipSpace(text, skipSpace(text, 0)+1)
	for text[i] != '}' {
		nameEnd := skipString(text, i)
		name, _ := stringValue(text[i:nameEnd]) // in valid JSON every name is a string
		if slices.Contains(seen, name) || len(seen) == maxMembers {
			return untrusted("a name is repeated, or there are too many names")
		}
		seen = append(seen, name)

		start := skipSpace(text, skipSpace(text, nameEnd)+1) // over the colon
		end := skipValue(text, start)
		if err := visit(name, span{start, end}); err != nil {
			return err
		}
		if i = skipSpace(text, end); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return nil
}

// elements calls visit with the range of every element of the array in text, which must be valid JSON.
func elements(text []byte, visit func(value span)) {
	i := skipSpace(text, 1)
	for text[i] != ']' {
		end := skipValue(text, i)
		visit(span{i, end})
		if i = skipSpace(text, end); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
}

// stringValue returns the string in raw, a valid JSON value, and whether it is a string.
func stringValue(raw []byte) (string, bool) {
	var s string
	ok := raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}

// The skip functions return the index after what starts at i. They require that text is valid JSON.

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

func skipString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		return skipNested(text, i)
	}
	for strings.IndexByte(",]} \t\r\n", text[i]) < 0 {
		i++
	}
	return i
}

func skipNested(text []byte, i int) int {
	depth := 0
	for {
		switch text[i] {
		case '"':
			i = skipString(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}
