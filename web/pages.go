package web

import "time"

// The pages that Render knows. Each has a template of this name and a data struct.
const (
	PageError     = "error"     // ErrorPage
	PageIdentity  = "identity"  // IdentityPage
	PageSignIn    = "signin"    // SignInPage
	PageSignedOut = "signedout" // SignedOutPage
	PageSwitch    = "switch"    // SwitchPage
)

// blanks has an empty value of every page's data. New renders each page once, because html/template finds some mistakes
// only during execution.
var blanks = map[string]any{
	PageError:     ErrorPage{},
	PageIdentity:  IdentityPage{},
	PageSignIn:    SignInPage{},
	PageSignedOut: SignedOutPage{},
	PageSwitch:    SwitchPage{},
}

// Common is the data of every page.
type Common struct {
	RequestID string // the id of the request's log line; not shown if empty
	EntryURL  string // the page at Koubei that leads to the service; if empty, the pages describe the way in words
}

// ErrorPage says what happened and what to do next. Its texts are error.<Code>.title, .what and .do.
type ErrorPage struct {
	Common
	Status  int
	Code    string
	Retry   *Retry // the page retries by itself; nil if that does not help, and after a POST
	Enter   bool   // the page links to Koubei, because entering again helps
	OpenURL string // cookies_blocked: the landing, to be opened in a new window
	BackURL string // after a failed POST: the page with the form
	// LogoutURL is the target of the sign-out form, for ambiguous_session.
	LogoutURL string
}

// Retry is a link that the page loads again.
type Retry struct {
	URL   string // the same link, relative to the host
	After int    // seconds before the first retry, as in Retry-After
}

// IdentityPage shows who is signed in, for which merchants, and until when. If SignedIn is false, it shows how to
// enter from Koubei, and uses only Common and ForgetURL.
type IdentityPage struct {
	Common
	SignedIn     bool
	AppID        string
	OperatorID   string
	OperatorType string    // as the gateway returns it
	Partners     []Partner // newest first
	NoPartner    *Partner  // the entry of a landing without a merchant, if there is one
	LogoutURL    string    // target of the sign-out form
	ForgetURL    string    // target of the form that clears the browser's memory; empty if the browser has none
}

// Partner is one entry of a session: what the operator may do for one merchant.
type Partner struct {
	ID           string // empty in NoPartner
	Type         string // the operator's type in this entry
	HomeURL      string // the merchant's pages; if empty, the entry is not a link
	Since, Until time.Time
	Current      bool // the entry that is used without a selection
}

// SignInPage says that nobody is signed in, and how to enter.
type SignInPage struct{ Common }

// SignedOutPage is shown after signing out.
type SignedOutPage struct{ Common }

// SwitchPage asks whether to sign in the arriving operator: instead of the current one or, if LastKnown is set, in a
// browser that other operators have used. Its form posts decision=yes or decision=no with Fields to Action.
type SwitchPage struct {
	Common
	Action            string
	Fields            []Field
	Current, Arriving Party
	LastKnown         string // the operator who used the browser last, with most of the id hidden; Current is empty then
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Party is one side of a switch. PartnerID is empty if Koubei returned no merchant.
type Party struct{ OperatorID, OperatorType, PartnerID string }

// Main returns the name of the page's main action: open, retry, back, leave, enter or home.
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
