package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"testing"
)

// TestCopiesParse: all mutants of a package fit into one copy of each file, and lines keep their numbers.
func TestCopiesParse(t *testing.T) {
	t.Chdir("../..")
	for dir := range testedBy {
		all, err := find(dir)
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: got %d mutants, %v", dir, len(all), err)
		}
		byFile := map[string][]*mutant{}
		for i, m := range all {
			m.id = i + 1
			byFile[m.file] = append(byFile[m.file], m)
		}
		for file, mutants := range byFile {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			mutated := insert(src, mutants)
			if _, err := parser.ParseFile(token.NewFileSet(), file, mutated, 0); err != nil {
				t.Error(err)
			}
			if got, want := bytes.Count(mutated, []byte("\n")), bytes.Count(src, []byte("\n")); got != want {
				t.Errorf("%s: got %d lines, want %d", file, got, want)
			}
		}
	}
}

// TestEquivalentMutantsExist: a change of the code may have removed one from the list.
func TestEquivalentMutantsExist(t *testing.T) {
	t.Chdir("../..")
	known, err := readEquivalents("scripts/mutants/equivalent.txt")
	if err != nil {
		t.Fatal(err)
	}
	for dir := range testedBy {
		all, err := find(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			delete(known, m.String())
		}
	}
	for gone := range known {
		t.Errorf("no mutant is %q", gone)
	}
}
