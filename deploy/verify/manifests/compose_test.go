package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/embedded/engine"
)

// project loads compose.yaml as docker compose does, from a copy of deploy/ for
// which passwords were drawn.
func project(t *testing.T) *types.Project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deploy")
	for _, part := range []string{"compose", "kafka", "clickhouse", "prometheus", "grafana"} {
		if _, err := os.Stat(filepath.Join(deploy, part)); err != nil {
			t.Error(err)
			continue
		}
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(deploy, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"compose.yaml", "Dockerfile"} {
		b, err := os.ReadFile(filepath.Join(deploy, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("bash", filepath.Join(dir, "compose/secrets.sh")).CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithProfiles([]string{"*"}), cli.WithEnv([]string{"PUBLIC_INGEST_URL=https://hooks.example"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Services) < 12 {
		t.Fatalf("%d services: this proves nothing", len(p.Services))
	}
	return p
}

// job says whether a service is one that ends.
func job(s types.ServiceConfig) bool { return s.Restart == "no" }

// environment is what a service's program finds. A path at which Docker mounts
// a secret is the path of the file that it mounts there.
func environment(p *types.Project, s types.ServiceConfig) map[string]string {
	mounted := map[string]string{}
	for _, secret := range s.Secrets {
		at := secret.Target
		if at == "" {
			at = secret.Source
		}
		mounted["/run/secrets/"+filepath.Base(at)] = p.Secrets[secret.Source].File
	}
	env := map[string]string{}
	for name, value := range s.Environment {
		if value == nil {
			continue
		}
		env[name] = *value
		if file := mounted[*value]; file != "" {
			env[name] = file
		}
	}
	return env
}

// TestEachImageIsBuiltByOneService: Compose labels an image with the service that
// it was built for. Were it built for two, the second build would replace the
// first, and the next "up" would start anew whoever runs that, all stages at once.
func TestEachImageIsBuiltByOneService(t *testing.T) {
	builders := map[string]int{}
	for name, s := range project(t).Services {
		if !strings.HasPrefix(s.Image, "halo-connector") {
			continue
		}
		builders[s.Image] += 0
		if s.Build != nil {
			builders[s.Image]++
		}
		// The others would look for it in a registry, and take who has that name there.
		if s.PullPolicy != types.PullPolicyNever {
			t.Errorf("%s pulls its image: %q", name, s.PullPolicy)
		}
	}
	for image, n := range builders {
		if n != 1 {
			t.Errorf("%s is built by %d services", image, n)
		}
	}
	if len(builders) != 2 {
		t.Errorf("%d images of ours: this proves nothing", len(builders))
	}
}

func TestEveryProgramTakesTheEnvironmentThatComposeGivesIt(t *testing.T) {
	checked := 0
	p := project(t)
	for name, s := range p.Services {
		if !strings.HasPrefix(s.Image, "halo-connector") || s.Entrypoint != nil {
			continue
		}
		command := []string(s.Command)
		if strings.HasPrefix(s.Image, "halo-connector-tools:") {
			command = append([]string{"haloctl"}, command...)
		}
		env := environment(p, s)
		t.Run(name, func(t *testing.T) { accepts(t, command, env) })
		// Whoever may inspect a container reads its variables.
		for _, secret := range []string{"KAFKA_SASL_PASSWORD", "CLICKHOUSE_DSN", "CLICKHOUSE_ERASE_DSN", "HALOCTL_TOKEN"} {
			if env[secret] != "" {
				t.Errorf("%s: %s is a variable; want a file", name, secret)
			}
		}
		checked++
	}
	if checked < 7 {
		t.Errorf("%d services checked: this proves nothing", checked)
	}
}

func TestWhatComposeMountsIsThere(t *testing.T) {
	p := project(t)
	targets := []string{}
	for _, s := range dockerfile(t) {
		targets = append(targets, s.Name)
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s may write to %s", name, v.Source)
				}
			}
		}
		for _, secret := range s.Secrets {
			info, err := os.Stat(p.Secrets[secret.Source].File)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if info.Mode().Perm() != 0o644 {
				t.Errorf("%s: secret %s has mode %v: a container's user cannot read it", name, secret.Source, info.Mode())
			}
		}
		if s.Build != nil && !slices.Contains(targets, s.Build.Target) {
			t.Errorf("%s: the Dockerfile has no target %s", name, s.Build.Target)
		}
	}
	info, err := os.Stat(filepath.Join(p.WorkingDir, "secrets"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the passwords: %v, %v: others can enter it", info.Mode(), err)
	}
}

func TestEveryContainerIsLockedDown(t *testing.T) {
	// Their images write their own configuration at start.
	writes := []string{"kafka", "clickhouse"}
	for name, s := range project(t).Services {
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 {
			t.Errorf("%s keeps capabilities", name)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if s.ReadOnly == slices.Contains(writes, name) {
			t.Errorf("%s: read_only is %v", name, s.ReadOnly)
		}
		if s.MemLimit == 0 {
			t.Errorf("%s may use all memory", name)
		}
		if s.Privileged || s.NetworkMode == "host" {
			t.Errorf("%s reaches into the host", name)
		}
		if !strings.HasPrefix(s.Image, "halo-connector") && !pinned.MatchString(s.Image) {
			t.Errorf("%s: %s is not pinned", name, s.Image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is not on loopback", name, port.Published)
			}
		}
	}
}

// TestUpWaitEndsWell: "up --wait" waits for health where there is a check, and
// takes a container that ended for a failure unless another one that runs has
// it as a dependency that completes.
func TestUpWaitEndsWell(t *testing.T) {
	p := project(t)
	awaited := map[string]bool{}
	for name, s := range p.Services {
		for dep, d := range s.DependsOn {
			if _, ok := p.Services[dep]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, dep)
			}
			switch d.Condition {
			case types.ServiceConditionCompletedSuccessfully:
				awaited[dep] = awaited[dep] || len(s.Profiles) == 0
				if !job(p.Services[dep]) {
					t.Errorf("%s waits for the end of %s, which does not end", name, dep)
				}
			case types.ServiceConditionHealthy:
				if p.Services[dep].HealthCheck == nil {
					t.Errorf("%s waits for the health of %s, which has no check", name, dep)
				}
			case types.ServiceConditionStarted:
				t.Errorf("%s does not wait until %s is of use", name, dep)
			}
		}
	}
	for name, s := range p.Services {
		if job(s) && len(s.Profiles) == 0 && !awaited[name] {
			t.Errorf("nobody waits for the end of %s", name)
		}
		if !job(s) && s.HealthCheck == nil {
			t.Errorf("nobody looks after the health of %s", name)
		}
	}
}

// TestEachStageAsksItselfForItsHealth runs the health checks: nobody is there to
// answer, and they say so. One that is misspelt, or takes another environment
// than its program, says something else.
func TestEachStageAsksItselfForItsHealth(t *testing.T) {
	p := project(t)
	for name := range stages(t) {
		s := p.Services[name]
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Test[0] != "CMD" || s.HealthCheck.Test[1] != s.Command[0] {
			t.Errorf("%s: its health check is not its own program's: %v", name, s.HealthCheck)
			continue
		}
		check := exec.Command(filepath.Join(bin, s.HealthCheck.Test[1]), s.HealthCheck.Test[2:]...)
		for name, value := range environment(p, s) {
			if name != "ADMIN_ADDR" {
				check.Env = append(check.Env, name+"="+value)
			}
		}
		check.Env = append(check.Env, "ADMIN_ADDR=:1") // nobody's
		if out, _ := check.CombinedOutput(); check.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "not reached") {
			t.Errorf("%v: %v\n%s", s.HealthCheck.Test, check.ProcessState, out)
		}
	}
}

func TestComposeRunsTheEnginesThatTheTestsRan(t *testing.T) {
	p := project(t)
	pom, err := os.ReadFile(deploy + "/kafka-local/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	kafka := regexp.MustCompile(`<kafka.version>(.+)</kafka.version>`).FindSubmatch(pom)[1]
	if got := p.Services["kafka"].Image; got != "apache/kafka:"+string(kafka) {
		t.Errorf("compose runs %s, the tests Kafka %s", got, kafka)
	}
	minor := regexp.MustCompile(`^\d+\.\d+`).FindString(engine.Version)
	if got := p.Services["clickhouse"].Image; got != "clickhouse/clickhouse-server:"+minor {
		t.Errorf("compose runs %s, the tests ClickHouse %s", got, engine.Version)
	}
}

func TestComposeLetsAStageStopInItsOwnTime(t *testing.T) {
	p := project(t)
	for name, components := range stages(t) {
		grace := p.Services[name].StopGracePeriod
		if need := time.Duration(components) * daemon.DefaultDrain; grace == nil || time.Duration(*grace) <= need {
			t.Errorf("%s is killed after %v and may need %v", name, grace, need)
		}
	}
}
