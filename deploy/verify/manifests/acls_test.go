package manifests

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/schemas"
)

// right is one line of deploy/kafka/acls, taken apart.
type right struct{ principal, operation, kind, name string }

func rights(t *testing.T) []right {
	t.Helper()
	b, err := os.ReadFile(deploy + "/kafka/acls")
	if err != nil {
		t.Fatal(err)
	}
	var all []right
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			t.Fatalf("not PRINCIPAL OPERATIONS RESOURCES: %s", line)
		}
		for operation := range strings.SplitSeq(fields[1], ",") {
			for _, resource := range fields[2:] {
				kind, name, _ := strings.Cut(resource, ":")
				all = append(all, right{fields[0], operation, kind, name})
			}
		}
	}
	if len(all) < 15 {
		t.Fatalf("%d rights: this proves nothing", len(all))
	}
	return all
}

// TestEachStageMayDoWhatItDoesAndNoMore is the list of rights a second time,
// with the names of the code: a topic that is renamed fails it, and so does a
// right that is added without being said here.
func TestEachStageMayDoWhatItDoesAndNoMore(t *testing.T) {
	topics := schemas.NewTopics("")
	var want []right
	may := func(principal, operation, kind string, names ...string) {
		for _, name := range names {
			want = append(want, right{principal, operation, kind, name})
		}
	}
	may("ingest", "Write", "topic", topics.Events, topics.Deliveries, topics.Reached)
	may("ingest", "Read", "topic", topics.Connections)
	may("processor", "Read", "topic", topics.Events, topics.Mappings, topics.Erasures)
	may("processor", "Read", "group", ".processor")
	may("processor", "Write", "topic", topics.Activities, topics.Skipped, topics.Dead)
	may("sink", "Read", "topic", topics.Activities, topics.Skipped, topics.Erasures)
	may("sink", "Read", "group", ".sink")
	may("sink", "Write", "topic", topics.Dead)
	for _, operation := range []string{"Read", "Write"} {
		may("connect", operation, "topic", topics.Vault, topics.Connections, topics.Mappings, topics.Erasures, topics.Changes)
	}
	may("connect", "DescribeConfigs", "topic", topics.Vault, topics.Connections, topics.Mappings, topics.Erasures)
	may("ingest", "DescribeConfigs", "topic", topics.Connections)
	may("processor", "DescribeConfigs", "topic", topics.Mappings, topics.Erasures, topics.Activities, topics.Skipped, topics.Dead)
	may("sink", "DescribeConfigs", "topic", topics.Erasures)
	may("connect", "Read", "topic", topics.Events, topics.Deliveries, topics.Reached)
	may("connect", "Read", "group", ".connect")
	for _, operation := range []string{"Create", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"} {
		may("haloctl", operation, "topic", "*")
	}
	got := rights(t)
	for _, r := range got {
		if !slices.Contains(want, r) {
			t.Errorf("%+v is granted and not known here", r)
		}
		if r.name == topics.Vault && r.principal != "connect" {
			t.Errorf("%s touches the vault", r.principal)
		}
	}
	for _, r := range want {
		if !slices.Contains(got, r) {
			t.Errorf("%+v is not granted", r)
		}
	}
	for _, spec := range topics.Specs() {
		if !slices.ContainsFunc(got, func(r right) bool { return r.kind == "topic" && r.name == spec.Name }) {
			t.Errorf("nobody may use topic %s", spec.Name)
		}
	}
}

// TestEveryPrincipalHasAUserInCompose: and its program the password of that
// user.
func TestEveryPrincipalHasAUserInCompose(t *testing.T) {
	p := project(t)
	users, err := os.ReadFile(p.Secrets["kafka-users"].File)
	if err != nil {
		t.Fatal(err)
	}
	password := map[string]string{}
	for line := range strings.Lines(string(users)) {
		f := strings.Fields(line)
		password[f[0]] = f[1]
	}
	uses := map[string]bool{}
	for name, s := range p.Services {
		env := environment(p, s)
		if user := env["KAFKA_SASL_USER"]; user != "" {
			uses[user] = true
			mounted, err := os.ReadFile(env["KAFKA_SASL_PASSWORD_FILE"])
			if err != nil || strings.TrimSpace(string(mounted)) != password[user] {
				t.Errorf("%s does not have the password of user %s: %v", name, user, err)
			}
		}
	}
	for _, r := range rights(t) {
		if password[r.principal] == "" || !uses[r.principal] {
			t.Errorf("principal %s has no user, or none that is used", r.principal)
		}
	}
}

// TestApplyShMakesTheCommands runs the script with commands that only note how
// they were called.
func TestApplyShMakesTheCommands(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kafka-acls.sh", "kafka-configs.sh"} {
		text := "#!/bin/sh\necho " + name + " \"$@\" >>" + dir + "/calls\nwhile [ $# -gt 0 ]; do [ \"$1\" != --add-config-file ] || cat \"$2\" >>" + dir + "/calls; shift; done\n"
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/users", []byte("ingest secret1\nsink secret2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	apply := exec.Command("bash", deploy+"/kafka/apply.sh")
	apply.Env = append(os.Environ(), "KAFKA_BIN="+dir, "TOPIC_PREFIX=eu.", "KAFKA_BOOTSTRAP=kafka:9092", "SCRAM_PASSWORDS="+dir+"/users")
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(dir + "/calls")
	if err != nil {
		t.Fatal(err)
	}
	calls := string(b)
	for _, want := range []string{
		"kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:ingest --operation Write --topic eu.events --topic eu.deliveries --topic eu.reached\n",
		"--allow-principal User:processor --operation Read --topic eu.events --group eu.processor\n",
		"--allow-principal User:haloctl --operation Create --operation Alter --operation Describe --operation DescribeConfigs --operation AlterConfigs --topic eu. --resource-pattern-type prefixed\n",
		"SCRAM-SHA-512=password=secret2\n",
	} {
		if !strings.Contains(calls, want) {
			t.Errorf("no call %q in\n%s", want, calls)
		}
	}
	for line := range strings.Lines(calls) {
		if strings.HasPrefix(line, "kafka-") && strings.Contains(line, "secret") {
			t.Errorf("a password is an argument: %s", line)
		}
	}
	for _, broken := range []string{"TOPIC_PREFIX=", "KAFKA_BIN=/nowhere"} {
		apply := exec.Command("bash", deploy+"/kafka/apply.sh")
		apply.Env = append(os.Environ(), "KAFKA_BIN="+dir, broken)
		if out, err := apply.CombinedOutput(); err == nil {
			t.Errorf("%s is taken: %s", broken, out)
		}
	}
}
