package operator_test

import (
	"testing"

	"koubei-landing/internal/operator"
)

func TestOnlyDocumentedTypesAreKnown(t *testing.T) {
	t.Parallel()
	for _, typ := range []operator.Type{"PROVIDER", "PROVIDER_STAFF", "MER", "MER_STAFF", "SALES"} {
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
