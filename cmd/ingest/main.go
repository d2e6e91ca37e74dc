// Command ingest takes Halo's webhooks, keeps ids and times, never content, and writes events to Kafka.
package main

import (
	"context"
	"os"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/program"
	"github.com/worksights/halo-connector/cmd/internal/stage"
	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/daemon"
)

func main() {
	daemon.CollectSeldom(ingest.Memory)
	p := program.Program[config.Ingest]{
		Name:  "ingest",
		About: "takes Halo's webhooks, keeps ids and times, never content, and writes events to Kafka.",
		Daemon: func(c config.Ingest) daemon.Config {
			return daemon.Config{Program: "ingest", AdminAddr: c.AdminAddr, LogLevel: c.LogLevel, LogFormat: c.LogFormat}
		},
		Build: stage.Ingest,
	}
	os.Exit(p.Main(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
