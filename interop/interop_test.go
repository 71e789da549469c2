// Package interop_test uses the official Alipay SDK for Node.js as a client of koubeisim. It shows that the simulator speaks
// the real protocol and not one that only our own client understands.
package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koubei-landing/internal/alipay"
	"koubei-landing/internal/pemfile"
)

// answer is the SDK's result of one call.
type answer struct {
	Result   map[string]string `json:"result"`
	Error    string            `json:"error"`
	Raw      string            `json:"raw"`      // the response that it refused
	Verified bool              `json:"verified"` // the signature of this response is valid
}

// call is one request to the gateway through the SDK.
type call struct {
	Code     string `json:"code"`
	Validate bool   `json:"validate"` // the SDK checks the signature; by default it does not
	Encrypt  bool   `json:"encrypt"`

	state string // of the code
	fault string // the gateway's
}

// operator is the operator of every code of these tests.
var operator = map[string]string{
	"operator_id": "2088102150477660", "operator_type": "PROVIDER_STAFF", "operator_partner_id": "2088102150477653", "shop_ids": "2015060900077000000000152345,2015060900077000000000152346",
}

func TestOfficialNodeSDK(t *testing.T) {
	t.Parallel()
	installSDK(t)
	koubeisim := build(t)
	const aesKey = "MDEyMzQ1Njc4OWFiY2RlZg=="
	for _, mode := range []struct {
		name         string
		args         []string
		certificates bool
	}{
		{"public keys", nil, false},
		{"public keys, RSA", []string{"--sign-type", "RSA"}, false},
		{"certificates", nil, true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			k := start(t, koubeisim, mode.certificates, mode.args...)
			answers := k.ask(t, []call{
				{fault: "tampered", Validate: true},
				{fault: "wrong-key", Validate: true},
				{fault: "busy", Validate: true},
				{Validate: true},
				{state: "used", Validate: true},
				{state: "expired", Validate: true},
				{state: "foreign", Validate: true},
			})
			for i, name := range []string{"tampered", "wrong-key"} {
				if a := answers[i]; !strings.Contains(a.Error, "验签失败") || a.Verified || a.Result != nil {
					t.Errorf("%s: got %+v, want the SDK to refuse it", name, a)
				}
			}
			answers[2].wants(t, "20000", "isp.unknow-error")
			answers[3].lands(t)
			answers[4].wants(t, "40004", "AUTH_CODE_NOT_EXIST")
			answers[5].wants(t, "40004", "AUTH_CODE_EXPIRES")
			answers[6].wants(t, "40004", "ACCESS_NOT_ALLOWED")
		})
		// The SDK encrypts and decrypts, but rejects the signature of an encrypted response, because it extracts only nodes
		// that are objects. So it does not check the signature here. The test checks the signatures that the SDK rejects.
		t.Run(mode.name+", AES", func(t *testing.T) {
			k := start(t, koubeisim, mode.certificates, append(mode.args, "--encrypt-key", aesKey)...)
			answers := k.ask(t, []call{
				{fault: "tampered", Encrypt: true, Validate: true},
				{fault: "busy", Encrypt: true},
				{Encrypt: true},
				{Encrypt: true, Validate: true},
				{state: "used", Encrypt: true},
			})
			if a := answers[0]; a.Verified || a.Result != nil || !strings.Contains(a.Error, "验签失败") {
				t.Errorf("tampered: got %+v", a)
			}
			answers[1].wants(t, "20000", "isp.unknow-error")
			answers[2].lands(t)
			if a := answers[3]; !a.Verified || !strings.Contains(a.Raw, `"koubei_member_data_oauth_query_response":"`) {
				t.Errorf("the encrypted node's signature, quotes included: got %+v", a)
			}
			answers[4].wants(t, "40004", "AUTH_CODE_NOT_EXIST")
		})
	}
}

func (a answer) lands(t *testing.T) {
	t.Helper()
	if a.Error != "" || a.Result["code"] != "10000" {
		t.Errorf("got %+v, want a success", a)
	}
	for name, want := range operator {
		if got := a.Result[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func (a answer) wants(t *testing.T, code, subCode string) {
	t.Helper()
	if a.Error != "" || a.Result["code"] != code || a.Result["sub_code"] != subCode {
		t.Errorf("got %+v, want %s %s", a, code, subCode)
	}
}

// installSDK installs the versions in package-lock.json unless they are installed.
func installSDK(t *testing.T) {
	t.Helper()
	var pinned struct{ Dependencies map[string]string }
	readJSON(t, "package.json", &pinned)
	var installed struct{ Version string }
	if raw, err := os.ReadFile("node_modules/alipay-sdk/package.json"); err == nil && json.Unmarshal(raw, &installed) == nil &&
		installed.Version == pinned.Dependencies["alipay-sdk"] {
		return
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf("npm is needed to fetch the official SDK: %v: install Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "koubeisim")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "koubei-landing/cmd/koubeisim").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// koubei is a running koubeisim.
type koubei struct {
	base string
	env  map[string]string
}

// start runs koubeisim until the test ends, with --plain, because the SDK cannot read a response whose signature comes first.
func start(t *testing.T, program string, certificates bool, args ...string) *koubei {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "isv.env")
	args = append([]string{"--listen", "127.0.0.1:0", "--plain", "--write-env", file}, args...)
	if certificates {
		args = append(args, "--certificates", dir)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if _, err := io.Copy(io.Discard, stdout); err != nil {
			t.Errorf("koubeisim's output: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("koubeisim: %v\n%s", err, stderr.String())
		}
	})
	line := make([]byte, 1) // koubeisim writes its first line when it listens and has written the file
	if _, err := io.ReadFull(stdout, line); err != nil {
		t.Fatalf("koubeisim didn't start: %v\n%s", err, stderr.String())
	}
	k := &koubei{env: environment(t, file)}
	gateway, err := url.Parse(k.env["ALIPAY_GATEWAY_URL"])
	if err != nil {
		t.Fatal(err)
	}
	k.base = "http://" + gateway.Host
	return k
}

func environment(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	return env
}

// post sends a request to the control API.
func (k *koubei) post(t *testing.T, path string, body, into any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(k.base+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", path, err, answer)
	}
}

// ask lets the SDK make the calls one after another. Calls with a fault come first, because each call takes the next fault.
func (k *koubei) ask(t *testing.T, calls []call) []answer {
	t.Helper()
	faults := []string{}
	for i := range calls {
		if calls[i].fault != "" {
			faults = append(faults, calls[i].fault)
		}
		var issued struct{ Code string }
		k.post(t, "/api/codes", map[string]string{
			"operator_id": operator["operator_id"], "operator_type": operator["operator_type"],
			"partner_id": operator["operator_partner_id"], "shop_ids": operator["shop_ids"], "state": calls[i].state,
		}, &issued)
		calls[i].Code = issued.Code
	}
	k.post(t, "/api/faults", map[string][]string{"faults": faults}, nil)

	in, err := json.Marshal(map[string]any{"env": k.env, "calls": calls})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", "client.mjs")
	cmd.Env = append(os.Environ(), "TZ=Asia/Shanghai") // the SDK sends local time for Alipay's
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("node client.mjs: %v\n%s", err, stderr.String())
	}
	var said struct {
		SNs struct {
			App    string `json:"appCertSn"`
			Alipay string `json:"alipayCertSn"`
			Root   string `json:"alipayRootCertSn"`
		} `json:"sns"`
		Answers []answer `json:"answers"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &said); err != nil || len(said.Answers) != len(calls) {
		t.Fatalf("got %q, %v", stdout.String(), err)
	}
	if k.env["ALIPAY_CERT_FILE"] != "" {
		c := k.certificates(t)
		if said.SNs.App != c.AppSN() || said.SNs.Alipay != c.AlipaySN() || said.SNs.Root != c.RootSN() {
			t.Errorf("SNs: the SDK says %+v, we say %s, %s, %s", said.SNs, c.AppSN(), c.AlipaySN(), c.RootSN())
		}
	}
	return said.Answers
}

// certificates returns the files as our own client reads them.
func (k *koubei) certificates(t *testing.T) *alipay.Certificates {
	t.Helper()
	var files [3]pemfile.File
	for i, name := range []string{"ALIPAY_APP_CERT_FILE", "ALIPAY_CERT_FILE", "ALIPAY_ROOT_CERT_FILE"} {
		content, err := os.ReadFile(k.env[name])
		if err != nil {
			t.Fatal(err)
		}
		files[i] = pemfile.File{Name: name, Data: content}
	}
	c, err := alipay.ParseCertificates(files[0], files[1], files[2])
	if err != nil {
		t.Fatal(err)
	}
	return c
}
