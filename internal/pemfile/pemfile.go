package pemfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"koubei-landing/internal/setting"
)

// File is a file that holds PEM.
type File struct {
	Name string // for errors: a path, or the name of a setting
	Data []byte
}

// Block is one PEM block of a file.
type Block struct {
	Label  string // what BEGIN and END say, such as CERTIFICATE
	DER    []byte // the decoded content
	Number int    // position among the blocks of the file, from 1

	file string
}

// Error says why a file was refused. None of its texts quotes the file.
type Error struct {
	File   string // File.Name
	Block  int    // the number of the block, from 1; 0 if the problem concerns the whole file
	Reason string
	Found  Found  // what the block is instead of what was wanted; empty if that is not the reason
	Fix    string // how to make use of what was found; empty if only another copy of the file helps

	cause error
}

// Error returns the file, the block and the reason, without the fix.
func (e *Error) Error() string {
	text := e.Reason
	if e.Block > 0 {
		text = fmt.Sprintf("block %d: %s", e.Block, text)
	}
	if e.File != "" {
		text = e.File + ": " + text
	}
	return text
}

// Unwrap returns ErrSM2 or nil.
func (e *Error) Unwrap() error { return e.cause }

// Setting returns err, which this package returned for the file that a setting names, as a problem of that setting. The
// fix is the caller's unless the error brings one.
func Setting(name string, err error, fix string) setting.Problem {
	if e, ok := errors.AsType[*Error](err); ok && e.Fix != "" {
		fix = e.Fix
	}
	return setting.Bad(name, "can't be used: "+err.Error(), fix)
}

// space is white space within a line.
const space = `[\t\p{Zs}]`

// boundary matches a BEGIN or END line wherever it stands: a file without line breaks has its boundaries in one line.
var boundary = regexp.MustCompile(`-----` + space + `*(BEGIN|END)` + space + `+([^-\n]*?)` + space + `*-----`)

// damagedBoundary matches a line that was meant as a boundary: with lower-case letters, with dashes missing, or with the
// typographic dashes of a word processor.
var damagedBoundary = regexp.MustCompile(`(?i)[-\p{Pd}]{2}` + space + `*(BEGIN|END)\b.*(CERT|KEY|PARAM|PKCS|CMS|CRL|REQUEST)` +
	`|-{5}` + space + `*(BEGIN|END)` +
	`|\b(BEGIN|END)\b.*(CERTIFICATE|KEY|PARAMETERS|PKCS7|CMS|CRL|REQUEST)` + space + `*[-\p{Pd}]{2}`)

// base64Line matches a line that belongs into a block. A fingerprint, which people put beside a certificate, looks alike.
var (
	base64Line  = regexp.MustCompile(`^[A-Za-z0-9+/]{48,}={0,2}$`)
	fingerprint = regexp.MustCompile(`^[0-9A-Fa-f]+$`)
)

// sharedBoundary matches what is left of a damaged line that shares its hyphens with the END line before it.
var sharedBoundary = regexp.MustCompile(`^-*` + space + `*(BEGIN|END)`)

// Blocks returns all blocks of the file in their order. It fails with an *Error unless every BEGIN line of the file
// begins a whole block, and when there is no block at all.
func (f File) Blocks() ([]Block, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	var blocks []Block
	open := false // whether the latest block has no END line yet
	pos, line := 0, 1
	for _, m := range boundary.FindAllStringSubmatchIndex(text, -1) {
		between, begins, label := text[pos:m[0]], text[m[2]:m[3]] == "BEGIN", text[m[4]:m[5]]
		first := line // of between
		pos, line = m[1], line+strings.Count(between, "\n")
		switch {
		case begins && open:
			return nil, f.refuse(len(blocks), "it has no whole END line before the next BEGIN line")
		case begins:
			if err := f.outside(between, first, len(blocks)); err != nil {
				return nil, err
			}
			blocks = append(blocks, Block{Label: label, Number: len(blocks) + 1, file: f.Name})
			open = true
		case !open:
			return nil, f.refuse(0, fmt.Sprintf("the END line in line %d has no whole BEGIN line", line))
		case label != blocks[len(blocks)-1].Label:
			return nil, f.refuse(len(blocks), "its END line has another label than its BEGIN line")
		default:
			b := &blocks[len(blocks)-1]
			if b.DER, err = b.decode(between, first); err != nil {
				return nil, err
			}
			open = false
		}
	}
	if open {
		return nil, f.refuse(len(blocks), "it has no whole END line")
	}
	if err := f.outside(text[pos:], line, len(blocks)); err != nil {
		return nil, err
	}
	if len(blocks) == 0 {
		return nil, f.refuse(0, "it holds no PEM block (-----BEGIN …-----)")
	}
	return blocks, nil
}

// outside checks text between blocks, which begins in the given line: it may say anything, but it must not look like a
// part of a block. number counts the blocks before it.
func (f File) outside(text string, line, number int) error {
	endLine := number > 0 // whether the line is the rest of an END line
	for l := range strings.SplitSeq(text, "\n") {
		l = stripSpace(l, " ")
		if damagedBoundary.MatchString(l) || endLine && sharedBoundary.MatchString(l) {
			return f.refuse(0, fmt.Sprintf("line %d looks like a BEGIN or END line but is damaged (it must be -----BEGIN …----- in capital letters), after block %d", line, number))
		}
		if base64Line.MatchString(l) && !fingerprint.MatchString(l) {
			return f.refuse(0, fmt.Sprintf("line %d is base64 outside of BEGIN and END lines, after block %d", line, number))
		}
		line++
		endLine = false
	}
	return nil
}

// headerLine matches a header of RFC 1421, such as DEK-Info, which old formats have before the base64.
var headerLine = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,30}:[^-]*$`)

// decode returns the bytes in the block's body, which begins in the given line of the file.
func (b Block) decode(body string, line int) ([]byte, error) {
	if strings.Contains(b.Label, "ENCRYPTED") || strings.Contains(body, "Proc-Type:") && strings.Contains(body, "ENCRYPTED") {
		return nil, b.not(EncryptedKey, "")
	}
	var base strings.Builder
	header := true
	for l := range strings.SplitSeq(body, "\n") {
		l = stripSpace(l, "")
		header = header && (l == "" || headerLine.MatchString(l))
		if !header {
			if strings.ContainsFunc(l, notBase64) {
				return nil, b.Refuse(fmt.Sprintf("line %d holds a character that is not base64", line))
			}
			base.WriteString(l)
		}
		line++
	}
	if base.Len() == 0 {
		return nil, b.Refuse("there is nothing between its BEGIN and END lines")
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(base.String(), "="))
	if err != nil {
		return nil, b.Refuse("its base64 is damaged or cut short")
	}
	return der, nil
}

func notBase64(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '/' && r != '='
}

// stripSpace replaces white space, and the invisible characters that come along with copying.
func stripSpace(text, with string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }), with)
}

func (f File) refuse(block int, reason string) *Error {
	return &Error{File: f.Name, Block: block, Reason: reason}
}

// Refuse returns an *Error that names the block. The reason must not quote it.
func (b Block) Refuse(reason string) *Error {
	return &Error{File: b.file, Block: b.Number, Reason: reason}
}
