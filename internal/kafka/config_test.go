package kafka_test

import (
	"errors"
	"testing"

	"github.com/worksights/halo-connector/internal/kafka"
)

func TestEachMistakeInTheConfigurationIsRefusedByName(t *testing.T) {
	good := kafka.Config{Brokers: []string{"kafka-0.example:9092", "[::1]:9092"}, ClientID: "ingest"}
	for _, tt := range []struct {
		name   string
		change func(*kafka.Config)
		want   error
	}{
		{"good", func(*kafka.Config) {}, nil},
		{"no broker", func(c *kafka.Config) { c.Brokers = nil }, kafka.ErrNoBrokers},
		{"broker without port", func(c *kafka.Config) { c.Brokers = []string{"kafka-0"} }, kafka.ErrBroker},
		{"broker without host", func(c *kafka.Config) { c.Brokers = []string{":9092"} }, kafka.ErrBroker},
		{"broker with a port that is none", func(c *kafka.Config) { c.Brokers = []string{"kafka-0:99999"} }, kafka.ErrBroker},
		{"port zero", func(c *kafka.Config) { c.Brokers = []string{"kafka-0:0"} }, kafka.ErrBroker},
		{"one bad among good ones", func(c *kafka.Config) { c.Brokers = []string{"a:1", "b"} }, kafka.ErrBroker},
		{"user without mechanism", func(c *kafka.Config) { c.SASLUser = "u" }, kafka.ErrNoMechanism},
		{"password without mechanism", func(c *kafka.Config) { c.SASLPassword = "p" }, kafka.ErrNoMechanism},
		{"mechanism without user", func(c *kafka.Config) { c.SASLMechanism, c.SASLPassword = kafka.Plain, "p" }, kafka.ErrNoCredentials},
		{"mechanism without password", func(c *kafka.Config) { c.SASLMechanism, c.SASLUser = kafka.ScramSHA512, "u" }, kafka.ErrNoCredentials},
		{"unknown mechanism", func(c *kafka.Config) { c.SASLMechanism = "GSSAPI" }, kafka.ErrMechanism},
		{"mechanism in small letters", func(c *kafka.Config) { c.SASLMechanism = "plain" }, kafka.ErrMechanism},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			if err := c.Validate(); !errors.Is(err, tt.want) {
				t.Errorf("Validate() = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	err := kafka.Config{SASLUser: "u"}.Validate()
	if !errors.Is(err, kafka.ErrNoBrokers) || !errors.Is(err, kafka.ErrNoMechanism) {
		t.Errorf("Validate() = %v, want both mistakes", err)
	}
}
