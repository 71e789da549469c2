package alipay

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// errorNode is the old-style name under which some errors come, signed or not (alipay-sdk-nodejs-all#122).
const errorNode = "error_response"

// maxMembers bounds how many names an object may have; real answers have about ten.
const maxMembers = 128

// span is a range of bytes in a text.
type span struct{ start, end int }

// envelope is an answer taken apart, with nothing in it believed yet.
type envelope struct {
	node     span   // the value that the signature covers, as it stands in the text
	kind     byte   // its first byte: '{', or '"' when it is encrypted
	isError  bool   // it stands under error_response
	sign     string // empty when there is none
	alipaySN string // alipay_cert_sn: which certificate signed, in certificate mode
}

// openEnvelope takes the answer in text apart. It fails with ErrUnavailable when text is no JSON at all, and with
// ErrUntrusted when it is anything but one object that holds exactly one of nodeName and error_response.
func openEnvelope(text []byte, nodeName string) (envelope, error) {
	if err := object(text); err != nil {
		return envelope{}, err
	}
	var env envelope
	nodes := 0
	err := members(text, func(name string, value span) error {
		var err error
		switch name {
		case nodeName, errorNode:
			nodes++
			env.node, env.kind, env.isError = value, text[value.start], name == errorNode
		case "sign":
			env.sign, err = stringValue(text[value.start:value.end])
		case "alipay_cert_sn":
			env.alipaySN, err = stringValue(text[value.start:value.end])
		}
		return err
	})
	switch {
	case err != nil:
		return envelope{}, err
	case nodes != 1:
		return envelope{}, untrusted("%d answer nodes where one was expected", nodes)
	case env.kind != '{' && env.kind != '"':
		return envelope{}, untrusted("the answer node is neither an object nor a string")
	}
	return env, nil
}

// object fails unless text is one JSON object, with white space around it at most.
func object(text []byte) error {
	if !json.Valid(text) {
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)); err == nil {
			return untrusted("something follows the JSON value")
		}
		return unavailable(OutcomeNotGateway, "the body is not JSON")
	}
	if text[skipSpace(text, 0)] != '{' {
		return untrusted("JSON, but no object")
	}
	return nil
}

// members calls visit for every member of the object in text, which must be valid JSON, with the name unescaped and the
// place of the value. A name that occurs twice is an error: the official Node SDK verifies the first and returns the last.
func members(text []byte, visit func(name string, value span) error) error {
	var seen []string
	i := skipSpace(text, skipSpace(text, 0)+1)
	for text[i] != '}' {
		nameEnd := skipString(text, i)
		name, err := stringValue(text[i:nameEnd])
		if err != nil {
			return err
		}
		if slices.Contains(seen, name) || len(seen) == maxMembers {
			return untrusted("a name occurs twice, or there are too many")
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

// stringValue returns the string that raw, a valid JSON value, stands for. It fails when that is no string.
func stringValue(raw []byte) (string, error) {
	if raw[0] != '"' {
		return "", untrusted("a value that must be a string is none")
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", untrusted("a string that can't be read")
	}
	return s, nil
}

// The skippers below return the place after what starts at i. They rely on text being valid JSON.

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
