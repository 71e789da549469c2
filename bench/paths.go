package bench

import (
	"fmt"
	"net/http"
	"strings"
)

// The targets of the table.

func (r *Rig) verify(s *Service, name string) Target {
	return Target{Name: name, Server: s.Process, Addr: s.Internal, URI: "/auth/verify", Header: []string{"Cookie: " + r.cookie}, Status: http.StatusOK}
}

func (r *Rig) session() Target {
	t := r.verify(r.Plain, "`/session`")
	t.Addr, t.URI = r.Plain.Public, "/session"
	return t
}

// hop is a browser's first arrival: no code is spent on it, so the same link does for all.
func (r *Rig) hop() Target {
	return Target{
		Name: "the hop", Server: r.Plain.Process, Addr: r.Plain.Public, Header: browser, Status: http.StatusSeeOther,
		URI: callback + "?app_id=" + r.appID() + "&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=0123456789abcdef0123456789abcdef",
	}
}

// landing is a browser's second arrival: each is another browser, with a code that nobody has brought before.
func (r *Rig) landing() Target {
	t := r.hop()
	t.Name, t.Fresh = "a landing", r.freshLanding
	made, _, _ := strings.Cut(r.arrival, ".")
	t.FreshHeader = func() string { return fmt.Sprintf("Cookie: %s.%022d", made, r.landings.Add(1)) }
	return t
}

func (r *Rig) freshLanding() string {
	return fmt.Sprintf("%s?app_id=%s&scope=auth_base&source=koubei&auth_type=pay_member&auth_code=bench%027d", callback, r.appID(), r.landings.Add(1))
}

func (r *Rig) appID() string { return r.prefix[len("koubei:") : len(r.prefix)-1] }

func (r *Rig) get() Target {
	return Target{Name: "handler + one GET", Server: r.Get, Addr: r.getAt, URI: "/", Header: []string{"Cookie: " + r.cookie}, Status: http.StatusOK}
}

func (r *Rig) empty() Target {
	return Target{Name: "empty handler", Server: r.Empty, Addr: r.emptyAt, URI: "/", Header: browser, Status: http.StatusOK}
}

// heads is what no check can be faster than that is answered by net/http: it does nothing but send the ten headers.
func (r *Rig) heads() Target {
	t := r.get()
	t.Name, t.Server, t.Addr = "ten headers, nothing else", r.Heads, r.headsAt
	return t
}

// Targets are the paths of the service.
func (r *Rig) Targets() []Target {
	return []Target{
		r.verify(r.Plain, "`/auth/verify`"), r.verify(r.Cached, "`/auth/verify`, cached"), r.verify(r.Asserted, "`/auth/verify`, assertion"),
		r.session(), r.hop(), r.landing(),
	}
}
