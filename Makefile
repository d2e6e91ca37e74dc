# Everything a newcomer, an operator or CI does begins here: make help.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
# Tests run the real Kafka client in virtual time; the tag gives it locks that
# a testing/synctest bubble can see.
TAGS     := synctests
PROGRAMS := ingest processor sink connect local haloctl
FUZZTIME ?= 30s
BENCHTIME ?= 1s
BENCH    ?= .
# What --version says: the tag, how far behind it we are, and whether files were
# changed; without a tag the commit.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# Pinned, and run from the module cache: a linter's hundred dependencies do not
# belong into go.mod.
LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: build
build: engine ## build the programs into bin/ and fetch the pinned ClickHouse library once
	$(GO) build -ldflags '-X github.com/worksights/halo-connector/internal/build.version=$(VERSION)' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: engine
engine: ## fetch the pinned ClickHouse library into the user's cache, once
	@./scripts/fetch-libchdb.sh

.PHONY: run
run: build ## run everything on this machine, with a simulated HaloPSA; stays up
	SIMULATE=$${SIMULATE:-1} bin/local

.PHONY: demo
demo: build ## the whole story in a minute: connect, deliveries, timeline, balance
	bin/local --demo

.PHONY: test
test: engine ## all tests that need no server of the user's
	$(GO) test -tags $(TAGS) -timeout 10m ./...

.PHONY: integration
integration: engine ## the end-to-end tests on real Kafka and ClickHouse, as far as there are any; says which
	$(GO) test -tags '$(TAGS) integration' -count=1 -v -timeout 40m ./cmd/internal/endtoend ./deploy/kafka-local

.PHONY: prometheus
prometheus:
	@{ command -v prometheus && command -v promtool; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq prometheus >/dev/null; } \
	  || { echo "prometheus and promtool are needed: install Debian's package prometheus, or put both on the PATH" >&2; exit 1; }

.PHONY: modules
modules: ## what is in the programs: modules, versions, checksums, licences, into dist/modules.txt; fails at a licence that we do not take
	@mkdir -p dist
	@./scripts/licences.sh > dist/modules.txt
	@echo "$$(wc -l < dist/modules.txt) modules in dist/modules.txt, each under a licence that we take"

.PHONY: reproducible
reproducible: ## build a program twice, from two folders: the same bytes
	@./scripts/reproducible.sh

.PHONY: vulnerabilities
vulnerabilities: ## ask the Go vulnerability database about what the programs call; says NOT CHECKED where it is not reached
	@./scripts/vulnerabilities.sh v1.9.0

# -count=1: go test does not see that a file outside of the module has changed.
.PHONY: verify
verify: engine prometheus console-test modules reproducible ## the files of deploy/ (alerts, dashboards, Compose, Kubernetes, ACLs, grants, queries) and the console
	cd deploy/verify && $(GO) test -tags $(TAGS) -count=1 -timeout 20m ./...

.PHONY: chromium
chromium:
	@command -v "$${CHROMIUM:-chromium}" >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-inter >/dev/null; } \
	  || { echo "Chromium is needed: install Debian's package chromium, or say in CHROMIUM where it is" >&2; exit 1; }

# The packages are installed anew only where the lock changed.
console/browser/node_modules/.package-lock.json: console/browser/package-lock.json
	cd console/browser && npm ci --no-audit --no-fund --silent
	@touch $@

.PHONY: console-test
console-test: build chromium console/browser/node_modules/.package-lock.json ## the console's pages in a real browser: axe, journeys, pictures
	cd console/browser && CHROMIUM="$$(command -v "$${CHROMIUM:-chromium}")" node --test --test-reporter=spec

.PHONY: clients
clients: ## make clients of the API in Go and TypeScript from its document, and call it with them; needs npm and the network
	$(GO) test -tags clients -count=1 -timeout 20m -run ClientIsMade ./connect/api

FAULT ?=
.PHONY: drill
drill: engine prometheus ## cause every fault that an alert is for, under a real Prometheus; see it fire and end; root, 20 minutes; FAULT=regexp for some
	$(GO) test -tags '$(TAGS) drill' -count=1 -v -run '^TestDrill$$' -timeout 40m ./cmd/internal/endtoend -args -fault '$(FAULT)'

# A seed decides what happens and when; STEPS is how many things happen.
SEEDS ?= 300
SEED  ?=
.PHONY: sim
sim: ## the whole pipeline in virtual time under SEEDS (300) seeded schedules of faults; SEED=n tells the story of one
ifeq ($(SEED),)
	$(GO) test -tags $(TAGS) -count=1 -v -run '^TestFivePromises' -timeout 24h ./cmd/internal/sim -args -seeds $(SEEDS) | grep -vE '^ *(---|===)'
else
	$(GO) test -tags $(TAGS) -count=1 -v -run '^TestFivePromises' -timeout 10m ./cmd/internal/sim -args -first $(SEED) -seeds 1 -story | grep -vE '^ *(---|===)'
endif

.PHONY: sim-mutants
sim-mutants: ## break the code on purpose, one fault at a time, and see each found by the simulation; some 20 minutes
	$(GO) test -tags $(TAGS) -count=1 -v -run '^TestEachDeliberateFault' -timeout 90m ./cmd/internal/sim -args -mutants

.PHONY: spin
spin:
	@{ command -v spin && command -v gcc; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq --no-install-recommends spin gcc libc6-dev >/dev/null; } \
	  || { echo "Spin and gcc are needed: install Debian's packages spin and gcc" >&2; exit 1; }

.PHONY: model
model: spin ## the order of the steps as a model, in every schedule of two tenants, and each order reversed; 2 GB, some minutes
	$(GO) test -tags model -count=1 -v -timeout 60m ./cmd/internal/sim/model | grep -vE '^ *(===)'

.PHONY: race
race: engine ## the same under the race detector, without the long process tests
	$(GO) test -tags $(TAGS) -race -short -timeout 20m ./...

.PHONY: fmt
fmt: ## format the code
	$(LINT) fmt

.PHONY: lint
lint: ## format, vet and lint checks; changes nothing
	$(LINT) run
	$(LINT) run --build-tags '$(TAGS),integration,drill' ./cmd/internal/endtoend/... ./deploy/kafka-local/...
	cd deploy/verify && $(LINT) run ./...
	cd cmd/internal/endtoend/docker && $(LINT) run ./...

.PHONY: check
check: lint test ## format, vet, lint, test

.PHONY: fuzz
fuzz: ## fuzz every decoder for FUZZTIME (30s) each
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: bench
bench: engine ## the figures of the README, on this machine
	$(GO) test -tags $(TAGS) -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 60m ./...

.PHONY: clean
clean: ## remove what was built; the data of make run stays in ./var
	rm -rf bin dist
