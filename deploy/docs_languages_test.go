package deploy_test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inChinese are the pages of docs/ that must exist in Chinese. Others may.
var inChinese = []string{"getting-started.md", "koubei-setup.md", "settings.md", "identity.md", "proxies.md", "koubeisim.md", "troubleshooting.md",
	"operations.md"}

// translation is a page in both languages.
type translation struct{ english, chinese string }

// translations returns the pages that exist in Chinese, and those that must.
func translations(t *testing.T) []translation {
	t.Helper()
	pairs := []translation{{"README.md", "README.zh-CN.md"}}
	names := slices.Clone(inChinese)
	entries, err := os.ReadDir("../docs/zh")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		pairs = append(pairs, translation{"docs/" + name, "docs/zh/" + name})
	}
	return pairs
}

// TestLanguages keeps the Chinese pages in step with the English ones: the same headings of each level, list items, table rows
// and blocks, in the same order, and a link to the other language below the title. Links of Chinese pages lead to Chinese
// pages.
func TestLanguages(t *testing.T) {
	t.Parallel()
	pairs := translations(t)
	for _, pair := range pairs {
		t.Run(pair.chinese, func(t *testing.T) {
			english, chinese := outline(slurp(t, "../"+pair.english)), outline(slurp(t, "../"+pair.chinese))
			if i := firstDifference(english, chinese); i >= 0 {
				part := func(outline []string) []string { return outline[min(i, len(outline)):min(i+5, len(outline))] }
				t.Errorf("the outlines differ at part %d: got in English\n%q\nand in Chinese\n%q", i, part(english), part(chinese))
			}
			wantSwitch(t, pair.english, "English | [简体中文]("+relative(pair.english, pair.chinese)+")")
			wantSwitch(t, pair.chinese, "[English]("+relative(pair.chinese, pair.english)+") | 简体中文")
			wantChineseLinks(t, pairs, pair)
		})
	}
}

// firstDifference returns the index of the first element that differs; -1 if there is none.
func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

var (
	fenced     = regexp.MustCompile("(?ms)^ *```([a-z][^\n]*)\n(.*?)^ *```$\n?")
	heading    = regexp.MustCompile(`(?m)^(#+) (.*)$`)
	structural = regexp.MustCompile(`^ *(#+|\d+\.|-|\|)( |$)`)

	// What a block may have in another language: comments, and the words of a diagram.
	comment    = regexp.MustCompile(`(^|\s+)(#|//)( .*)?$`)
	chartWords = regexp.MustCompile(`(:| as) .*$`)
)

// outline returns what both languages of a page have in common: the marks of headings and list items, the columns of table
// rows with the names in code font of the first, and the lines of blocks without comments. Drawings contain words, so only their lines are counted.
func outline(page string) []string {
	var parts []string
	last := 0
	for _, m := range fenced.FindAllStringSubmatchIndex(page, -1) {
		parts = append(parts, structure(page[last:m[0]])...)
		last = m[1]
		info, text := page[m[2]:m[3]], page[m[4]:m[5]]
		parts = append(parts, "```"+info)
		for line := range strings.Lines(text) {
			switch line = strings.TrimSpace(line); {
			case strings.ContainsAny(text, "─│►"):
				line = "a line of a drawing"
			case info == "mermaid":
				line = chartWords.ReplaceAllString(line, "")
			default:
				line = comment.ReplaceAllString(line, "")
			}
			parts = append(parts, line)
		}
	}
	return append(parts, structure(page[last:])...)
}

// structure returns the marks of text outside of blocks.
func structure(text string) []string {
	var marks []string
	for line := range strings.Lines(text) {
		m := structural.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "|":
			first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "|"), " |")
			names := regexp.MustCompile("`[^`]+`").FindAllString(first, -1)
			slices.Sort(names) // a translation may change their order
			marks = append(marks, fmt.Sprint(strings.Repeat("|", strings.Count(line, "|")), names))
		default:
			marks = append(marks, m[1])
		}
	}
	return marks
}

// wantChineseLinks wants a Chinese page to link to Chinese pages where they exist, except to its own original.
func wantChineseLinks(t *testing.T, pairs []translation, page translation) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+\.md)`).FindAllStringSubmatch(slurp(t, "../"+page.chinese), -1) {
		to := path.Join(path.Dir(page.chinese), m[1])
		if i := slices.IndexFunc(pairs, func(p translation) bool { return p.english == to }); i >= 0 && to != page.english {
			t.Errorf("%s links to %s, and not to %s", page.chinese, to, pairs[i].chinese)
		}
	}
}

// wantSwitch wants the link to the other language as the second paragraph of a page.
func wantSwitch(t *testing.T, page, link string) {
	t.Helper()
	if paragraphs := strings.SplitN(slurp(t, "../"+page), "\n\n", 3); len(paragraphs) < 3 || !strings.HasPrefix(paragraphs[0], "# ") || paragraphs[1] != link {
		t.Errorf("%s does not have %q below its title", page, link)
	}
}

// relative returns the link from one page to another.
func relative(from, to string) string {
	if path.Dir(from) == path.Dir(to) {
		return path.Base(to)
	}
	if path.Dir(to) == path.Join(path.Dir(from), "zh") {
		return "zh/" + path.Base(to)
	}
	return "../" + path.Base(to)
}

// TestDocsLinkToHeadings: every link to a heading leads to one.
func TestDocsLinkToHeadings(t *testing.T) {
	t.Parallel()
	anchors := map[string][]string{}
	for _, page := range pages(t) {
		for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(slurp(t, "../"+page), ""), -1) {
			anchors[page] = append(anchors[page], anchor(m[2]))
		}
	}
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]*)#([^)]*)\)`).FindAllStringSubmatch(slurp(t, "../"+page), -1) {
			to := page
			if m[1] != "" {
				to = path.Join(path.Dir(page), m[1])
			}
			if strings.HasSuffix(to, ".md") && !slices.Contains(anchors[to], m[2]) {
				t.Errorf("%s links to #%s, which is no heading of %s", page, m[2], to)
			}
		}
	}
}

// anchor returns GitHub's name of a heading: in lower case, with dashes in place of spaces, and without punctuation.
func anchor(title string) string {
	title = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(title, " ", "-")
}
