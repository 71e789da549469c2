package pemfile

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// maxSize bounds a file: Alipay's root bundle has 8 KiB, a system's bundle of authorities about 250 KiB.
const maxSize = 1 << 20

// text returns the file as UTF-8 without byte order marks and with "\n" as its only line ending.
func (f File) text() (string, error) {
	if len(f.Data) > maxSize {
		return "", f.refuse(0, "it is too large for keys or certificates")
	}
	data, err := f.utf8()
	if err != nil {
		return "", err
	}
	if isDER(data) {
		e := f.refuse(0, "it is binary (DER), not PEM")
		e.Found, e.Fix = DER, "convert it: openssl x509 -inform DER -in FILE for a certificate, openssl pkey -inform DER -in FILE for a key"
		return "", e
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return "", f.refuse(0, "it holds NUL bytes, so it is not a text file")
	}
	// A mark may stand in the middle, where files were joined. In an environment file line breaks are written out.
	text := strings.NewReplacer("\ufeff", "", "\r\n", "\n", "\r", "\n", `\r\n`, "\n", `\r`, "\n", `\n`, "\n").Replace(string(data))
	if strings.TrimSpace(text) == "" {
		return "", f.refuse(0, "it is empty")
	}
	return text, nil
}

// utf8 returns the bytes of the file, decoded if it is UTF-16. Without a byte order mark it is taken for UTF-16 if it is
// ASCII with every second byte zero, as PowerShell and Windows editors write it.
func (f File) utf8() ([]byte, error) {
	var order binary.ByteOrder
	switch data := f.Data; {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}) || everySecondIsZero(data, 1):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}) || everySecondIsZero(data, 0):
		order = binary.BigEndian
	default:
		return data, nil
	}
	if len(f.Data)%2 != 0 {
		return nil, f.refuse(0, "it is UTF-16 with half a character at its end")
	}
	units := make([]uint16, len(f.Data)/2)
	for i := range units {
		units[i] = order.Uint16(f.Data[2*i:])
	}
	return []byte(string(utf16.Decode(units))), nil
}

// everySecondIsZero reports whether of each pair of bytes the one at offset is zero and the other one is not.
func everySecondIsZero(data []byte, offset int) bool {
	if len(data) < 2 || len(data)%2 != 0 {
		return false
	}
	for i := 0; i < len(data); i += 2 {
		if data[i+offset] != 0 || data[i+1-offset] == 0 {
			return false
		}
	}
	return true
}

// isDER reports whether data is one ASN.1 sequence.
func isDER(data []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(data, &v)
	return err == nil && v.Tag == asn1.TagSequence && len(bytes.TrimSpace(rest)) == 0
}
