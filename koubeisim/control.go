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
	maxQueue   = 1000 // faults in the queue, if they come over HTTP
)

// apiApp tells an ISV's CI what to configure.
func (k *Koubei) apiApp(w http.ResponseWriter, r *http.Request) {
	c := k.Certificates()
	writeJSON(w, http.StatusOK, struct {
		AppID           string `json:"app_id"`
		AppPrivateKey   string `json:"app_private_key"`
		AlipayPublicKey string `json:"alipay_public_key"`
		GatewayURL      string `json:"gateway_url"`
		LandingURL      string `json:"landing_url"`
		SignType        string `json:"sign_type"`
		AppCert         string `json:"app_cert,omitempty"`
		AlipayCert      string `json:"alipay_cert,omitempty"`
		RootCert        string `json:"alipay_root_cert,omitempty"`
	}{
		k.appID, k.AppPrivateKey(), k.AlipayPublicKey(), cmp.Or(k.gatewayURL, "http://"+r.Host+"/gateway.do"),
		k.registered(), k.signType, string(c.App), string(c.Alipay), string(c.Root),
	})
}

func (k *Koubei) apiIssue(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OperatorID   string `json:"operator_id"`
		OperatorType string `json:"operator_type"`
		PartnerID    string `json:"partner_id"`
		ShopIDs      string `json:"shop_ids"`
		Lifetime     string `json:"lifetime"`
		State        string `json:"state"`
	}
	if err := readJSON(w, r, &in); err != nil {
		refuse(w, err)
		return
	}
	state, err := parseCodeState(in.State)
	lifetime, lifeErr := k.parseLifetime(in.Lifetime)
	var who error
	if in.OperatorID == "" || in.OperatorType == "" {
		who = errors.New("operator_id and operator_type are required")
	}
	if err := errors.Join(who, err, lifeErr); err != nil {
		refuse(w, err)
		return
	}
	code := k.issue(state, Person{in.OperatorID, in.OperatorType, in.PartnerID, in.ShopIDs}, lifetime)
	out := struct {
		Code          string `json:"code"`
		URL           string `json:"url,omitempty"`
		DocumentedURL string `json:"documented_url,omitempty"`
	}{Code: code}
	if k.registered() != "" {
		out.URL, out.DocumentedURL = k.LandingURL(code, Observed), k.LandingURL(code, Documented)
	}
	writeJSON(w, http.StatusCreated, out)
}

func (k *Koubei) parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return k.codeLifetime, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("lifetime %q: want a duration such as 3m", text)
	}
	return d, nil
}

func parseCodeState(name string) (CodeState, error) {
	if state := CodeState(name); state == CodeFresh || slices.Contains(codeStates, state) {
		return state, nil
	}
	return "", fmt.Errorf("state %q: want expired, used, unknown or foreign", name)
}

func (k *Koubei) apiFaults(w http.ResponseWriter, _ *http.Request) {
	type row struct {
		Name  Fault  `json:"name"`
		About string `json:"about"`
	}
	known := make([]row, len(tricks))
	for i, t := range tricks {
		known[i] = row{t.fault, t.en}
	}
	writeJSON(w, http.StatusOK, struct {
		Queued []Fault `json:"queued"`
		Known  []row   `json:"known"`
	}{k.queuedList(), known})
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

// parseFaults takes all or none, and keeps the queue within bounds.
func (k *Koubei) parseFaults(names []string) ([]Fault, error) {
	var faults []Fault
	var wrong []error
	for _, name := range names {
		f, err := ParseFault(name)
		faults, wrong = append(faults, f), append(wrong, err)
	}
	if len(k.Queued())+len(faults) > maxQueue {
		wrong = append(wrong, fmt.Errorf("more than %d faults in the queue", maxQueue))
	}
	return faults, errors.Join(wrong...)
}

func (k *Koubei) apiClearFaults(w http.ResponseWriter, _ *http.Request) {
	k.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

func (k *Koubei) apiRelease(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"released": k.Release()})
}

func (k *Koubei) apiRoll(w http.ResponseWriter, _ *http.Request) {
	k.RollCertificate()
	w.WriteHeader(http.StatusNoContent)
}

// apiCalls lists the gateway's calls, of one code if asked so.
func (k *Koubei) apiCalls(w http.ResponseWriter, r *http.Request) {
	type row struct {
		At      time.Time `json:"at"`
		Method  string    `json:"method"`
		Code    string    `json:"code"`
		Fault   Fault     `json:"fault,omitempty"`
		Outcome string    `json:"outcome"`
	}
	rows := []row{}
	code := r.URL.Query().Get("code")
	for _, c := range k.Calls() {
		if code == "" || c.Code == code {
			rows = append(rows, row(c))
		}
	}
	writeJSON(w, http.StatusOK, map[string][]row{"calls": rows})
}

// queuedList is never nil: JSON has it as an empty list.
func (k *Koubei) queuedList() []Fault {
	return append([]Fault{}, k.Queued()...)
}

// readJSON is strict: a misspelt member would be a fault that nobody asked for.
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
		panic("koubeisim: " + err.Error()) // our own structs of strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}
