package web

import "time"

// The pages that Render knows. Each has a template of this name and a struct of data.
const (
	PageError     = "error"     // ErrorPage
	PageIdentity  = "identity"  // IdentityPage
	PageSignIn    = "signin"    // SignInPage
	PageSignedOut = "signedout" // SignedOutPage
	PageSwitch    = "switch"    // SwitchPage
)

// blanks has an empty value of every page's data: New renders each once, because html/template finds
// some mistakes only when it executes.
var blanks = map[string]any{
	PageError:     ErrorPage{},
	PageIdentity:  IdentityPage{},
	PageSignIn:    SignInPage{},
	PageSignedOut: SignedOutPage{},
	PageSwitch:    SwitchPage{},
}

// Common is what every page shows or needs.
type Common struct {
	RequestID string // what the log knows this answer by; left out when empty
	EntryURL  string // the page at Koubei that leads here; without it the pages describe the way in words
}

// ErrorPage says what happened and what to do next. Its words are the texts error.<Code>.title, .what and .do.
type ErrorPage struct {
	Common
	Status  int
	Code    string
	Retry   *Retry // the page asks again by itself; nil where that helps nobody, and after a POST
	Enter   bool   // the page shows the way to Koubei: entering again helps
	OpenURL string // cookies_blocked: the landing, to be opened in a window of its own
	BackURL string // after a POST that failed: the page with its form
	// LogoutURL is where a form to sign out posts to, for ambiguous_session.
	LogoutURL string
}

// Retry is a link worth asking for again.
type Retry struct {
	URL   string // the same link, relative to the host
	After int    // seconds before the first try, as in Retry-After
}

// IdentityPage tells people who is signed in, for which merchants, and until when. What it shows when
// SignedIn is false is the way to Koubei, and the rest is ignored.
type IdentityPage struct {
	Common
	SignedIn     bool
	AppID        string
	OperatorID   string
	OperatorType string    // as the gateway spells it
	Partners     []Partner // newest first
	NoPartner    *Partner  // the entry of a landing that named no merchant, if there is one
	LogoutURL    string    // where the sign-out form posts to
	ForgetURL    string    // where the form posts to that clears the browser's memory; empty when the browser has none
}

// Partner is one entry of a session: what the operator may do for one merchant.
type Partner struct {
	ID           string // empty in NoPartner
	Type         string // the operator's type in this entry
	HomeURL      string // the merchant's pages; without it the entry is no link
	Since, Until time.Time
	Current      bool // the entry that is answered by default
}

// SignInPage says why one is here and how to get in.
type SignInPage struct{ Common }

// SignedOutPage is where signing out ends.
type SignedOutPage struct{ Common }

// SwitchPage asks whether the arriving operator may be signed in: in place of the current one or, where
// LastKnown is set, in a browser that has been used by others. Its form posts decision=yes or decision=no with
// Fields to Action.
type SwitchPage struct {
	Common
	Action            string
	Fields            []Field
	Current, Arriving Party
	LastKnown         string // the operator who used the browser last, most of the id hidden; then there is no Current
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Party is one side of a switch. PartnerID is empty where Koubei named no merchant.
type Party struct{ OperatorID, OperatorType, PartnerID string }

// Main names the page's main action: open, retry, back, leave, enter or home.
func (p ErrorPage) Main() string {
	switch {
	case p.OpenURL != "":
		return "open"
	case p.Retry != nil:
		return "retry"
	case p.BackURL != "":
		return "back"
	case p.LogoutURL != "":
		return "leave"
	case p.Enter:
		return "enter"
	}
	return "home"
}
