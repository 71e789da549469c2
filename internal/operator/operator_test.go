package operator_test

import (
	"testing"

	"koubei-landing/internal/operator"
)

func TestOnlyDocumentedTypesAreKnown(t *testing.T) {
	for _, typ := range operator.Types() {
		if !typ.Known() {
			t.Errorf("%s: got unknown, want known", typ)
		}
	}
	for _, typ := range []operator.Type{"", "mer", "MER ", "ISV", "SYSTEM", "MERCHANT"} {
		if typ.Known() {
			t.Errorf("%q: got known, want unknown", typ)
		}
	}
}
