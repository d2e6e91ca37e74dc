package config

import (
	"bytes"
	"strings"
	"testing"
)

// connect is a whole environment of connect, with one variable changed.
func connect(variable ...string) []string {
	return append([]string{"KEYSET_FILE=k", "API_TOKENS_FILE=t", "PUBLIC_INGEST_URL=https://hooks.example"}, variable...)
}

// What a template did not fill must not become loopback, or the live topics.
func TestAVariableThatIsSetAndEmptyIsRefusedByName(t *testing.T) {
	for _, name := range []string{"KAFKA_BROKERS", "KAFKA_TLS", "CLICKHOUSE_DSN", "PUBLIC_INGEST_URL", "TOPIC_PREFIX", "LISTEN_ADDR", "ADMIN_ADDR", "LOG_LEVEL", "HEALTH_INTERVAL", "AUTO_REPAIR"} {
		if _, err := Load[Connect](connect(name + "=")); err == nil || !strings.HasPrefix(err.Error(), name+": set and empty") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"KAFKA_GROUP", "OUTPUT_PREFIX", "WEIGHT_TICKET_LOGGED"} {
		if _, err := Load[Processor]([]string{name + "="}); err == nil || !strings.HasPrefix(err.Error(), name+": set and empty") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load[Local]([]string{"PUBLIC_INGEST_URL="}); err == nil || !strings.Contains(err.Error(), "PUBLIC_INGEST_URL") {
		t.Errorf("local: %v", err)
	}
	// Where empty means something it is said what.
	if _, err := Load[Connect](connect("HALO_ALLOW_NETS=", "PEER_URL=", "KAFKA_SASL_MECHANISM=", "CONSOLE_FRAME_ANCESTORS=")); err != nil {
		t.Error(err)
	}
	if _, err := Load[Sink]([]string{"CLICKHOUSE_DSN=", "CLICKHOUSE_DSN_FILE=" + file(t, "http://h:8123/worksights")}); err != nil {
		t.Errorf("an empty variable beside its file: %v", err)
	}
}

func TestABlankInABrokersAddressIsRefused(t *testing.T) {
	for _, brokers := range []string{"a:9092, b:9092", " a:9092", "a:9092 ", "a:9092,", "a b:9092", "a:0", "a:99999"} {
		if _, err := Load[Ingest]([]string{"KAFKA_BROKERS=" + brokers}); err == nil || !strings.Contains(err.Error(), "KAFKA_BROKERS: ") {
			t.Errorf("%q: %v", brokers, err)
		}
	}
}

// What is registered in a customer's Halo must be an address that works there.
func TestAnAddressThatHaloCannotUseIsRefused(t *testing.T) {
	for url, nets := range map[string]string{
		"https://hooks.example":            "",
		"https://hooks.example:8443/halo/": "",
		"https://10.1.2.3":                 "",
		"http://127.0.0.1:8080":            "127.0.0.0/8",
		"http://localhost:8080":            "127.0.0.1",
		"http://10.1.2.3":                  "10.1.0.0/16",
		"https://[::1]:8443":               "::1",
	} {
		if _, err := Load[Connect](connect("PUBLIC_INGEST_URL="+url, "HALO_ALLOW_NETS="+nets)); err != nil {
			t.Errorf("%s with %q: %v", url, nets, err)
		}
	}
	for url, nets := range map[string]string{
		"https://hooks.example?a=b":    "",
		"https://hooks.example/halo?":  "",
		"https://hooks.example/#x":     "",
		"https://hooks.example#":       "",
		"https://hooks.example:0":      "",
		"https://hooks.example:99999":  "",
		"https://hooks.example:":       "",
		"https://:443":                 "",
		"http://hooks.example":         "",
		"http://hooks.example/":        "127.0.0.0/8", // a name is no network
		"http://127.0.0.1:8080":        "10.0.0.0/8",
		"http://127.0.0.1:8081":        "acme=127.0.0.0/8", // for one tenant's Halo, not for us
		"https://127.0.0.1":            "",
		"https://localhost":            "",
		"https://LOCALHOST.":           "",
		"https://[::1]":                "",
		"https://[::ffff:127.0.0.1]":   "",
		"https://0.0.0.0":              "",
		"http://10.1.2.3:8080":         "",
		"hooks.example":                "",
		"https://127.1":                "",
		"https://0x7f.1":               "",
		"https://2130706433":           "",
		"https://127.0.0.1.":           "",
		"https://hooks.example/ x":     "",
		"https://hooks.example/\u00a0": "",
	} {
		if _, err := Load[Connect](connect("PUBLIC_INGEST_URL="+url, "HALO_ALLOW_NETS="+nets)); err == nil || !strings.Contains(err.Error(), "PUBLIC_INGEST_URL: ") {
			t.Errorf("%s with %q: %v", url, nets, err)
		}
	}
}

func TestADSNIsWhatTheDriverTakes(t *testing.T) {
	for _, dsn := range []string{
		"http://a:8123,b:8123/worksights", "https://u:hunter2@a:8443,b:8443/worksights", "clickhouse://u:hunter2@a:9000,b:9000/worksights?secure=true",
		"http://a:8123?database=worksights", "https://a:8443/?database=worksights&password=hunter2", "tcp://a:9000/worksights",
		"clickhouse://u:hunter2@[::1]:9000/worksights",
	} {
		cfg, err := Load[Sink]([]string{"CLICKHOUSE_DSN=" + dsn})
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		var out bytes.Buffer
		if err := Print(&out, cfg); err != nil {
			t.Fatal(err)
		}
		_, hosts, err := DSN(dsn).parts()
		if err != nil || strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), hosts) {
			t.Errorf("%s is printed\n%s", dsn, out.String())
		}
	}
	for dsn, want := range map[string]string{
		"http://a:8123":                            "the database is missing",
		"http://a:8123/":                           "the database is missing",
		"http:///worksights":                       "not a URL",
		"HTTP://a:8123/worksights":                 "small letters",
		"http://a:8123,/worksights":                "a host is missing",
		"http://a:8123,:8123/worksights":           "a host is missing",
		"mysql://u:hunter2@a:1/worksights":         `not "mysql"`,
		"u:hunter2@a:9000/worksights":              "not a URL",
		"http://u:hunter2@a:8123/w?dial_timeout=x": "the driver cannot read it",
	} {
		if _, err := Load[Sink]([]string{"CLICKHOUSE_DSN=" + dsn}); err == nil || !strings.Contains(err.Error(), "CLICKHOUSE_DSN: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", dsn, err, want)
		}
	}
}

func TestAVariableThatIsAllButCalledLikeOneOfOursIsNamed(t *testing.T) {
	for name, meant := range map[string]string{
		"KAFKA_BROKER": "KAFKA_BROKERS", "HALO_ALLOWNETS": "HALO_ALLOW_NETS", "kafka_brokers": "KAFKA_BROKERS", "CLICKHOUSE_DNS": "CLICKHOUSE_DSN",
		"KAFKA_SASL_PASSWORD_FIL": "KAFKA_SASL_PASSWORD_FILE", "TOPIC_PREFX": "TOPIC_PREFIX", "DATA_DIRS": "DATA_DIR",
	} {
		errs := Strangers([]string{name + "=hunter2"})
		if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), name+": ") || !strings.Contains(errs[0].Error(), meant) || strings.Contains(errs[0].Error(), "hunter2") {
			t.Errorf("%s: %v, want %s to be meant", name, errs, meant)
		}
	}
	// What Kubernetes, shells and others set.
	if errs := Strangers([]string{
		"KAFKA_BROKERS=a:1", "KAFKA_PORT=tcp://10.0.0.1:9092", "KAFKA_SERVICE_HOST=10.0.0.1", "KAFKA_PORT_9092_TCP=x", "CLICKHOUSE_SERVICE_PORT=8123", "CLICKHOUSE_USER=u",
		"PATH=x", "HOME=x", "LANG=C", "HALO_TEST_KAFKA_BROKERS=x", "KAFKA_HEAP_OPTS=x", "GOMEMLIMIT=1", "OTEL_SERVICE_NAME=x", "TERM=x", "LOGNAME=x", "DATADIR1=x",
	}); len(errs) != 0 {
		t.Errorf("strangers: %v", errs)
	}
}

func TestANonsenseTimeZoneIsNamed(t *testing.T) {
	if _, err := Load[Local]([]string{"TZ=Mars/Olympus"}); err == nil || !strings.Contains(err.Error(), `TZ: there is no time zone "Mars/Olympus"`) {
		t.Errorf("error %v", err)
	}
	for _, tz := range []string{"TZ=", "TZ=UTC", "TZ=Europe/Berlin", "TZ=:Europe/Berlin"} {
		if _, err := Load[Local]([]string{tz}); err != nil {
			t.Errorf("%s: %v", tz, err)
		}
	}
}

func TestWhatBelongsToTLSAndOAuthIsNamed(t *testing.T) {
	for variable, want := range map[string]string{
		"KAFKA_TLS_CA_FILE=/nowhere/ca.pem":              "KAFKA_TLS_CA_FILE: open",
		"KAFKA_TLS_CERT_FILE=/nowhere/cert.pem":          "KAFKA_TLS_CERT_FILE, KAFKA_TLS_KEY_FILE: ",
		"KAFKA_SASL_MECHANISM=OAUTHBEARER":               "KAFKA_OAUTH_TOKEN_URL",
		"KAFKA_OAUTH_TOKEN_URL=https://id.example/token": "KAFKA_SASL_MECHANISM",
	} {
		if _, err := Load[Ingest]([]string{variable}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", variable, err, want)
		}
	}
	cfg, err := Load[Ingest]([]string{
		"KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_OAUTH_TOKEN_URL=https://id.example/token", "KAFKA_OAUTH_CLIENT_ID=ingest",
		"KAFKA_OAUTH_CLIENT_SECRET_FILE=" + file(t, "hunter2\n"), "KAFKA_OAUTH_SCOPE=kafka",
	})
	if err != nil || cfg.Client("ingest").OAuth.ClientSecret.Reveal() != "hunter2" {
		t.Errorf("%v, %v", cfg, err)
	}
}
