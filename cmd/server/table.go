package main

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is one setting in the table.
type field struct {
	group  string
	name   string // the environment variable
	flag   string // empty if secret
	preset string // the default
	help   string
	secret bool
}

// table is all settings, in the order of the groups.
var table = fieldsOf(new(settings))

func fieldsOf(s *settings) []field {
	var all []field
	for f := range s.fields() {
		all = append(all, f)
	}
	return all
}

func describe(group string, f reflect.StructField) field {
	d := field{group: group, preset: f.Tag.Get("default"), help: f.Tag.Get("help")}
	if name, ok := f.Tag.Lookup("secret"); ok {
		d.name, d.secret = name, true
		return d
	}
	d.flag = f.Tag.Get("name")
	if d.flag == "" {
		d.flag = kebab(f.Name)
	}
	d.name = variableOf(d.flag)
	return d
}

// kebab returns the flag that kong makes of a field's name.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// variableOf returns the environment variable that a flag is named after.
func variableOf(flag string) string { return strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }

func isSetting(name string) bool {
	return slices.ContainsFunc(table, func(f field) bool { return f.name == name })
}

func isSecret(name string) bool {
	return slices.ContainsFunc(table, func(f field) bool { return f.name == name && f.secret })
}

// variables are all environment variables that the service reads for its settings: NAME, and NAME_FILE of the secrets.
func variables() []string {
	var names []string
	for _, f := range table {
		names = append(names, f.name)
		if f.secret {
			names = append(names, f.name+"_FILE")
		}
	}
	return names
}
