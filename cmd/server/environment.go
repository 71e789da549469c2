package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"koubei-landing/internal/setting"
)

// environment is the environment variables. It is a kong.Resolver: a flag that is not on the command line gets the value of
// its variable.
type environment struct {
	names  []string // in the order of os.Environ
	values map[string]string

	// resolved is the source of each flag's value. A flag that is not in it was on the command line.
	resolved map[string]setting.Source
}

// newEnvironment returns the variables of a list in the form of os.Environ.
func newEnvironment(environ []string) *environment {
	e := &environment{values: map[string]string{}, resolved: map[string]setting.Source{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, ok := e.values[name]; !ok {
			e.names = append(e.names, name)
		}
		e.values[name] = value
	}
	return e
}

// get returns the value of a variable, cleaned. An empty variable counts as unset.
func (e *environment) get(name string) string { return clean(e.values[name]) }

// Resolve implements kong.Resolver.
func (e *environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := variableOf(flag.Name)
	if !isSetting(name) {
		return nil, nil
	}
	value := e.get(name)
	if value == "" {
		e.resolved[name] = setting.Default
		return nil, nil
	}
	e.resolved[name] = setting.Variable
	return value, nil
}

// Validate implements kong.Resolver.
func (*environment) Validate(*kong.Application) error { return nil }

// source returns where the value of a setting with a flag comes from.
func (e *environment) source(name string) setting.Source {
	if source, ok := e.resolved[name]; ok {
		return source
	}
	return setting.Flag
}

// secret returns the value of a setting without a flag: of NAME, or of the file that NAME_FILE names.
func (e *environment) secret(p *parser, name string) (string, setting.Source) {
	fileName := name + "_FILE"
	value, path := e.get(name), e.get(fileName)
	switch {
	case value != "" && path != "":
		p.addUnreadable("are both set", "keep one of them", name, fileName)
		return "", setting.Unset
	case path == "" && value != "":
		return value, setting.Variable
	case path == "" || p.quoted(fileName, path):
		return "", setting.Unset
	}
	raw, err := readFile(path)
	if err != nil {
		p.addUnreadable(fmt.Sprintf("can't be read: %v", reason(err)), fmt.Sprintf("give the path of a file in %s, or the secret itself in %s", fileName, name), name, fileName)
		return "", setting.Unset
	}
	text := clean(decode(raw))
	if text == "" {
		p.addUnreadable("name an empty file", "write the secret into the file", name, fileName)
	}
	return text, setting.File
}

// clean returns a value without the white space and the byte order marks around it.
func clean(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

// maxFile is the largest file that is read whole. A system's bundle of authorities has about 250 KiB.
const maxFile = 1 << 20

// readFile returns the start of a file, at most one byte more than maxFile.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// decode returns a text file as UTF-8. Windows editors and PowerShell write UTF-16 with a byte order mark.
func decode(raw []byte) string {
	if !bytes.HasPrefix(raw, []byte{0xff, 0xfe}) && !bytes.HasPrefix(raw, []byte{0xfe, 0xff}) {
		return string(raw)
	}
	text, _, err := transform.Bytes(utf.BOMOverride(transform.Nop), raw)
	if err != nil {
		return string(raw)
	}
	return string(text)
}
