package landing

import (
	"errors"
	"fmt"
	"time"

	"koubei-landing/internal/alipay"
)

// verdicts are the refusals that do not change later. The ledger stores their outcomes.
var verdicts = alipay.Verdicts()

// lifeOf returns how long a verdict is returned without another call.
func lifeOf(v alipay.Outcome) time.Duration {
	if v == alipay.OutcomeCodeNotExist {
		return unknownFor
	}
	return refusedFor
}

// errorOf returns the error of a verdict in the ledger. One that only a newer version knows counts as used.
func errorOf(v alipay.Outcome) error {
	if err, ok := verdicts[v]; ok {
		return fmt.Errorf("landing: refused before: %w", err)
	}
	return ErrCodeUsed
}

// verdictOf returns the verdict to store, empty if the failure says nothing about the code.
func verdictOf(err error) alipay.Outcome {
	for v, kind := range verdicts {
		if errors.Is(err, kind) {
			return v
		}
	}
	return ""
}
