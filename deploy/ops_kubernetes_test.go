package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// The fields of Kubernetes's objects that the manifests use. Any other field is an error.
type (
	labels map[string]string
	head   struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name        string            `yaml:"name"`
			Labels      labels            `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	serviceAccount struct {
		head      `yaml:",inline"`
		Automount bool `yaml:"automountServiceAccountToken"`
	}
	configMap struct {
		head `yaml:",inline"`
		Data map[string]string `yaml:"data"`
	}
	service struct {
		head `yaml:",inline"`
		Spec struct {
			Selector labels `yaml:"selector"`
			Ports    []struct {
				Name       string `yaml:"name"`
				Port       int    `yaml:"port"`
				TargetPort string `yaml:"targetPort"`
			} `yaml:"ports"`
		} `yaml:"spec"`
	}
	disruptionBudget struct {
		head `yaml:",inline"`
		Spec struct {
			MinAvailable int      `yaml:"minAvailable"`
			Selector     selector `yaml:"selector"`
		} `yaml:"spec"`
	}
	peer struct {
		Namespaces *selector `yaml:"namespaceSelector"`
		Pods       *selector `yaml:"podSelector"`
		IPBlock    *struct {
			CIDR   string   `yaml:"cidr"`
			Except []string `yaml:"except"`
		} `yaml:"ipBlock"`
	}
	policyRule struct {
		From  []peer `yaml:"from"`
		To    []peer `yaml:"to"`
		Ports []struct {
			Protocol string `yaml:"protocol"`
			Port     string `yaml:"port"`
		} `yaml:"ports"`
	}
	networkPolicy struct {
		head `yaml:",inline"`
		Spec struct {
			PodSelector selector     `yaml:"podSelector"`
			PolicyTypes []string     `yaml:"policyTypes"`
			Ingress     []policyRule `yaml:"ingress"`
			Egress      []policyRule `yaml:"egress"`
		} `yaml:"spec"`
	}
	ingress struct {
		head `yaml:",inline"`
		Spec struct {
			Class string `yaml:"ingressClassName"`
			TLS   []struct {
				Hosts  []string `yaml:"hosts"`
				Secret string   `yaml:"secretName"`
			} `yaml:"tls"`
			Rules []struct {
				Host string `yaml:"host"`
				HTTP struct {
					Paths []struct {
						Path    string `yaml:"path"`
						Type    string `yaml:"pathType"`
						Backend struct {
							Service struct {
								Name string `yaml:"name"`
								Port struct {
									Name string `yaml:"name"`
								} `yaml:"port"`
							} `yaml:"service"`
						} `yaml:"backend"`
					} `yaml:"paths"`
				} `yaml:"http"`
			} `yaml:"rules"`
		} `yaml:"spec"`
	}
	probe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port string `yaml:"port"`
		} `yaml:"httpGet"`
		Period  int `yaml:"periodSeconds"`
		Timeout int `yaml:"timeoutSeconds"`
		Failure int `yaml:"failureThreshold"`
	}
	container struct {
		Name  string   `yaml:"name"`
		Image string   `yaml:"image"`
		Args  []string `yaml:"args"`
		Ports []struct {
			Name string `yaml:"name"`
			Port int    `yaml:"containerPort"`
		} `yaml:"ports"`
		EnvFrom []struct {
			ConfigMap struct {
				Name string `yaml:"name"`
			} `yaml:"configMapRef"`
		} `yaml:"envFrom"`
		Env []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"env"`
		Startup   probe `yaml:"startupProbe"`
		Readiness probe `yaml:"readinessProbe"`
		Liveness  probe `yaml:"livenessProbe"`
		Resources struct {
			Requests map[string]string `yaml:"requests"`
			Limits   map[string]string `yaml:"limits"`
		} `yaml:"resources"`
		Security struct {
			Escalation   *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities struct {
				Drop []string `yaml:"drop"`
			} `yaml:"capabilities"`
		} `yaml:"securityContext"`
		Mounts []struct {
			Name     string `yaml:"name"`
			Path     string `yaml:"mountPath"`
			ReadOnly bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	deployedPod struct {
		Account   string `yaml:"serviceAccountName"`
		Automount *bool  `yaml:"automountServiceAccountToken"`
		Links     *bool  `yaml:"enableServiceLinks"`
		Grace     int    `yaml:"terminationGracePeriodSeconds"`
		Security  struct {
			NonRoot bool              `yaml:"runAsNonRoot"`
			User    int               `yaml:"runAsUser"`
			Group   int               `yaml:"runAsGroup"`
			FSGroup int               `yaml:"fsGroup"`
			Seccomp map[string]string `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Spread []struct {
			MaxSkew  int      `yaml:"maxSkew"`
			Key      string   `yaml:"topologyKey"`
			When     string   `yaml:"whenUnsatisfiable"`
			Selector selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container `yaml:"containers"`
		Volumes    []struct {
			Name   string `yaml:"name"`
			Secret struct {
				Name string `yaml:"secretName"`
				Mode int    `yaml:"defaultMode"`
			} `yaml:"secret"`
		} `yaml:"volumes"`
	}
	deployment struct {
		head `yaml:",inline"`
		Spec struct {
			Replicas int      `yaml:"replicas"`
			History  int      `yaml:"revisionHistoryLimit"`
			Selector selector `yaml:"selector"`
			Strategy struct {
				Type   string `yaml:"type"`
				Update struct {
					MaxUnavailable int `yaml:"maxUnavailable"`
					MaxSurge       int `yaml:"maxSurge"`
				} `yaml:"rollingUpdate"`
			} `yaml:"strategy"`
			MinReady int `yaml:"minReadySeconds"`
			Template struct {
				Metadata struct {
					Labels      labels            `yaml:"labels"`
					Annotations map[string]string `yaml:"annotations"`
				} `yaml:"metadata"`
				Spec deployedPod `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
)

func (h head) named() string { return h.Metadata.Name }

// strictly decodes every document of a file, each into the type of its kind.
func strictly(t *testing.T, name string, raw []byte) (objects []any) {
	t.Helper()
	kinds := map[string]reflect.Type{
		"v1 ServiceAccount": reflect.TypeFor[serviceAccount](), "v1 ConfigMap": reflect.TypeFor[configMap](), "v1 Service": reflect.TypeFor[service](),
		"apps/v1 Deployment": reflect.TypeFor[deployment](), "policy/v1 PodDisruptionBudget": reflect.TypeFor[disruptionBudget](),
		"networking.k8s.io/v1 NetworkPolicy": reflect.TypeFor[networkPolicy](), "networking.k8s.io/v1 Ingress": reflect.TypeFor[ingress](),
	}
	documents := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var document yaml.Node
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var h head
		text, err := yaml.Marshal(&document)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &h); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kind, ok := kinds[h.APIVersion+" "+h.Kind]
		if !ok {
			t.Fatalf("%s: what is %s %s?", name, h.APIVersion, h.Kind)
		}
		object := reflect.New(kind)
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(object.Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if h.Metadata.Labels["app.kubernetes.io/name"] != "koubei-landing" || !strings.HasPrefix(h.Metadata.Name, "koubei-landing") {
			t.Errorf("%s: %s is called %q and labelled %v", name, h.Kind, h.Metadata.Name, h.Metadata.Labels)
		}
		objects = append(objects, object.Elem().Interface())
	}
}

func the[T any](t *testing.T, objects []any, name string) (found T) {
	t.Helper()
	n := 0
	for _, o := range objects {
		if v, ok := o.(T); ok && (name == "" || o.(interface{ named() string }).named() == name) {
			found, n = v, n+1
		}
	}
	if n != 1 {
		t.Fatalf("got %d of %T, want one", n, found)
	}
	return found
}

// manifests are the objects of the kustomization.
type manifests struct {
	objects    []any
	config     configMap
	deployment deployment
	pod        deployedPod
	container  container
	budget     disruptionBudget
	policy     networkPolicy
}

func TestKubernetesManifests(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	t.Run("settings", m.checkSettings)
	t.Run("ports and probes", m.checkPorts)
	t.Run("shutdown", m.checkShutdown)
	t.Run("rollout", m.checkRollout)
	t.Run("confinement", m.checkConfinement)
	t.Run("selectors", m.checkSelectors)
	t.Run("network policy", m.checkNetworkPolicy)
}

func readManifests(t *testing.T) manifests {
	t.Helper()
	var list struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Resources  []string `yaml:"resources"`
	}
	d := yaml.NewDecoder(strings.NewReader(slurp(t, "kubernetes/kustomization.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) != len(list.Resources)+2 { // itself, and ingress.yaml, which must be filled in first
		t.Errorf("the kustomization has %d of %d files, %v", len(list.Resources), len(files)-2, err)
	}
	var m manifests
	for _, file := range list.Resources {
		m.objects = append(m.objects, strictly(t, file, []byte(slurp(t, "kubernetes/"+file)))...)
	}
	m.config = the[configMap](t, m.objects, "")
	m.deployment = the[deployment](t, m.objects, "")
	m.pod = m.deployment.Spec.Template.Spec
	m.container = m.pod.Containers[0]
	m.budget = the[disruptionBudget](t, m.objects, "")
	m.policy = the[networkPolicy](t, m.objects, "")
	return m
}

// checkSettings checks that every setting exists, and that the ConfigMap has no secret.
func (m manifests) checkSettings(t *testing.T) {
	c, volume := m.container, m.pod.Volumes[0]
	for name := range m.config.Data {
		wantSetting(t, name)
		if strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "_TOKEN") || name == "REDIS_URL" {
			t.Errorf("the ConfigMap holds the secret %s", name)
		}
	}
	for _, e := range c.Env {
		wantSetting(t, e.Name)
		if !strings.HasPrefix(e.Value, c.Mounts[0].Path+"/") {
			t.Errorf("%s names %s, which no volume has", e.Name, e.Value)
		}
	}
	if c.EnvFrom[0].ConfigMap.Name != m.config.Metadata.Name || c.Mounts[0].Name != volume.Name || !c.Mounts[0].ReadOnly || volume.Secret.Mode != 0o440 {
		t.Errorf("configuration: %+v, %+v, %+v", c.EnvFrom, c.Mounts, m.pod.Volumes)
	}
}

func (m manifests) checkPorts(t *testing.T) {
	c := m.container
	_, internal, _ := strings.Cut(m.config.Data["INTERNAL_LISTEN"], ":")
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = map[int]string{8080: "8080", 9090: "9090"}[p.Port]
	}
	if ports["public"] != "8080" || ports["internal"] != internal {
		t.Errorf("ports: %v, and INTERNAL_LISTEN is %s", ports, m.config.Data["INTERNAL_LISTEN"])
	}
	for _, p := range []struct {
		probe
		path string
	}{{c.Startup, "/healthz"}, {c.Readiness, "/readyz"}, {c.Liveness, "/healthz"}} {
		if p.HTTPGet.Path != p.path || p.HTTPGet.Port != "internal" {
			t.Errorf("a probe asks %+v, want %s of the internal port", p.HTTPGet, p.path)
		}
	}
	if target := the[service](t, m.objects, "koubei-landing").Spec.Ports; len(target) != 1 || target[0].TargetPort != "public" {
		t.Errorf("the service for browsers leads to %+v", target)
	}
}

// checkShutdown checks that the pod has the time that the settings give it.
func (m manifests) checkShutdown(t *testing.T) {
	delay := wantDuration(t, m.config.Data["SHUTDOWN_DELAY"])
	if may := delay + wantDuration(t, m.config.Data["SHUTDOWN_TIMEOUT"]); time.Duration(m.pod.Grace)*time.Second < may+5*time.Second {
		t.Errorf("killed after %d s, but may take %s", m.pod.Grace, may)
	}
	if noticed := time.Duration(m.container.Readiness.Period*m.container.Readiness.Failure) * time.Second; delay <= noticed {
		t.Errorf("SHUTDOWN_DELAY is %s, but it takes %s until unreadiness is noticed", delay, noticed)
	}
}

func (m manifests) checkRollout(t *testing.T) {
	spec, budget := m.deployment.Spec, m.budget.Spec
	if spec.Replicas != 2 || spec.Strategy.Update.MaxUnavailable != 0 || spec.Strategy.Update.MaxSurge != 1 {
		t.Errorf("got %d replicas, %+v", spec.Replicas, spec.Strategy)
	}
	if budget.MinAvailable >= spec.Replicas || budget.MinAvailable < 1 {
		t.Errorf("the budget wants %d of %d", budget.MinAvailable, spec.Replicas)
	}
}

func (m manifests) checkConfinement(t *testing.T) {
	pod, c := m.pod, m.container.Security
	if !pod.Security.NonRoot || pod.Security.User != 65532 || pod.Security.Seccomp["type"] != "RuntimeDefault" || pod.Automount == nil || *pod.Automount ||
		!c.ReadOnly || c.Escalation == nil || *c.Escalation || !slices.Equal(c.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("the pod is not confined: %+v, %+v", pod.Security, c)
	}
}

func (m manifests) checkSelectors(t *testing.T) {
	pods := m.deployment.Spec.Template.Metadata.Labels
	for what, selects := range map[string]labels{
		"deployment": m.deployment.Spec.Selector.MatchLabels, "budget": m.budget.Spec.Selector.MatchLabels, "policy": m.policy.Spec.PodSelector.MatchLabels,
		"service": the[service](t, m.objects, "koubei-landing").Spec.Selector, "internal service": the[service](t, m.objects, "koubei-landing-internal").Spec.Selector,
	} {
		if !reflect.DeepEqual(selects, pods) {
			t.Errorf("%s selects %v, the pods are %v", what, selects, pods)
		}
	}
}

// checkNetworkPolicy checks that only named pods reach the internal listener.
func (m manifests) checkNetworkPolicy(t *testing.T) {
	if !slices.Equal(m.policy.Spec.PolicyTypes, []string{"Ingress", "Egress"}) {
		t.Errorf("the policy is about %v", m.policy.Spec.PolicyTypes)
	}
	for _, rule := range m.policy.Spec.Ingress {
		for _, port := range rule.Ports {
			if port.Port != "internal" {
				continue
			}
			for _, from := range rule.From {
				if from.Pods == nil || len(from.Pods.MatchLabels) == 0 || from.IPBlock != nil {
					t.Errorf("the internal listener is open to %+v", from)
				}
			}
			if len(rule.From) == 0 {
				t.Error("the internal listener is open to every pod")
			}
		}
	}
}

// The Ingress uses annotations that ingress-nginx accepts by default, which excludes snippets, and passes every identity
// header on.
func TestIngress(t *testing.T) {
	t.Parallel()
	known := []string{"auth-url", "auth-method", "auth-signin", "auth-response-headers", "proxy-body-size", "proxy-buffer-size", "enable-cors", "cors-allow-origin", "enable-access-log"}
	checked := 0
	for _, object := range strictly(t, "ingress.yaml", []byte(slurp(t, "kubernetes/ingress.yaml"))) {
		i, ok := object.(ingress)
		if !ok {
			t.Fatalf("got %T, want an Ingress", object)
		}
		for name := range i.Metadata.Annotations {
			if short, ok := strings.CutPrefix(name, "nginx.ingress.kubernetes.io/"); !ok || !slices.Contains(known, short) {
				t.Errorf("%s: unknown annotation %s", i.named(), name)
			}
		}
		annotation := func(name string) string { return i.Metadata.Annotations["nginx.ingress.kubernetes.io/"+name] }
		path := i.Spec.Rules[0].HTTP.Paths[0]
		if path.Backend.Service.Name == "koubei-landing" {
			if annotation("auth-url") != "" || path.Path != "/koubei" || path.Backend.Service.Port.Name != "http" {
				t.Errorf("%s: got %+v with the check %q", i.named(), path, annotation("auth-url"))
			}
			continue
		}
		checked++
		if !strings.HasPrefix(annotation("auth-url"), "http://koubei-landing-internal.default.svc.cluster.local:9090/auth/verify") || annotation("auth-method") != "GET" {
			t.Errorf("%s: the check is %s %s", i.named(), annotation("auth-method"), annotation("auth-url"))
		}
		if got := strings.Split(annotation("auth-response-headers"), ", "); !slices.Equal(got, identity) {
			t.Errorf("%s passes %q on, want %q", i.named(), got, identity)
		}
		if annotation("proxy-buffer-size") != "16k" {
			t.Errorf("%s: the shops and the assertion don't fit into proxy-buffer-size %s", i.named(), annotation("proxy-buffer-size"))
		}
	}
	if checked != 3 {
		t.Errorf("got %d checked Ingresses, want 3", checked)
	}
}

// TestKustomizeAcceptsTheManifests has kubectl's own kustomize build the manifests.
func TestKustomizeAcceptsTheManifests(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Fatal("kubectl is not installed: install Debian's package kubernetes-client")
	}
	overlay := t.TempDir()
	if err := os.CopyFS(filepath.Join(overlay, "base"), os.DirFS("kubernetes")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(overlay, "ingress.yaml"), slurp(t, "kubernetes/ingress.yaml"))
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [base, ingress.yaml]\n")
	for dir, want := range map[string]int{"kubernetes": 7, overlay: 11} {
		out, err := exec.Command(kubectl, "kustomize", dir).Output()
		if err != nil {
			t.Fatalf("kubectl kustomize: %v\n%s", err, out)
		}
		if n := len(strictly(t, "kubectl kustomize", out)); n != want {
			t.Errorf("%s: got %d objects, want %d", dir, n, want)
		}
	}
}
