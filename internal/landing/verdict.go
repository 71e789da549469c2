package landing

import (
	"errors"
	"fmt"
	"time"

	"koubei-landing/internal/alipay"
)

// verdict is a final refusal of a code, as stored in the ledger.
type verdict string

// verdicts are the refusals that do not change later. In package alipay, only a verified response leads to them.
var verdicts = map[verdict]error{
	"invalid_parameter":  alipay.ErrInvalidParameter,
	"code_not_exist":     alipay.ErrCodeNotExist,
	"code_expired":       alipay.ErrCodeExpired,
	"access_not_allowed": alipay.ErrAccessNotAllowed,
}

func (v verdict) life() time.Duration {
	if errors.Is(verdicts[v], alipay.ErrCodeNotExist) {
		return unknownFor
	}
	return refusedFor
}

func (v verdict) err() error {
	if err, ok := verdicts[v]; ok {
		return fmt.Errorf("landing: refused before: %w", err)
	}
	return ErrCodeUsed
}

// verdictOf returns the verdict to store, empty if the failure says nothing about the code.
func verdictOf(err error) verdict {
	for v, kind := range verdicts {
		if errors.Is(err, kind) {
			return v
		}
	}
	return ""
}
