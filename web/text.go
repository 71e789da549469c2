package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// texts holds the texts of one language by key.
type texts map[string]string

// verb matches printf verbs. %% is not one.
var verb = regexp.MustCompile(`%(\[\d+\])?[a-z]`)

func verbs(text string) []string {
	found := verb.FindAllString(strings.ReplaceAll(text, "%%", ""), -1)
	slices.Sort(found)
	return found
}

func (t texts) format(key string, args ...any) string {
	text, ok := t[key]
	switch {
	case !ok:
		return key
	case len(args) == 0:
		return text
	}
	return fmt.Sprintf(text, args...)
}

// readTexts reads all languages. It fails unless they have the same keys with the same verbs, and no empty text.
func readTexts() ([len(langs)]texts, error) {
	var all [len(langs)]texts
	for l, lang := range langs {
		raw, err := files.ReadFile("text/" + lang.file + ".json")
		if err != nil {
			return all, err
		}
		if err := json.Unmarshal(raw, &all[l]); err != nil {
			return all, fmt.Errorf("web: text/%s.json: %w", lang.file, err)
		}
	}
	var problems []error
	for l, lang := range langs {
		for key, text := range all[l] {
			if strings.TrimSpace(text) == "" {
				problems = append(problems, fmt.Errorf("web: text/%s.json: %s is empty", lang.file, key))
			}
			for m, other := range langs {
				switch there, ok := all[m][key]; {
				case !ok:
					problems = append(problems, fmt.Errorf("web: text/%s.json lacks %s", other.file, key))
				case l < m && !slices.Equal(verbs(text), verbs(there)):
					problems = append(problems, fmt.Errorf("web: %s: %q and %q take different arguments", key, text, there))
				}
			}
		}
	}
	return all, errors.Join(problems...)
}
