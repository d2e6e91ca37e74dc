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

// TestEachStageWorksWithItsRightsAlone runs as-of, replay, crash and outage on
// three brokers that know the stages by client certificates, and then by tokens,
// and gives each what deploy/kafka/acls says. The test itself comes by a listener in
// clear, as a superuser.
func TestEachStageWorksWithItsRightsAlone(t *testing.T) {
	if c := chosen().severalBrokers(); c.kafka != jars {
		t.Skipf("Kafka is %s: brokers with certificates come from deploy/kafka-local only, which needs Java and Maven", c.kafka)
	}
	for _, tt := range []struct {
		name   string
		secure func(t *testing.T, s *stack) (protocol string, env func(stage string) []string)
	}{
		{"mutual TLS", mutualTLS},
		{"OAUTHBEARER", oauthBearer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := prepareStack(t)
			protocol, env := tt.secure(t, s)
			s.properties = append(s.properties, "listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:"+protocol,
				"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
			s.rights = func(stage string) []string {
				return append(env(stage), "KAFKA_BROKERS="+strings.Join(s.kafka.(*brokers).Secure(), ","))
			}
			s.begin(3)
			s.judgesAsOfArrival(200)
			s.crashes(12)
			s.losesKafka()
			s.losesClickHouse(10 * time.Second)

			// Its rights are enough to set the sink back, too.
			s.sink.stop()
			if said := s.haloctl(s.rights("sink"), "rewind", "sink", "--by", "1h", "--yes"); !strings.Contains(said, "Start the sink") {
				t.Errorf("haloctl rewind says\n%s", said)
			}
			s.sink.start()
			s.sink.ready()
			t.Log("haloctl verify:", s.haloctl(nil, "verify"))

			// An ingest that comes as the sink may not write events.
			thief := s.stageAs("ingest", "thief", 9105, append(s.rights("sink"), "LISTEN_ADDR="+s.addr(9106))...)
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

// grant gives each principal what deploy/kafka/acls says, and again for a replay,
// which has an output prefix and groups of its own.
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
		again := s.prefix + "again."
		var topics, groups []string
		for _, resource := range fields[2:] {
			if topic, ok := strings.CutPrefix(resource, "topic:"); ok {
				topics = append(topics, s.prefix+topic, again+topic)
			} else if group, ok := strings.CutPrefix(resource, "group:."); ok {
				groups = append(groups, s.prefix+group, again+group)
			}
		}
		var ops []kadm.ACLOperation
		for operation := range strings.SplitSeq(fields[1], ",") {
			if op, ok := operations[operation]; ok { // else of a comment
				ops = append(ops, op)
			}
		}
		if len(ops) == 0 {
			continue
		}
		acl := kadm.NewACLs().Allow("User:" + fields[0]).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(ops...).MaybeTopics(topics...).MaybeGroups(groups...)
		made, err := kadm.NewClient(cl).CreateACLs(s.t.Context(), acl)
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

// mutualTLS has the broker know each stage by the common name of its
// certificate.
func mutualTLS(t *testing.T, s *stack) (string, func(string) []string) {
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
func oauthBearer(t *testing.T, s *stack) (string, func(string) []string) {
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
