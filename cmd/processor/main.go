// Command processor joins events with the mappings as of their arrival and writes activities and skips to Kafka.
package main

import (
	"context"
	"os"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/program"
	"github.com/worksights/halo-connector/cmd/internal/stage"
	"github.com/worksights/halo-connector/internal/daemon"
)

func main() {
	p := program.Program[config.Processor]{
		Name:  "processor",
		About: "joins events with the mappings as of their arrival and writes activities and skips to Kafka.",
		Daemon: func(c config.Processor) daemon.Config {
			return daemon.Config{Program: "processor", AdminAddr: c.AdminAddr, LogLevel: c.LogLevel, LogFormat: c.LogFormat}
		},
		Build: stage.Processor,
	}
	os.Exit(p.Main(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
