package manifests

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// home is the namespace of our pods.
const home = "halo-connector"

// peer is one end of a connection.
type peer struct {
	namespace string // "": outside the cluster
	labels    map[string]string
	around    map[string]string // the labels of its namespace
	ports     map[string]int32
	ip        netip.Addr
}

// peers are our pods, and those around us with whom a policy has to do or had
// better not.
func peers(t *testing.T) map[string]peer {
	t.Helper()
	all := map[string]peer{}
	add := func(name, namespace, address string, labels, around map[string]string) {
		all[name] = peer{
			namespace: namespace,
			labels:    labels,
			around:    with(around, "kubernetes.io/metadata.name", namespace),
			ports:     map[string]int32{},
			ip:        netip.MustParseAddr(address),
		}
	}
	for name, p := range pods(t) {
		add(name, home, "10.1.0.1", map[string]string{"app.kubernetes.io/name": name}, nil)
		for _, port := range p.Containers[0].Ports {
			all[name].ports[port.Name] = port.ContainerPort
		}
	}
	allowed := map[string]string{"worksights/halo-control-api": "allowed"}
	add("dns", "kube-system", "10.1.0.2", map[string]string{"k8s-app": "kube-dns"}, nil)
	add("kubernetes", "kube-system", "10.1.0.2", map[string]string{"component": "kube-apiserver"}, nil)
	add("kafka", "kafka", "10.1.0.2", nil, nil)
	add("clickhouse", "clickhouse", "10.1.0.2", nil, nil)
	add("prometheus", "monitoring", "10.1.0.2", nil, nil)
	add("proxy", "ingress-nginx", "10.1.0.2", nil, nil)
	add("collector", "observability", "10.1.0.2", nil, nil)
	add("caller", "worksights", "10.1.0.2", allowed, allowed)
	add("pod without the label", "worksights", "10.1.0.2", nil, allowed)
	add("namespace without the label", "other", "10.1.0.2", allowed, nil)
	add("pod at home", home, "10.1.0.2", nil, nil)
	for name, address := range map[string]string{
		"Halo": "20.50.60.70", "Halo by IPv6": "2606:4700::1111", "machine nearby": "192.168.7.7", "metadata": "169.254.169.254",
		"platform": "168.63.129.16", "metadata by IPv6": "fd00:ec2::254", "6to4": "2002:a9fe:a9fe::1",
	} {
		add(name, "", address, nil, nil)
	}
	return all
}

func with(m map[string]string, k, v string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// policies judge a connection as Kubernetes says that a network should.
type policies map[string]*networkingv1.NetworkPolicy

func (all policies) let(from, to peer, protocol corev1.Protocol, port int32) bool {
	out, in := true, true
	if from.namespace == home {
		out = all.one(from, networkingv1.PolicyTypeEgress, func(s networkingv1.NetworkPolicySpec) bool {
			return slices.ContainsFunc(s.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
				return to.among(r.To) && to.listens(r.Ports, protocol, port)
			})
		})
	}
	if to.namespace == home {
		in = all.one(to, networkingv1.PolicyTypeIngress, func(s networkingv1.NetworkPolicySpec) bool {
			return slices.ContainsFunc(s.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
				return from.among(r.From) && to.listens(r.Ports, protocol, port)
			})
		})
	}
	return out && in
}

// one reports whether a policy about p lets something through, or none is about
// it: then everything passes.
func (all policies) one(p peer, kind networkingv1.PolicyType, lets func(networkingv1.NetworkPolicySpec) bool) bool {
	about, through := false, false
	for _, policy := range all {
		if slices.Contains(policy.Spec.PolicyTypes, kind) && selects(&policy.Spec.PodSelector, p.labels) {
			about, through = true, through || lets(policy.Spec)
		}
	}
	return through || !about
}

func selects(s *metav1.LabelSelector, l map[string]string) bool {
	chosen, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		panic(err) // the server would not have taken it
	}
	return chosen.Matches(labels.Set(l))
}

// among reports whether p is one of those that a rule names; one that names
// nobody means all.
func (p peer) among(named []networkingv1.NetworkPolicyPeer) bool {
	return len(named) == 0 || slices.ContainsFunc(named, func(n networkingv1.NetworkPolicyPeer) bool {
		within := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(p.ip) }
		switch {
		case n.IPBlock != nil:
			return within(n.IPBlock.CIDR) && !slices.ContainsFunc(n.IPBlock.Except, within)
		case p.namespace == "":
			return false
		case n.NamespaceSelector == nil && p.namespace != home, n.NamespaceSelector != nil && !selects(n.NamespaceSelector, p.around):
			return false
		}
		return n.PodSelector == nil || selects(n.PodSelector, p.labels)
	})
}

// listens reports whether a rule lets somebody through to this port of p, whose
// names for its ports count.
func (p peer) listens(named []networkingv1.NetworkPolicyPort, protocol corev1.Protocol, port int32) bool {
	return len(named) == 0 || slices.ContainsFunc(named, func(n networkingv1.NetworkPolicyPort) bool {
		of := corev1.ProtocolTCP
		if n.Protocol != nil {
			of = *n.Protocol
		}
		switch {
		case of != protocol:
			return false
		case n.Port == nil:
			return true
		case n.Port.Type == intstr.String:
			return p.ports[n.Port.StrVal] == port
		case n.EndPort != nil:
			return n.Port.IntVal <= port && port <= *n.EndPort
		}
		return n.Port.IntVal == port
	})
}

// TestWhoReachesWhom asks all policies together about every pair of peers, each
// of them at each port. What is not in the list must not pass.
func TestWhoReachesWhom(t *testing.T) {
	want := []string{
		"dns < connect ingest migrate pod at home processor sink topics: 53 53/UDP",
		"kafka < connect ingest processor sink topics: 9092 9093",
		"clickhouse < connect migrate sink: 8123 8443 9000 9440",
		"Halo < connect: 443",
		"Halo by IPv6 < connect: 443",
		"connect < caller connect: 8081",
		"ingest < proxy: 8080",
		"connect < prometheus: 9104",
		"ingest < prometheus: 9101",
		"processor < prometheus: 9102",
		"sink < prometheus: 9103",
	}
	around := peers(t)
	ports := []int32{22, 53, 80, 443, 4317, 4318, 6443, 8080, 8081, 8123, 8443, 9000, 9092, 9093, 9101, 9102, 9103, 9104, 9440}
	asked := 0
	passing := func(t *testing.T, overlays ...string) []string {
		all := policies{}
		for _, overlay := range overlays {
			maps.Copy(all, rendered(t, overlay).policies)
		}
		// By whom is called and at which ports, who may.
		callers := map[string][]string{}
		for _, to := range slices.Sorted(maps.Keys(around)) {
			for _, from := range slices.Sorted(maps.Keys(around)) {
				if around[from].namespace != home && around[to].namespace != home {
					continue
				}
				var through []string
				for _, port := range ports {
					for protocol, mark := range map[corev1.Protocol]string{corev1.ProtocolTCP: "", corev1.ProtocolUDP: "/UDP"} {
						asked++
						if all.let(around[from], around[to], protocol, port) {
							through = append(through, fmt.Sprint(port, mark))
						}
					}
				}
				if len(through) > 0 {
					slices.Sort(through)
					at := strings.Join(through, " ")
					callers[to+"\x00"+at] = append(callers[to+"\x00"+at], from)
				}
			}
		}
		var lines []string
		for key, from := range callers {
			to, at, _ := strings.Cut(key, "\x00")
			lines = append(lines, to+" < "+strings.Join(from, " ")+": "+at)
		}
		return lines
	}
	compare := func(t *testing.T, got, want []string) {
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("passes: %s", line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("does not pass: %s", line)
			}
		}
	}
	// The base, where engines are namespaces; the example has addresses.
	compare(t, passing(t, "base"), want)
	var follow []string
	for name, p := range pods(t) {
		if slices.Contains(variables(t, p.Containers[0].Command...), "OTEL_EXPORTER_OTLP_ENDPOINT") {
			follow = append(follow, name)
		}
	}
	slices.Sort(follow)
	compare(t, passing(t, "base", "tracing"), append(want, "collector < "+strings.Join(follow, " ")+": 4318"))
	if open := passing(t); len(open) < 20 {
		t.Errorf("without a policy %d lines pass: this proves nothing", len(open))
	}
	t.Logf("%d questions", asked)
}

// TestEveryPolicyIsAboutPodsThatThereAre: a name that is misspelt would close
// what it is to open.
func TestEveryPolicyIsAboutPodsThatThereAre(t *testing.T) {
	all := pods(t)
	for _, overlay := range []string{"base", "tracing"} {
		for _, p := range rendered(t, overlay).policies {
			for _, e := range p.Spec.PodSelector.MatchExpressions {
				for _, name := range e.Values {
					if _, ok := all[name]; !ok {
						t.Errorf("policy %s is about %s, which is not there", p.Name, name)
					}
				}
			}
			if name, ok := p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"]; ok {
				if _, ok := all[name]; !ok {
					t.Errorf("policy %s is about %s, which is not there", p.Name, name)
				}
			}
		}
	}
}

// TestConnectReachesNothingThatItRefuses: what connect would not dial, nobody who
// took it over may dial either.
func TestConnectReachesNothingThatItRefuses(t *testing.T) {
	b, err := os.ReadFile(root + "/connect/halopsa/guard.go")
	if err != nil {
		t.Fatal(err)
	}
	var refused, left []string
	for _, m := range regexp.MustCompile(`(?m)^\t\t"([0-9a-f.:]+/\d+)",`).FindAllStringSubmatch(string(b), -1) {
		refused = append(refused, m[1])
	}
	if len(refused) < 15 {
		t.Fatalf("%d ranges: this proves nothing", len(refused))
	}
	for _, e := range rendered(t, "base").policies["connect-to-halo"].Spec.Egress {
		for _, to := range e.To {
			left = append(left, to.IPBlock.Except...)
		}
	}
	slices.Sort(refused)
	slices.Sort(left)
	if !slices.Equal(refused, left) {
		t.Errorf("connect refuses\n%v, its policy leaves out\n%v", refused, left)
	}
}
