package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
)

func TestTheFilesOfConnectAreFoundWrongBeforeItStarts(t *testing.T) {
	dir := t.TempDir()
	good := config.Connect{
		KeysetFile: filepath.Join(dir, "keyset.json"), APITokensFile: filepath.Join(dir, "api-tokens"),
		ClickHouse: config.ClickHouse{ClickHouseDSN: "http://127.0.0.1:1/worksights"}, // nobody's: not dialled
		Kafka:      config.Kafka{KafkaBrokers: []string{"127.0.0.1:1"}},
	}
	if err := vault.NewKeyset(good.KeysetFile); err != nil {
		t.Fatal(err)
	}
	if _, err := access.New(good.APITokensFile, access.Grant{Name: "test"}); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.json")
	b, err := os.ReadFile(good.KeysetFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*config.Connect)
		want   []string // none: all is well
	}{
		"all is well":           {func(*config.Connect) {}, nil},
		"neither file is there": {func(c *config.Connect) { c.KeysetFile, c.APITokensFile = dir+"/a", dir+"/b" }, []string{"KEYSET_FILE: ", "API_TOKENS_FILE: "}},
		"others may read keys":  {func(c *config.Connect) { c.KeysetFile = open }, []string{"KEYSET_FILE: ", "0600"}},
		"the two are mixed up":  {func(c *config.Connect) { c.KeysetFile, c.APITokensFile = c.APITokensFile, c.KeysetFile }, []string{"KEYSET_FILE: ", "API_TOKENS_FILE: "}},
		"an option of the DSN":  {func(c *config.Connect) { c.ClickHouseDSN = "http://u:hunter2@h:8123/db?dial_timeout=soon" }, []string{"CLICKHOUSE_DSN: "}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			err := CheckConnect(cfg)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s is not in: %v", want, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the password is in the error")
			}
		})
	}
	if err := CheckSink(config.Sink{ClickHouse: config.ClickHouse{ClickHouseDSN: "http://h:8123/db?dial_timeout=soon"}}); err == nil {
		t.Error("the sink takes an option that its start refuses")
	}
}
