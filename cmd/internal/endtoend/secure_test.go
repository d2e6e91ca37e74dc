//go:build integration

package endtoend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestEachStageWorksWithItsRightsAlone runs the stages against a real broker
// that knows them by client certificates, and then by tokens, and gives them
// what deploy/kafka/acls says. The test itself comes by a listener in clear, as
// a superuser.
func TestEachStageWorksWithItsRightsAlone(t *testing.T) {
	if c := chosen().severalBrokers(); c.kafka != jars {
		t.Skipf("Kafka is %s: a broker with certificates comes from deploy/kafka-local only, which needs Java and Maven", c.kafka)
	}
	for _, tt := range []struct {
		name   string
		secure func(t *testing.T, s *stack, addr string) (protocol string, env func(stage string) []string)
	}{
		{"mutual TLS", mutualTLS},
		{"OAUTHBEARER", oauthBearer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := prepareStack(t)
			addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
			protocol, env := tt.secure(t, s, addr)
			t.Setenv("KAFKA_LOCAL_LISTENERS", "SECURE://"+addr)
			t.Setenv("KAFKA_LOCAL_PROTOCOLS", "SECURE:"+protocol)
			s.properties = append(s.properties,
				"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
			s.startEngines(1)
			s.grant()
			s.env = append(s.env, "KAFKA_BROKERS="+s.brokers, "TOPIC_PREFIX="+s.prefix, "CLICKHOUSE_DSN="+s.dsn(s.database))
			stage := func(name string, admin int, more ...string) *process {
				return s.stage(name, admin, append(append(env(name), "KAFKA_BROKERS="+addr), more...)...)
			}
			s.ingest = stage("ingest", 9101, "LISTEN_ADDR="+s.addr(8080))
			s.processor, s.sink = stage("processor", 9102), stage("sink", 9103)
			s.connect = stage("connect", 9104, "LISTEN_ADDR="+s.addr(8081))
			for _, p := range s.stages() {
				p.start()
			}
			for _, p := range s.stages() {
				p.ready()
			}
			tn := s.connected("secure", 4)
			l := tn.underLoad(2, 20*time.Millisecond)
			pause(t, 3*time.Second)
			l.stop()
			l.settled()
			if kept, _ := l.progress(); kept < 50 {
				t.Fatalf("%d events: this proves nothing", kept)
			}
			t.Log(l)

			// An ingest that comes as the sink may not write events.
			thief := s.stageAs("ingest", "thief", 9105, append(env("sink"), "KAFKA_BROKERS="+addr, "LISTEN_ADDR="+s.addr(9106))...)
			thief.start()
			await(t, 30*time.Second, "an ingest with another's rights says so", func() error {
				if why := thief.unready(); why == nil || !strings.Contains(why.Error(), "events: TOPIC_AUTHORIZATION_FAILED") {
					return fmt.Errorf("it says %w", why)
				}
				return nil
			})
		})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// grant gives each principal what deploy/kafka/acls says.
func (s *stack) grant() {
	s.t.Helper()
	b, err := os.ReadFile("../../../deploy/kafka/acls")
	if err != nil {
		s.t.Fatal(err)
	}
	operations := map[string]kadm.ACLOperation{"Read": kadm.OpRead, "Write": kadm.OpWrite, "DescribeConfigs": kadm.OpDescribeConfigs}
	cl := s.kafkaClient()
	defer cl.Close()
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] == "#" || fields[0] == "haloctl" {
			continue
		}
		acl := kadm.NewACLs().Allow("User:" + fields[0]).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
		for operation := range strings.SplitSeq(fields[1], ",") {
			op, ok := operations[operation]
			if !ok {
				continue // of a comment
			}
			one := *acl
			one.Operations(op)
			var topics, groups []string
			for _, resource := range fields[2:] {
				if topic, ok := strings.CutPrefix(resource, "topic:"); ok {
					topics = append(topics, s.prefix+topic)
				} else if group, ok := strings.CutPrefix(resource, "group:."); ok {
					groups = append(groups, s.prefix+group)
				}
			}
			one.MaybeTopics(topics...).MaybeGroups(groups...)
			made, err := kadm.NewClient(cl).CreateACLs(s.t.Context(), &one)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, r := range made {
				if r.Err != nil {
					s.t.Fatalf("%s: %v", strings.TrimSpace(line), r.Err)
				}
			}
		}
	}
}

// mutualTLS has the broker know each stage by the common name of its
// certificate.
func mutualTLS(t *testing.T, s *stack, _ string) (string, func(string) []string) {
	dir := filepath.Join(s.dir, "tls")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string, blocks ...*pem.Block) string {
		path := filepath.Join(dir, name)
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authorityKey, ca := signed(t, authority, nil, nil)
	authority, err := x509.ParseCertificate(ca.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(name string) (key, cert *pem.Block) {
		k, cert := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, authority, authorityKey)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, cert
	}
	caFile := file("ca.pem", ca)
	key, cert := leaf("broker")
	const on = "listener.name.secure."
	s.properties = append(s.properties,
		on+"ssl.keystore.type=PEM", on+"ssl.keystore.location="+file("broker.pem", key, cert),
		on+"ssl.truststore.type=PEM", on+"ssl.truststore.location="+caFile,
		on+"ssl.client.auth=required", on+"ssl.principal.mapping.rules=RULE:^CN=([a-z]+)$/$1/",
	)
	return "SSL", func(stage string) []string {
		key, cert := leaf(stage)
		return []string{
			"KAFKA_TLS=true", "KAFKA_TLS_CA_FILE=" + caFile,
			"KAFKA_TLS_CERT_FILE=" + file(stage+".pem", cert), "KAFKA_TLS_KEY_FILE=" + file(stage+".key", key),
		}
	}
}

// signed is a certificate by a parent, or by itself.
func signed(t *testing.T, c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *pem.Block) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, by = c, key
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return key, &pem.Block{Type: "CERTIFICATE", Bytes: der}
}

// oauthBearer has the broker take unsigned tokens of a server of ours, each of
// which lives for half a minute and is bound to the client that asked.
func oauthBearer(t *testing.T, s *stack, _ string) (string, func(string) []string) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, secret, _ := r.BasicAuth()
		if secret != "secret-of-"+client || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := time.Now().Unix()
		part := base64.RawURLEncoding.EncodeToString
		token := part([]byte(`{"alg":"none"}`)) + "." + part(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, client, now, now+30)) + "."
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":30}`, token)
	}))
	t.Cleanup(issuer.Close)
	const on = "listener.name.secure."
	s.properties = append(s.properties,
		on+"sasl.enabled.mechanisms=OAUTHBEARER",
		on+`oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		on+"connections.max.reauth.ms=10000",
	)
	return "SASL_PLAINTEXT", func(stage string) []string {
		file := filepath.Join(s.dir, stage+".secret")
		if err := os.WriteFile(file, []byte("secret-of-"+stage+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{
			"KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_OAUTH_TOKEN_URL=" + issuer.URL, "KAFKA_OAUTH_CLIENT_ID=" + stage, "KAFKA_OAUTH_CLIENT_SECRET_FILE=" + file,
		}
	}
}
