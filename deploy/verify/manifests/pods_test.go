package manifests

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/worksights/halo-connector/internal/daemon"
)

// pods are the pods of the stages and of the jobs, by name, with the ConfigMaps
// that they see.
func pods(t *testing.T) map[string]pod {
	t.Helper()
	all := map[string]pod{}
	stages, jobs := rendered(t, "example"), rendered(t, "example/prepare")
	for name, d := range stages.deployments {
		all[name] = pod{d.Spec.Template.Spec, stages}
	}
	for name, j := range jobs.jobs {
		all[name] = pod{j.Spec.Template.Spec, jobs}
	}
	if len(all) < 6 {
		t.Fatalf("%d pods: this proves nothing", len(all))
	}
	return all
}

type pod struct {
	corev1.PodSpec
	in *cluster
}

func TestEveryProgramTakesTheEnvironmentThatKubernetesGivesIt(t *testing.T) {
	for name, p := range pods(t) {
		t.Run(name, func(t *testing.T) {
			c := p.Containers[0]
			env := map[string]string{}
			var shared []string
			for _, from := range c.EnvFrom {
				config := p.in.configs[from.ConfigMapRef.Name]
				if config == nil {
					t.Fatalf("there is no ConfigMap %s", from.ConfigMapRef.Name)
				}
				for k, v := range config.Data {
					env[k] = v
					shared = append(shared, k)
				}
			}
			var own []string // of the pod, put into the variables below it
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
					own = append(own, "$("+e.Name+")", "10.0.0.7")
					continue
				}
				env[e.Name] = strings.NewReplacer(own...).Replace(e.Value)
				if e.ValueFrom != nil {
					env[e.Name] = map[string]string{
						"KAFKA_SASL_PASSWORD":  "secret",
						"CLICKHOUSE_DSN":       "https://user:secret@clickhouse:8443/worksights",
						"CLICKHOUSE_ERASE_DSN": "https://erase:secret@clickhouse:8443/worksights",
					}[e.Name]
				}
			}
			accepts(t, c.Command, env, shared...)
		})
	}
}

// TestTheSharedConfigurationIsRead: what stands in connector.env is read by some
// program at least.
func TestTheSharedConfigurationIsRead(t *testing.T) {
	var known []string
	for _, p := range pods(t) {
		known = append(known, variables(t, p.Containers[0].Command...)...)
	}
	for _, config := range rendered(t, "example").configs {
		for name := range config.Data {
			if !slices.Contains(known, name) {
				t.Errorf("no program reads %s", name)
			}
		}
	}
}

// TestEveryPodIsRestricted holds pods to the profile "restricted" of the Pod
// Security Standards, and beyond it to a read-only file system and no token.
func TestEveryPodIsRestricted(t *testing.T) {
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	for name, p := range pods(t) {
		s := p.SecurityContext
		if s == nil || !is(s.RunAsNonRoot, true) || s.RunAsUser == nil || *s.RunAsUser == 0 ||
			s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod is not restricted", name)
		}
		if !is(p.AutomountServiceAccountToken, false) || p.HostNetwork || p.HostPID || p.HostIPC {
			t.Errorf("%s reaches Kubernetes or its host", name)
		}
		for _, v := range p.Volumes {
			if v.Secret == nil {
				t.Errorf("%s: volume %s is of a kind that is not restricted, or not needed", name, v.Name)
			} else if mode := v.Secret.DefaultMode; mode == nil || *mode&0o037 != 0 {
				t.Errorf("%s: volume %s can be read by others", name, v.Name)
			}
		}
		for _, c := range p.Containers {
			s := c.SecurityContext
			if s == nil || !is(s.AllowPrivilegeEscalation, false) || !is(s.ReadOnlyRootFilesystem, true) ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s: container %s is not restricted", name, c.Name)
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				t.Errorf("%s: container %s may use everything, or is promised nothing", name, c.Name)
			}
			if !pinned.MatchString(c.Image) {
				t.Errorf("%s: %s is not pinned", name, c.Image)
			}
		}
	}
}

func TestEveryStageIsProbedWhereItAnswers(t *testing.T) {
	c := rendered(t, "example")
	for name := range stages(t) {
		pod := c.deployments[name].Spec.Template.Spec
		container := pod.Containers[0]
		ports := map[string]int32{}
		for _, p := range container.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, e := range container.Env {
			if port, ok := map[string]string{"ADMIN_ADDR": "admin", "LISTEN_ADDR": "http"}[e.Name]; ok && e.Value != addr(ports[port]) {
				t.Errorf("%s: %s=%s, and port %s is %d", name, e.Name, e.Value, port, ports[port])
			}
		}
		live, ready := container.LivenessProbe, container.ReadinessProbe
		if live == nil || live.HTTPGet == nil || live.HTTPGet.Path != "/healthz" || live.HTTPGet.Port.StrVal != "admin" {
			t.Errorf("%s: liveness %+v", name, live)
		}
		if ready == nil || ready.HTTPGet == nil || ready.HTTPGet.Path != "/readyz" || ready.HTTPGet.Port.StrVal != "admin" {
			t.Errorf("%s: readiness %+v", name, ready)
		}
		service := c.services[name]
		if service == nil || service.Spec.Selector["app.kubernetes.io/name"] != name {
			t.Errorf("no Service leads to %s", name)
			continue
		}
		for _, p := range service.Spec.Ports {
			if _, ok := ports[p.TargetPort.StrVal]; !ok {
				t.Errorf("%s: the Service leads to a port %q that there is not", name, p.TargetPort.StrVal)
			}
		}
	}
}

// TestNewPodsAreSpreadAmongThemselves: counted with those that a rollout is about
// to take away, the new pods of a stage end up in one zone, or on one node.
func TestNewPodsAreSpreadAmongThemselves(t *testing.T) {
	c := rendered(t, "example")
	for name := range stages(t) {
		d := c.deployments[name].Spec
		var over []string
		for _, s := range d.Template.Spec.TopologySpreadConstraints {
			over = append(over, s.TopologyKey)
			if !reflect.DeepEqual(s.LabelSelector, d.Selector) {
				t.Errorf("%s: over %s others are counted", name, s.TopologyKey)
			}
			if !slices.Equal(s.MatchLabelKeys, []string{appsv1.DefaultDeploymentUniqueLabelKey}) {
				t.Errorf("%s: over %s pods of the version before are counted", name, s.TopologyKey)
			}
			// A stage in one zone is better than one that is not there.
			if s.WhenUnsatisfiable != corev1.ScheduleAnyway {
				t.Errorf("%s: %s of a pod that finds no place", name, s.WhenUnsatisfiable)
			}
		}
		if !slices.Equal(over, []string{corev1.LabelTopologyZone, corev1.LabelHostname}) {
			t.Errorf("%s is spread over %v", name, over)
		}
	}
}

func addr(port int32) string {
	return ":" + strconv.Itoa(int(port))
}

func TestKubernetesLetsAStageStopInItsOwnTime(t *testing.T) {
	c := rendered(t, "example")
	for name, components := range stages(t) {
		spec := c.deployments[name].Spec.Template.Spec
		need := time.Duration(components) * daemon.DefaultDrain
		if l := spec.Containers[0].Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
			need += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
		} else if name == "ingest" {
			t.Error("ingest stops while proxies still send")
		}
		grace := 30 * time.Second // Kubernetes' default
		if s := spec.TerminationGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		if grace <= need {
			t.Errorf("%s is killed after %v and may need %v", name, grace, need)
		}
	}
}
