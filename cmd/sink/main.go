// Command sink appends activities and skips to ClickHouse.
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
	p := program.Program[config.Sink]{
		Name:  "sink",
		About: "appends activities and skips to ClickHouse.",
		Daemon: func(c config.Sink) daemon.Config {
			return daemon.Config{Program: "sink", AdminAddr: c.AdminAddr, LogLevel: c.LogLevel, LogFormat: c.LogFormat}
		},
		Check: stage.CheckSink,
		Build: stage.Sink,
	}
	os.Exit(p.Main(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
