package operator_test

import (
	"strings"
	"testing"

	"koubei-landing/internal/operator"
)

func TestIsCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"4b203fe6c11548bcabd8da5bb087aX42": true, "x": true, "!~": true, strings.Repeat("x", 32): true,
		"": false, strings.Repeat("x", 33): false, "a b": false, "a\n": false, "a\x7f": false, "店": false, "a\x00": false,
	} {
		if got := operator.IsCode(code); got != want {
			t.Errorf("%q: got %t, want %t", code, got, want)
		}
	}
}
