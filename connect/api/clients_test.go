//go:build clients

package api_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The generators are pinned: this is about the document, not about their next
// version.
const (
	goGenerator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	tsPackages  = "openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3"
)

// builder is a folder in which a client is made and run.
type builder struct {
	*testing.T
	dir string
	env []string
}

func newBuilder(t *testing.T, w *world) *builder {
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	b := &builder{t, t.TempDir(), append(os.Environ(), "API="+server.URL, "TOKEN="+w.token.Reveal(), "GOFLAGS=-mod=mod")}
	b.write("openapi.json", string(w.document().text))
	return b
}

func (b *builder) write(name, text string) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *builder) run(command string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "sh", "-ec", command)
	cmd.Dir, cmd.Env = b.dir, b.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// What a program does with the client: it lists, maps, and is refused.
const done = "3 agents, 2 is mapped to u-1, unknown_user\n"

func TestAGoClientIsMadeOfTheDocumentAndWorks(t *testing.T) {
	b := newBuilder(t, newWorld(t))
	b.write("go.mod", "module example.com/client\n\ngo 1.26\n")
	b.write("main.go", `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"example.com/client/halo"
)

func main() {
	c, err := halo.NewClientWithResponses(os.Getenv("API"), halo.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
		return nil
	}))
	check(err)
	ctx, user, stranger := context.Background(), "u-1", "stranger"
	list, err := c.GetAgentsWithResponse(ctx, "acme", &halo.GetAgentsParams{})
	check(err)
	mapped, err := c.MapAgentWithResponse(ctx, "acme", 2, halo.MapAgentJSONRequestBody{UserId: &user})
	check(err)
	refused, err := c.MapAgentWithResponse(ctx, "acme", 2, halo.MapAgentJSONRequestBody{UserId: &stranger})
	check(err)
	fmt.Printf("%d agents, %d is mapped to %s, %s\n", len(list.JSON200.Agents), mapped.JSON200.AgentId, *mapped.JSON200.UserId, refused.JSON404.Error.Code)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
`)
	b.run("mkdir halo && go run " + goGenerator + " -generate types,client -package halo openapi.json > halo/halo.go && go mod tidy")
	if out := b.run("go vet ./... && go run ."); out != done {
		t.Errorf("the client says %q", out)
	}
}

func TestATypeScriptClientIsMadeOfTheDocumentAndWorks(t *testing.T) {
	b := newBuilder(t, newWorld(t))
	b.write("package.json", `{"type":"module"}`)
	b.write("main.ts", `import createClient from "openapi-fetch";
import type { paths } from "./halo.js";

declare const process: { env: Record<string, string> };
const c = createClient<paths>({ baseUrl: process.env.API, headers: { Authorization: "Bearer " + process.env.TOKEN } });
const list = await c.GET("/v1/tenants/{tenant}/agents", { params: { path: { tenant: "acme" } } });
const one = { params: { path: { tenant: "acme", agent: 2 } } };
const mapped = await c.PUT("/v1/tenants/{tenant}/agents/{agent}/user", { ...one, body: { user_id: "u-1" } });
const refused = await c.PUT("/v1/tenants/{tenant}/agents/{agent}/user", { ...one, body: { user_id: "stranger" } });
console.log(list.data!.agents.length + " agents, " + mapped.data!.agent_id + " is mapped to " + mapped.data!.user_id + ", " + refused.error!.error.code);
`)
	b.run("npm install --silent --no-audit --no-fund " + tsPackages + " && npx openapi-typescript openapi.json -o halo.d.ts")
	if out := b.run("npx tsc --strict --target es2022 --module nodenext --skipLibCheck main.ts && node main.js"); out != done {
		t.Errorf("the client says %q", out)
	}
}
