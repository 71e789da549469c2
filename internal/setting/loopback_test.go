package setting_test

import (
	"testing"

	"koubei-landing/internal/setting"
)

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.8.8.8": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "10.0.0.1": false, "128.0.0.1": false, "::2": false, "0.0.0.0": false, "127.0.0.1:80": false,
	} {
		if got := setting.Loopback(host); got != want {
			t.Errorf("%q: got %t, want %t", host, got, want)
		}
	}
}
