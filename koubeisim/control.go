package koubeisim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

const (
	maxControl = 64 << 10
	maxQueue   = 1000 // faults that can be queued over HTTP
)

// apiApp returns what a CI needs to configure the service.
func (k *Koubei) apiApp(w http.ResponseWriter, r *http.Request) {
	app := map[string]string{
		"app_id": k.AppID(), "app_private_key": k.AppPrivateKey(), "alipay_public_key": k.AlipayPublicKey(),
		"gateway_url": cmp.Or(k.o.GatewayURL, "http://"+r.Host+"/gateway.do"), "landing_url": k.registered(), "sign_type": k.o.SignType,
	}
	if c := k.Certificates(); c.App != nil {
		app["app_cert"], app["alipay_cert"], app["alipay_root_cert"] = string(c.App), string(c.Alipay), string(c.Root)
	}
	writeJSON(w, http.StatusOK, app)
}

func (k *Koubei) apiIssue(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Person
		Lifetime string `json:"lifetime"`
		State    string `json:"state"`
	}
	if err := readJSON(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	lifetime, state := k.o.CodeLifetime, CodeState(in.State)
	var errs []error
	if in.Lifetime != "" {
		var err error
		if lifetime, err = time.ParseDuration(in.Lifetime); err != nil || lifetime <= 0 {
			errs = append(errs, fmt.Errorf("lifetime %q: use a duration such as 3m", in.Lifetime))
		}
	}
	if !state.valid() {
		errs = append(errs, errState(in.State))
	}
	if in.OperatorID == "" || in.OperatorType == "" {
		errs = append(errs, errors.New("operator_id and operator_type are required"))
	}
	if len(errs) > 0 {
		refuse(w, errors.Join(errs...))
		return
	}
	out := map[string]string{"code": k.issue(state, in.Person, lifetime)}
	if k.registered() != "" {
		out["url"], out["documented_url"] = k.LandingURL(out["code"], Observed), k.LandingURL(out["code"], Documented)
	}
	writeJSON(w, http.StatusCreated, out)
}

func (s CodeState) valid() bool { return s == CodeFresh || slices.Contains(codeStates, s) }

func errState(name string) error {
	return fmt.Errorf("state %q: use expired, used, unknown or foreign", name)
}

func (k *Koubei) apiFaults(w http.ResponseWriter, _ *http.Request) {
	type row struct {
		Name  Fault  `json:"name"`
		About string `json:"about"`
	}
	var known []row
	for _, b := range behaviors {
		known = append(known, row{b.fault, b.en})
	}
	writeJSON(w, http.StatusOK, map[string]any{"queued": k.queuedList(), "known": known})
}

func (k *Koubei) apiQueueFaults(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Faults []string `json:"faults"`
	}
	err := readJSON(w, r, &in)
	var faults []Fault
	if err == nil {
		faults, err = k.parseFaults(in.Faults)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	k.Next(faults...)
	writeJSON(w, http.StatusOK, map[string][]Fault{"queued": k.queuedList()})
}

// parseFaults returns all faults, or an error if one is unknown or the queue would become too long.
func (k *Koubei) parseFaults(names []string) ([]Fault, error) {
	var faults []Fault
	var errs []error
	for _, name := range names {
		f, err := ParseFault(name)
		faults, errs = append(faults, f), append(errs, err)
	}
	if len(k.Queued())+len(faults) > maxQueue {
		errs = append(errs, fmt.Errorf("more than %d faults in the queue", maxQueue))
	}
	return faults, errors.Join(errs...)
}

// apiCalls returns the gateway calls, those of one code if it is given.
func (k *Koubei) apiCalls(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	calls := slices.DeleteFunc(k.Calls(), func(c Call) bool { return code != "" && c.Code != code })
	writeJSON(w, http.StatusOK, map[string][]Call{"calls": calls})
}

// queuedList is never nil, so that JSON has an empty list.
func (k *Koubei) queuedList() []Fault { return append([]Fault{}, k.Queued()...) }

// readJSON refuses unknown members, so that a misspelled one is noticed.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("body: more than one JSON value")
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("koubeisim: " + err.Error()) // cannot happen with these values
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
