package koubeisim

import (
	"errors"
	"fmt"
	"net/url"
)

// Spelling selects the names of the parameters in a redirect.
type Spelling string

// The spellings.
const (
	Observed   Spelling = "observed"   // app_id, scope, source, auth_type and auth_code, as Koubei's redirects have been seen
	Documented Spelling = "documented" // only code, as in the documentation
)

// SetLandingURL registers another address of the ISV. Use it when that address is known only after the gateway's. Without
// an address, the portal cannot send anybody to the ISV.
func (k *Koubei) SetLandingURL(address string) error {
	var landing *url.URL
	if address != "" {
		u, err := url.Parse(address)
		switch {
		case err != nil:
			return fmt.Errorf("landing URL: %w", err)
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return errors.New("landing URL: use an http:// or https:// address")
		case u.Fragment != "":
			return errors.New("landing URL: remove the fragment, which never reaches a server")
		}
		landing = u
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.landing = landing
	return nil
}

// LandingURL returns the address to which Koubei redirects the browser with code: the registered one with its own query,
// followed by Koubei's parameters.
func (k *Koubei) LandingURL(code string, spelling Spelling) string {
	var u url.URL
	k.mu.Lock()
	if k.landing != nil {
		u = *k.landing
	}
	k.mu.Unlock()

	query := "code=" + url.QueryEscape(code)
	if spelling != Documented {
		query = "app_id=" + url.QueryEscape(k.o.AppID) + "&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=" + url.QueryEscape(code)
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String()
}

// registered returns the registered address, empty when there is none.
func (k *Koubei) registered() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.landing == nil {
		return ""
	}
	return k.landing.String()
}
