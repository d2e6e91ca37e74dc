package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestASecretMayComeFromAFileAndIsNotPrinted(t *testing.T) {
	for _, end := range []string{"", "\n", "\r\n", "\n\n"} {
		cfg, err := Load[Sink]([]string{
			"KAFKA_SASL_MECHANISM=PLAIN", "KAFKA_SASL_USER=u",
			"KAFKA_SASL_PASSWORD=", "KAFKA_SASL_PASSWORD_FILE=" + file(t, " hunter2 "+end),
			"CLICKHOUSE_DSN_FILE=" + file(t, "clickhouse://u:hunter3@h:9000/worksights"+end),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.KafkaSASLPassword.Reveal(); got != " hunter2 " {
			t.Errorf("password %q", got)
		}
		if got := cfg.ClickHouseDSN.Reveal(); got != "clickhouse://u:hunter3@h:9000/worksights" {
			t.Errorf("DSN %q", got)
		}
		var out bytes.Buffer
		if err := Print(&out, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter") || !strings.Contains(out.String(), "KAFKA_SASL_PASSWORD=[redacted]\n") {
			t.Errorf("printed:\n%s", out.String())
		}
	}
}

func TestASecretsFileThatIsNoneIsRefusedWithoutSayingWhatIsInIt(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"both":                    {[]string{"CLICKHOUSE_DSN=http://h:1/hunter2", "CLICKHOUSE_DSN_FILE=" + file(t, "http://h:1/hunter2")}, "CLICKHOUSE_DSN, CLICKHOUSE_DSN_FILE: both are set"},
		"not there":               {[]string{"KAFKA_SASL_PASSWORD_FILE=hunter2"}, "KAFKA_SASL_PASSWORD_FILE: no such file"},
		"a folder":                {[]string{"KAFKA_SASL_PASSWORD_FILE=" + t.TempDir()}, "KAFKA_SASL_PASSWORD_FILE: is a directory"},
		"empty":                   {[]string{"KAFKA_SASL_PASSWORD_FILE=" + file(t, "\n")}, "KAFKA_SASL_PASSWORD_FILE: the file is empty"},
		"two lines":               {[]string{"KAFKA_SASL_PASSWORD_FILE=" + file(t, "hunter2\nhunter2\n")}, "more than one line"},
		"without end":             {[]string{"KAFKA_SASL_PASSWORD_FILE=/dev/zero"}, "longer than"},
		"no good value":           {[]string{"CLICKHOUSE_DSN_FILE=" + file(t, "mysql://u:hunter2@h/db")}, "CLICKHOUSE_DSN: want clickhouse://"},
		"and the rest":            {[]string{"KAFKA_SASL_PASSWORD_FILE=/nowhere", "BATCH_ROWS=0"}, "BATCH_ROWS: want 1"},
		"and what does not parse": {[]string{"KAFKA_SASL_PASSWORD_FILE=/nowhere", "BATCH_ROWS=x"}, "BATCH_ROWS: not a whole number"},
	} {
		_, err := Load[Sink](c.environ)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in the error: %v", name, err)
		}
		if strings.HasPrefix(name, "and") && !strings.Contains(err.Error(), "KAFKA_SASL_PASSWORD_FILE: no such file") {
			t.Errorf("%s: the file is not named: %v", name, err)
		}
	}
}

func TestEverySecretOfAStageMayComeFromAFile(t *testing.T) {
	secret := map[string]bool{"Secret": true, "DSN": true}
	n := 0
	for _, vars := range [][]Variable{Describe[Ingest](), Describe[Processor](), Describe[Sink](), Describe[Connect](), Describe[Topics](), Describe[Migrate]()} {
		for _, v := range vars {
			if v.File != secret[v.typ.Name()] {
				t.Errorf("%s: a secret %v, from a file %v", v.Name, secret[v.typ.Name()], v.File)
			}
			if v.File {
				n++
			}
		}
	}
	if n < 8 {
		t.Errorf("%d secrets: this proves nothing", n)
	}
	var out bytes.Buffer
	if err := Usage[Sink](&out); err != nil || !strings.Contains(out.String(), "KAFKA_SASL_PASSWORD_FILE") || !strings.Contains(out.String(), "CLICKHOUSE_DSN_FILE") {
		t.Errorf("%v, --help says:\n%s", err, out.String())
	}
}
