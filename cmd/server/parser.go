package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"koubei-landing/internal/pemfile"
	"koubei-landing/internal/setting"
)

// parser turns texts into values and collects their problems. A problem never holds a value of eight characters or more,
// because the value may be a secret in the wrong place.
type parser struct {
	problems setting.Problems
	warnings []setting.Problem

	unreadable map[string]bool // settings with a problem that hides all others
}

func (p *parser) add(name, problem, fix string) { p.addProblem(problem, fix, name) }

// addProblem adds a problem of one or several settings.
func (p *parser) addProblem(problem, fix string, names ...string) {
	for _, name := range names {
		if p.unreadable[name] {
			return
		}
	}
	p.problems = append(p.problems, setting.Problem{Settings: names, Problem: problem, Fix: fix})
}

// addUnreadable adds a problem that hides the setting's other problems.
func (p *parser) addUnreadable(problem, fix string, names ...string) {
	p.addProblem(problem, fix, names...)
	if p.unreadable == nil {
		p.unreadable = map[string]bool{}
	}
	for _, name := range names {
		p.unreadable[name] = true
	}
}

func (p *parser) warn(problem, fix string, names ...string) {
	p.warnings = append(p.warnings, setting.Problem{Settings: names, Problem: problem, Fix: fix})
}

// invalid adds a value that can't be used.
func (p *parser) invalid(name, value, fix string) { p.add(name, "is "+shown(value), fix) }

// addError adds an error of an inner package: the setting.Problem values in it, or its text as a problem of the names.
func (p *parser) addError(err error, names ...string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p.addError(e, names...)
		}
		return
	}
	if problem, ok := errors.AsType[setting.Problem](err); ok {
		p.addProblem(problem.Problem, problem.Fix, problem.Settings...)
		return
	}
	if e, ok := errors.AsType[*pemfile.Error](err); ok {
		p.addProblem("can't be used: "+e.Error(), cmp.Or(e.Fix, "give a whole PEM file of the right kind"), names...)
		return
	}
	p.addProblem(err.Error(), "", names...)
}

// maxShown is the length of the longest value that a problem quotes.
const maxShown = 7

// shown returns a short value in quotes. It does not quote a longer one, which may be a secret.
func shown(value string) string {
	if len(value) > maxShown {
		return "not valid"
	}
	return strconv.Quote(value)
}

// reason returns why a file can't be read, without its name, which may be a secret.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// file returns the PEM file that a setting names. It adds a problem and returns false if the file can't be read. The path
// of a file that can be read is not a secret.
func (p *parser) file(name, path string) (pemfile.File, bool) {
	raw, err := readFile(path)
	if err != nil {
		p.add(name, fmt.Sprintf("can't be read: %v", reason(err)), "give the path of a file")
	}
	return pemfile.File{Name: path, Data: raw}, err == nil
}

// quotes are the characters that users put around a value.
const quotes = "\"'`‘’“”「」＂＇"

// quoted adds a problem if a value is in quotes, which docker --env-file and systemd's credentials keep.
func (p *parser) quoted(name, value string) bool {
	first, n := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	if len(value) <= n || !strings.ContainsRune(quotes, first) || !strings.ContainsRune(quotes, last) {
		return false
	}
	p.addUnreadable("is in quotes, which are part of the value here", "remove the quotes", name)
	return true
}

// fullWidth adds a problem if a list or an address has full-width punctuation, which a Chinese input method writes.
func (p *parser) fullWidth(name, value string) bool {
	i := strings.IndexFunc(value, isFullWidth)
	if i < 0 {
		return false
	}
	r, _ := utf8.DecodeRuneInString(value[i:])
	p.addUnreadable(fmt.Sprintf("has full-width punctuation (%c)", r), "write it in half width, with the input method off", name)
	return true
}

// isFullWidth reports whether r is punctuation of Chinese text or the full-width form of ASCII punctuation.
func isFullWidth(r rune) bool {
	chinese := r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef || r >= 0x2018 && r <= 0x201f
	return chinese && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
