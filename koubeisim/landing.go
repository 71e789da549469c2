package koubeisim

import (
	"errors"
	"fmt"
	"net/url"
)

// Spelling is how a redirect names its parameters.
type Spelling string

const (
	// Observed is how Koubei's redirects have been seen: app_id, scope, source, auth_type and auth_code.
	Observed Spelling = "observed"

	// Documented is the one parameter that the documentation speaks of: code.
	Documented Spelling = "documented"
)

// SetLandingURL registers another address of the ISV: for when that is known only after the gateway's. An empty one
// leaves the portal without a way to go.
func (k *Koubei) SetLandingURL(address string) error {
	var landing *url.URL
	if address != "" {
		var err error
		if landing, err = parseLanding(address); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.landing = landing
	return nil
}

func parseLanding(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("landing URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("landing URL: want http://… or https://…")
	case u.Fragment != "":
		return nil, errors.New("landing URL: a fragment never reaches a server")
	}
	return u, nil
}

// LandingURL is where Koubei sends the browser with code: the registered address with its own query first, as it was.
func (k *Koubei) LandingURL(code string, spelling Spelling) string {
	var u url.URL
	k.mu.Lock()
	if k.landing != nil {
		u = *k.landing
	}
	k.mu.Unlock()

	query := "code=" + url.QueryEscape(code)
	if spelling != Documented {
		query = "app_id=" + url.QueryEscape(k.appID) +
			"&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=" + url.QueryEscape(code)
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String()
}

// registered is the ISV's address as it was given, empty when there is none.
func (k *Koubei) registered() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.landing == nil {
		return ""
	}
	return k.landing.String()
}
