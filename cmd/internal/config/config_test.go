package config

import (
	"bytes"
	"strings"
	"testing"
)

func TestDefaultsAreUsable(t *testing.T) {
	for name, load := range map[string]func() error{
		"ingest":    func() error { _, err := Load[Ingest](nil); return err },
		"processor": func() error { _, err := Load[Processor](nil); return err },
		"sink":      func() error { _, err := Load[Sink](nil); return err },
		"local":     func() error { _, err := Load[Local](nil); return err },
		"topics":    func() error { _, err := Load[Topics](nil); return err },
		"migrate":   func() error { _, err := Load[Migrate](nil); return err },
		"client":    func() error { _, err := Load[Client](nil); return err },
		"connect": func() error {
			_, err := Load[Connect]([]string{"KEYSET_FILE=k", "API_TOKENS_FILE=t", "PUBLIC_INGEST_URL=https://hooks.example"})
			return err
		},
	} {
		if err := load(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllThatIsWrongIsSaidAtOnceAndBySayingWhatIsWanted(t *testing.T) {
	_, err := Load[Connect]([]string{
		"LISTEN_ADDR=8081", "ADMIN_ADDR=127.0.0.1:65536", "PEER_URL=10.0.0.7:8081", "PUBLIC_INGEST_URL=ftp://x", "HEALTH_INTERVAL=10ms", "KAFKA_BROKERS=nowhere",
		"CLICKHOUSE_DSN=mysql://u:hunter2@h/db", "TOPIC_PREFIX=a b", "LOG_LEVEL=loud", "LOG_FORMAT=xml",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"LISTEN_ADDR", "ADMIN_ADDR", "PEER_URL", "PUBLIC_INGEST_URL", "HEALTH_INTERVAL", "KAFKA_", "CLICKHOUSE_DSN", "TOPIC_PREFIX", "LOG_LEVEL", "LOG_FORMAT", "KEYSET_FILE", "API_TOKENS_FILE"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the password is in the error")
	}
}

func TestWhatDoesNotParseIsNamedByItsVariableAndNotQuoted(t *testing.T) {
	_, err := Load[Sink]([]string{"BATCH_ROWS=hunter2", "BATCH_WAIT=hunter2"})
	if err == nil || !strings.Contains(err.Error(), "BATCH_ROWS: not a whole number") || !strings.Contains(err.Error(), "BATCH_WAIT: not a duration") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error: %v", err)
	}
}

func TestWhatDoesNotParseHidesNothingElseThatIsWrong(t *testing.T) {
	_, err := Load[Ingest]([]string{
		"KAFKA_TLS=maybe", "RATE_LIMIT=some", "MAX_BODY_BYTES=1", "KAFKA_BROKERS=nowhere", "KAFKA_SASL_MECHANISM=FOO", "LOG_LEVEL=loud",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"KAFKA_TLS: ", "RATE_LIMIT: ", "MAX_BODY_BYTES: ", "KAFKA_BROKERS: ", "KAFKA_SASL_MECHANISM", "LOG_LEVEL: "} {
		if n := strings.Count(err.Error(), name); n != 1 {
			t.Errorf("%s is named %d times in: %v", name, n, err)
		}
	}
}

func TestAWeightAtFaultIsNamedByItsVariable(t *testing.T) {
	_, err := Load[Processor]([]string{"WEIGHT_TICKET_LOGGED=1.5", "WEIGHT_UPDATED_BY_USER=1"})
	if err == nil || !strings.Contains(err.Error(), "WEIGHT_TICKET_LOGGED is 1.5") || !strings.Contains(err.Error(), "WEIGHT_UPDATED_BY_USER is 1, want it below WEIGHT_STATUS_CHANGED") {
		t.Errorf("error: %v", err)
	}
}

func TestWeightsThatWouldTurnTheSignalAroundAreRefused(t *testing.T) {
	for _, bad := range []string{"WEIGHT_UPDATED_BY_USER=1", "WEIGHT_TICKET_LOGGED=0.25", "WEIGHT_STATUS_CHANGED=0", "WEIGHT_UPDATED_BY_AGENT=1.5", "WEIGHT_UPDATED_BY_USER=-1", "WEIGHT_UPDATED_BY_USER=NaN"} {
		if _, err := Load[Processor]([]string{bad}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestPrintedConfigurationHoldsNoSecret(t *testing.T) {
	for _, dsn := range []string{"clickhouse://u:hunter2@h:9000/worksights", "http://h:8123/worksights?username=u&password=hunter2"} {
		cfg, err := Load[Sink]([]string{"CLICKHOUSE_DSN=" + dsn, "KAFKA_SASL_MECHANISM=PLAIN", "KAFKA_SASL_USER=u", "KAFKA_SASL_PASSWORD=hunter2", "KAFKA_BROKERS=a:1,b:2"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Print(&out, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "KAFKA_SASL_PASSWORD=[redacted]\n") || !strings.Contains(out.String(), "KAFKA_BROKERS=a:1,b:2\n") {
			t.Errorf("printed:\n%s", out.String())
		}
	}
}

// With --print-config the configuration is printed even where it is refused.
func TestWhatIsRefusedIsPrintedWithoutItsSecretToo(t *testing.T) {
	for name, variable := range map[string]string{
		"a DSN whose scheme was forgotten": "CLICKHOUSE_DSN=u:hunter2@h:9000/worksights",
		"a DSN with a password of TLS":     "CLICKHOUSE_DSN=clickhouse://h:9000/worksights?tls_key_password=hunter2",
		"a DSN with a proxy":               "CLICKHOUSE_DSN=http://h:8123/worksights?http_proxy=http%3A%2F%2Fu%3Ahunter2%40proxy%3A3128",
		"an address with a password":       "PUBLIC_INGEST_URL=https://u:hunter2@hooks.example",
		"half an address":                  "PUBLIC_INGEST_URL=u:hunter2@hooks.example",
		"a broker with a password":         "KAFKA_BROKERS=a:9092,u:hunter2@b:9092",
		"a broker with a scheme":           "KAFKA_BROKERS=SASL_SSL://u:hunter2@b:9092",
	} {
		cfg, err := Load[Connect]([]string{variable})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		var out bytes.Buffer
		if err := Print(&out, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s: printed\n%s", name, out.String())
		}
	}
	if _, err := Load[Client]([]string{"HALOCTL_URL=http://u:hunter2@h"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("HALOCTL_URL: %v", err)
	}
}

func TestAReplayWritesElsewhere(t *testing.T) {
	cfg, err := Load[Processor]([]string{"TOPIC_PREFIX=halo."})
	if err != nil || cfg.Output() != "halo." {
		t.Errorf("default output %q, %v", cfg.Output(), err)
	}
	cfg, err = Load[Processor]([]string{"OUTPUT_PREFIX=again."})
	if err != nil || cfg.Output() != "again." || cfg.Topics().Events != "halo.events" {
		t.Errorf("output %q from %q, %v", cfg.Output(), cfg.Topics().Events, err)
	}
}

// Two installations on one Kafka share nothing, their groups' places least of all.
func TestAGroupIsNamedAfterThePrefixUnlessItIsGiven(t *testing.T) {
	for _, c := range []struct {
		environ         []string
		processor, sink string
	}{
		{nil, "halo.processor", "halo.sink"},
		{[]string{"TOPIC_PREFIX=eu."}, "eu.processor", "eu.sink"},
		{[]string{"TOPIC_PREFIX=eu.", "KAFKA_GROUP=replay"}, "replay", "replay"},
	} {
		p, err := Load[Processor](c.environ)
		if err != nil || p.Group() != c.processor {
			t.Errorf("%v: processor %q, %v", c.environ, p.Group(), err)
		}
		s, err := Load[Sink](c.environ)
		if err != nil || s.Group() != c.sink {
			t.Errorf("%v: sink %q, %v", c.environ, s.Group(), err)
		}
	}
}
