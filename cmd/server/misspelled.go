package main

import (
	"regexp"
	"slices"
	"strings"

	"koubei-landing/internal/setting"
)

// ownPrefixes are the prefixes of the service's variables that no other known software uses.
var ownPrefixes = []string{"ALIPAY_", "SESSION_", "ASSERTION_", "CALLBACK_"}

// foreign matches variables that other software sets: Kubernetes and Docker for each service and linked container, and a
// desktop's session manager.
var foreign = regexp.MustCompile(`^[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$|^SESSION_MANAGER$`)

// misspelled returns a problem for each unknown variable that is probably a misspelled setting.
func (e *environment) misspelled() []setting.Problem {
	known := variables()
	var problems []setting.Problem
	for _, name := range e.names {
		value := e.get(name)
		if value == "" || slices.Contains(known, name) || foreign.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") {
			continue
		}
		if meant := nearest(name, known); meant != "" {
			problems = append(problems, setting.Bad(name, "is not a setting and has no effect", "write "+meant))
			continue
		}
		if slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return strings.HasPrefix(strings.ToUpper(name), prefix) }) {
			problems = append(problems, setting.Bad(name, "is not a setting and has no effect", "remove it, or look up the name in docs/settings.md"))
		}
	}
	return problems
}

// nearest returns the known variable that name probably stands for, or an empty string.
func nearest(name string, known []string) string {
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	for _, candidate := range known {
		if slip(name, candidate) {
			return candidate
		}
	}
	return ""
}

// slip reports whether two names are so close that one is a misspelling of the other: one letter in a short name, two in a
// long one.
func slip(a, b string) bool {
	allowed := 1
	if min(len(a), len(b)) > 9 {
		allowed = 2
	}
	return distance(a, b) <= allowed
}

// distance is the optimal string alignment distance: how many letters must be inserted, removed, replaced or swapped with
// their neighbour.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
