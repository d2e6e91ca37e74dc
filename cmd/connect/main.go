// Command connect is the control plane: it connects tenants, matches agents to users, watches webhooks, answers why.
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
	p := program.Program[config.Connect]{
		Name:  "connect",
		About: "is the control plane: it connects tenants, matches agents to users, watches webhooks, answers why.",
		Daemon: func(c config.Connect) daemon.Config {
			return daemon.Config{Program: "connect", AdminAddr: c.AdminAddr, LogLevel: c.LogLevel, LogFormat: c.LogFormat}
		},
		Check: stage.CheckConnect,
		Build: stage.Connect,
	}
	os.Exit(p.Main(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
