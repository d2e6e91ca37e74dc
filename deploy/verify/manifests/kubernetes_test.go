package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kubernetes = deploy + "/kubernetes/"

// object is what every manifest begins with.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
}

// serviceMonitor and prometheusRule are the Prometheus operator's types as far
// as we use them. Its own Go types would be strict as well, and bring the whole
// of Kubernetes' client along.
type serviceMonitor struct {
	object
	Spec struct {
		JobLabel string `json:"jobLabel"`
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			ScrapeTimeout string `json:"scrapeTimeout"`
			Relabelings   []struct {
				SourceLabels []string `json:"sourceLabels"`
				TargetLabel  string   `json:"targetLabel"`
				Replacement  string   `json:"replacement"`
			} `json:"relabelings"`
		} `json:"endpoints"`
	} `json:"spec"`
}

type prometheusRule struct {
	object
	Spec struct {
		Groups []any `json:"groups"`
	} `json:"spec"`
}

// cluster is a rendered overlay.
type cluster struct {
	deployments map[string]*appsv1.Deployment
	jobs        map[string]*batchv1.Job
	services    map[string]*corev1.Service
	accounts    map[string]*corev1.ServiceAccount
	configs     map[string]*corev1.ConfigMap
	namespaces  map[string]*corev1.Namespace
	budgets     map[string]*policyv1.PodDisruptionBudget
	scalers     map[string]*autoscalingv2.HorizontalPodAutoscaler
	policies    map[string]*networkingv1.NetworkPolicy
	ingresses   map[string]*networkingv1.Ingress
	monitors    map[string]*serviceMonitor
	rules       map[string]*prometheusRule
	objects     []object
}

// rendered builds the overlay as kubectl apply -k does.
func rendered(t *testing.T, overlay string) *cluster {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), kubernetes+overlay)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{}
	c.decode(t, overlay, text)
	return c
}

// decode reads every document of text strictly: a field that its type does not
// have is an error, where kubectl would drop it with a warning at most.
func (c *cluster) decode(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, doc := range bytes.Split(append([]byte("\n"), text...), []byte("\n---\n")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		var o object
		if err := yaml.Unmarshal(doc, &o); err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		var err error
		switch o.APIVersion + "/" + o.Kind {
		case "v1/ServiceAccount":
			err = strict(doc, o, &c.accounts)
		case "v1/Service":
			err = strict(doc, o, &c.services)
		case "v1/ConfigMap":
			err = strict(doc, o, &c.configs)
		case "v1/Namespace":
			err = strict(doc, o, &c.namespaces)
		case "apps/v1/Deployment":
			err = strict(doc, o, &c.deployments)
		case "batch/v1/Job":
			err = strict(doc, o, &c.jobs)
		case "policy/v1/PodDisruptionBudget":
			err = strict(doc, o, &c.budgets)
		case "autoscaling/v2/HorizontalPodAutoscaler":
			err = strict(doc, o, &c.scalers)
		case "networking.k8s.io/v1/NetworkPolicy":
			err = strict(doc, o, &c.policies)
		case "networking.k8s.io/v1/Ingress":
			err = strict(doc, o, &c.ingresses)
		case "monitoring.coreos.com/v1/ServiceMonitor":
			err = strict(doc, o, &c.monitors)
		case "monitoring.coreos.com/v1/PrometheusRule":
			err = strict(doc, o, &c.rules)
		default:
			t.Errorf("%s: nothing here reads a %s of %s", where, o.Kind, o.APIVersion)
		}
		if err != nil {
			t.Errorf("%s: %s %s: %v", where, o.Kind, o.Metadata.Name, err)
		}
		c.objects = append(c.objects, o)
	}
}

func strict[T any](doc []byte, o object, into *map[string]*T) error {
	v := new(T)
	if err := yaml.UnmarshalStrict(doc, v); err != nil {
		return err
	}
	if err := kept(doc, v); err != nil {
		return err
	}
	if *into == nil {
		*into = map[string]*T{}
	}
	(*into)[o.Metadata.Name] = v
	return nil
}

// kept fails where the server would write down something else than doc says, such
// as 20k for 20000: every apply would then change the object, or say so.
func kept(doc []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var said, written any
	if err := errors.Join(yaml.Unmarshal(doc, &said), json.Unmarshal(b, &written)); err != nil {
		return err
	}
	return within("", said, written)
}

// within fails unless everything in said is in written too, which may hold more.
func within(path string, said, written any) error {
	switch s := said.(type) {
	case map[string]any:
		if w, ok := written.(map[string]any); ok {
			for k := range s {
				if err := within(path+"."+k, s[k], w[k]); err != nil {
					return err
				}
			}
			return nil
		}
	case []any:
		if w, ok := written.([]any); ok && len(w) == len(s) {
			for i := range s {
				if err := within(fmt.Sprintf("%s[%d]", path, i), s[i], w[i]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if !reflect.DeepEqual(said, written) {
		return fmt.Errorf("%s: %v is written down as %v", path, said, written)
	}
	return nil
}

func TestEveryManifestIsReadStrictly(t *testing.T) {
	c := &cluster{}
	err := filepath.WalkDir(kubernetes, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") || d.Name() == "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c.decode(t, path, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.objects) < 25 {
		t.Errorf("%d objects: this proves nothing", len(c.objects))
	}
	// A field that is misspelt must be seen.
	bad := []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replica: 1}\n")
	if strict(bad, object{}, &c.deployments) == nil {
		t.Error("a misspelt field is not seen: this proves nothing")
	}
	// And a quantity that is spelt otherwise.
	odd := []byte("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\nspec: {maxUnavailable: 1}\n")
	if err := strict(odd, object{}, &c.budgets); err != nil {
		t.Errorf("as the server spells it: %v", err)
	}
	odd = []byte("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}\nspec: {metrics: [{external: {target: {averageValue: \"20000\"}}}]}\n")
	if strict(odd, object{}, &c.scalers) == nil {
		t.Error("a quantity that the server spells otherwise is not seen: this proves nothing")
	}
}

func TestTheExampleRenders(t *testing.T) {
	c := rendered(t, "example")
	for name := range stages(t) {
		if c.deployments[name] == nil {
			t.Errorf("there is no Deployment %s", name)
		}
	}
	if len(c.rules) != 1 || len(c.monitors) != 1 || len(c.ingresses) != 1 {
		t.Errorf("%d rules, %d monitors, %d ingresses", len(c.rules), len(c.monitors), len(c.ingresses))
	}
	jobs := rendered(t, "example/prepare")
	if jobs.jobs["topics"] == nil || jobs.jobs["migrate"] == nil {
		t.Error("a job is missing")
	}
	// Both name the same ConfigMap, or the jobs prepare another cluster than the
	// one that the stages reach.
	for name := range jobs.configs {
		if c.configs[name] == nil {
			t.Errorf("the jobs have a ConfigMap of their own, %s", name)
		}
	}
	for name, ns := range c.namespaces {
		if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("namespace %s takes pods that are not restricted", name)
		}
	}
}
