package manifests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/yaml"

	"github.com/worksights/halo-connector/schemas"
)

func TestBudgetsAndScalersAreOfStagesThatThereAre(t *testing.T) {
	c := rendered(t, "example")
	specs := map[string]int32{}
	for _, s := range schemas.NewTopics(schemas.DefaultTopicPrefix).Specs() {
		specs[s.Name] = s.Partitions
	}
	for name, s := range c.scalers {
		if c.deployments[s.Spec.ScaleTargetRef.Name] == nil || s.Spec.ScaleTargetRef.Name != name {
			t.Errorf("scaler %s: there is no Deployment %s", name, s.Spec.ScaleTargetRef.Name)
			continue
		}
		if c.deployments[name].Spec.Replicas != nil {
			t.Errorf("%s: every apply would undo what the scaler did", name)
		}
		if c.budgets[name] == nil || s.Spec.MinReplicas == nil || *s.Spec.MinReplicas < 2 {
			t.Errorf("%s may be taken away altogether", name)
		}
		for _, m := range s.Spec.Metrics {
			if m.Type != autoscalingv2.ExternalMetricSourceType {
				continue
			}
			topic := m.External.Metric.Selector.MatchLabels["topic"]
			if specs[topic] == 0 {
				t.Errorf("scaler %s: there is no topic %q", name, topic)
			}
			if s.Spec.MaxReplicas > specs[topic] {
				t.Errorf("scaler %s: %d members of a topic of %d partitions", name, s.Spec.MaxReplicas, specs[topic])
			}
			if b, err := os.ReadFile(root + "/internal/metric/metric.go"); err != nil || !strings.Contains(string(b), `"`+m.External.Metric.Name+`"`) {
				t.Errorf("scaler %s: we have no metric %s, %v", name, m.External.Metric.Name, err)
			}
		}
	}
	for name, b := range c.budgets {
		if c.deployments[name] == nil || b.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != name {
			t.Errorf("budget %s is of nothing", name)
		}
	}
	if len(c.scalers) != 3 || len(c.budgets) != 4 {
		t.Errorf("%d scalers, %d budgets", len(c.scalers), len(c.budgets))
	}
}

// TestTheAlertsOfKubernetesAreThoseOfPrometheus: one file is the source of both, by
// the script that also writes them for somebody else's jobs and runbook.
func TestTheAlertsOfKubernetesAreThoseOfPrometheus(t *testing.T) {
	script := func(kind string, env ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), deploy+"/prometheus/rules.sh", kind)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("rules.sh %s %v: %v", kind, env, err)
		}
		return out
	}
	for kind, file := range map[string]string{"prometheus": deploy + "/prometheus/rules.yml", "kubernetes": kubernetes + "monitoring/prometheusrule.yaml"} {
		if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, script(kind)) {
			t.Errorf("%s is not what rules.sh writes, %v: go generate ./manifests in deploy/verify", file, err)
		}
	}

	var source, made struct {
		Groups []any `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(script("prometheus", "RUNBOOK_URL=https://wiki.example.com/halo", "JOB_PREFIX=work."), &source); err != nil {
		t.Fatal(err)
	}
	c := &cluster{}
	c.decode(t, "rules.sh kubernetes", script("kubernetes", "RUNBOOK_URL=https://wiki.example.com/halo", "JOB_PREFIX=work."))
	if c.rules["halo-connector"] == nil || len(source.Groups) == 0 {
		t.Fatal("there are no alerts: this proves nothing")
	}
	if made.Groups = c.rules["halo-connector"].Spec.Groups; !reflect.DeepEqual(made, source) {
		t.Error("the two forms do not say the same")
	}
	text := fmt.Sprint(source)
	for _, old := range []string{"runbook.md", "halo-("} {
		if strings.Contains(text, old) {
			t.Errorf("with an address and a prefix of one's own, the rules still say %q", old)
		}
	}
	for _, own := range []string{"https://wiki.example.com/halo#halokept", `job=~"work.(`} {
		if !strings.Contains(text, own) {
			t.Errorf("the rules do not say %q", own)
		}
	}
	for _, bad := range []string{"JOB_PREFIX=a|b", `RUNBOOK_URL=https://a"b`} {
		cmd := exec.CommandContext(t.Context(), deploy+"/prometheus/rules.sh")
		if cmd.Env = append(os.Environ(), bad); cmd.Run() == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

//go:generate sh -c "../../prometheus/rules.sh kubernetes > ../../kubernetes/monitoring/prometheusrule.yaml"

func TestPrometheusFindsEveryStage(t *testing.T) {
	c := rendered(t, "example")
	m := c.monitors["halo-connector"]
	if len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Path != "/metrics" {
		t.Fatalf("%+v", m.Spec.Endpoints)
	}
	for name := range stages(t) {
		s := c.services[name]
		for k, v := range m.Spec.Selector.MatchLabels {
			if s.Labels[k] != v {
				t.Errorf("Service %s is not chosen: %s=%q", name, k, s.Labels[k])
			}
		}
		if s.Labels[m.Spec.JobLabel] != name {
			t.Errorf("Service %s has no label %s, and its series no job", name, m.Spec.JobLabel)
		}
		if r := m.Spec.Endpoints[0].Relabelings; len(r) != 1 || r[0].TargetLabel != "job" || r[0].Replacement != "halo-$1" {
			t.Errorf("%+v: the rules look for jobs behind halo-", r)
		}
		found := false
		for _, p := range s.Spec.Ports {
			found = found || p.Name == m.Spec.Endpoints[0].Port
		}
		if !found {
			t.Errorf("Service %s has no port %s", name, m.Spec.Endpoints[0].Port)
		}
	}
}

// TestTheReadmeMakesEverySecret: a pod whose Secret is not there never starts, and
// an ingress without its own shows a certificate that Halo does not take.
func TestTheReadmeMakesEverySecret(t *testing.T) {
	all := commands(t)
	made := func(secret, key string) bool {
		return slices.ContainsFunc(all, func(line string) bool {
			return strings.Contains(line, " create secret generic "+secret+" ") && regexp.MustCompile(`--from-(literal|file)='?`+regexp.QuoteMeta(key)).MatchString(line)
		})
	}
	for name, p := range pods(t) {
		for _, e := range p.Containers[0].Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !made(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key) {
				t.Errorf("%s: the README does not make %s in Secret %s", name, e.ValueFrom.SecretKeyRef.Key, e.ValueFrom.SecretKeyRef.Name)
			}
		}
		for _, v := range p.Volumes {
			for _, item := range v.Secret.Items {
				if !made(v.Secret.SecretName, item.Key) {
					t.Errorf("%s: the README does not make %s in Secret %s", name, item.Key, v.Secret.SecretName)
				}
			}
		}
	}
	certificates := 0
	for name, i := range rendered(t, "example").ingresses {
		for _, tls := range i.Spec.TLS {
			certificates++
			if !slices.ContainsFunc(all, func(line string) bool { return strings.Contains(line, " create secret tls "+tls.SecretName+" ") }) {
				t.Errorf("Ingress %s: the README does not make Secret %s", name, tls.SecretName)
			}
		}
	}
	if certificates == 0 {
		t.Error("no ingress ends TLS: this proves nothing")
	}
}

// TestAnUpgradeReachesReadersBeforeWriters: a record of a version that its reader
// does not know is lost to the timeline. Who reads what of whom is in acls.
func TestAnUpgradeReachesReadersBeforeWriters(t *testing.T) {
	const apply = "kubectl apply -k deploy/kubernetes/example -l "
	all := commands(t)
	at := slices.IndexFunc(all, func(line string) bool { return strings.HasPrefix(line, "for stage in ") })
	if at < 1 || at+2 >= len(all) {
		t.Fatal("the README upgrades no stage after another")
	}
	if all[at-1] != apply+"'!app.kubernetes.io/name'" || all[at+1] != apply+"app.kubernetes.io/name=$stage" || !strings.Contains(all[at+2], " rollout status ") {
		t.Fatalf("want what belongs to no stage, and then each stage, awaited:\n%s", strings.Join(all[at-1:at+3], "\n"))
	}
	order := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(all[at], "for stage in "), "; do"))
	back := slices.Clone(order)
	slices.Reverse(back)
	for _, way := range [][]string{order, back} {
		compose := "for stage in " + strings.Join(way, " ") + "; do docker compose up -d --wait $stage; done"
		if !slices.ContainsFunc(all, func(line string) bool { return strings.Contains(line, compose) }) {
			t.Errorf("with Compose no stages follow in the order %v", way)
		}
	}
	for _, o := range rendered(t, "example").objects {
		if name, ok := o.Metadata.Labels["app.kubernetes.io/name"]; ok && !slices.Contains(order, name) {
			t.Errorf("no command of an upgrade applies the %s %s", o.Kind, o.Metadata.Name)
		}
	}
	pairs := 0
	for _, r := range rights(t) {
		for _, w := range rights(t) {
			reader, writer := slices.Index(order, r.principal), slices.Index(order, w.principal)
			if r.operation != "Read" || w.operation != "Write" || r.kind != "topic" || r.name != w.name || r.principal == w.principal {
				continue
			}
			if r.principal == "connect" && w.principal == "ingest" {
				continue // it looks at what arrived for whoever asks; nothing is settled by it
			}
			pairs++
			if reader < 0 || writer < 0 || reader > writer {
				t.Errorf("%s reads of %s what %s writes, and the order is %v", r.principal, r.name, w.principal, order)
			}
		}
	}
	if pairs < 5 {
		t.Errorf("%d readers of another's topic: this proves nothing", pairs)
	}
}
