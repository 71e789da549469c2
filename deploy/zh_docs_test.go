package deploy_test

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestChinesePagesAreInStep compares each page in docs/zh with the English page of the same name: headings of each level,
// commands, table rows and list items, and the links from one to the other.
func TestChinesePagesAreInStep(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/zh/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("got %d pages, %v", len(pages), err)
	}
	for _, chinese := range pages {
		name := path.Base(chinese)
		t.Run(name, func(t *testing.T) {
			en, zh := slurp(t, "../docs/"+name), slurp(t, chinese)
			for page, link := range map[string]string{en: "\nEnglish | [简体中文](zh/" + name + ")\n", zh: "\n[English](../" + name + ") | 简体中文\n"} {
				if !strings.Contains(page, link) {
					t.Errorf("a page has no line %q", link)
				}
			}
			if got, want := outline(zh), outline(en); !slices.Equal(got, want) {
				i := 0
				for i < min(len(got), len(want)) && got[i] == want[i] {
					i++
				}
				t.Errorf("the outlines differ at part %d:\n got %q\nwant %q", i, got[i:min(i+5, len(got))], want[i:min(i+5, len(want))])
			}
		})
	}
}

var (
	fenced     = regexp.MustCompile("^ *```")
	structural = regexp.MustCompile(`^ *(#+|\d+\.|-|\|)( |$)`)
	comment    = regexp.MustCompile(`(^|\s)(#|//) .*`)
)

// outline returns what both languages of a page have in common: the marks of headings, list items and table rows, and the
// lines of blocks without comments. Diagrams contain words, so only their place counts.
func outline(page string) []string {
	var parts, block []string
	inBlock := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch {
		case fenced.MatchString(line):
			if inBlock && !slices.ContainsFunc(block, func(s string) bool { return strings.Contains(s, "──►") }) {
				parts = append(parts, block...)
			}
			inBlock, block = !inBlock, nil
			parts = append(parts, strings.TrimSpace(line))
		case inBlock:
			block = append(block, strings.TrimSpace(comment.ReplaceAllString(line, "")))
		default:
			if m := structural.FindStringSubmatch(line); m != nil {
				parts = append(parts, m[1])
			}
		}
	}
	return parts
}
