# The two commands are `make dev` and `make test`. `make` prints what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin/graphtide
GO ?= go
export GRAPHTIDE_POSTGRES_BIN ?= $(shell scripts/postgres-bin)

.PHONY: help dev test build setup check bench fuzz torture restart sabotage format clean test-go test-client test-example

help: ## print what can be done
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: build ## run everything, with nothing else set up: http://127.0.0.1:7420
	@exec $(BIN) dev $(ARGS)

# The client's random histories wait for nothing, and nobody waits for them: they
# take what the other tests leave of the processors while these wait.
test: setup-test build ## set up and run all tests, browser included
	@$(MAKE) --no-print-directory -j2 test-in-turn test-histories

build: setup example ## build the server, with the example's pages in it
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/graphtide

.PHONY: example setup-test
setup: ## get what building and running need
	@scripts/setup run
setup-test: setup
	@scripts/setup test

example: setup
	@scripts/example

# Processes that tests start are the program that was built, not one for each package.
# The race detector sleeps for a second at each program's end unless told otherwise.
test-go: setup-test build ## vet, and the server's tests with the race detector
	GORACE="$(GORACE) atexit_sleep_ms=50" GRAPHTIDE_BIN=$(CURDIR)/$(BIN) $(GO) test -race -vet=all -gcflags=-dwarf=false -timeout 25m ./...

test-client: test-units test-histories ## the JavaScript client's tests

.PHONY: test-in-turn test-units test-histories
test-in-turn:
	@$(MAKE) --no-print-directory test-go
	@$(MAKE) --no-print-directory test-units
	@$(MAKE) --no-print-directory test-example

test-units: setup-test build
	cd clientjs && npm run --silent check && GRAPHTIDE_BIN=$(CURDIR)/$(BIN) npm run --silent units

test-histories: setup-test
	cd clientjs && nice -n 19 npm run --silent histories

test-example: setup-test build ## the examples in a real browser
	GRAPHTIDE_BIN=$(CURDIR)/$(BIN) scripts/example board
	GRAPHTIDE_BIN=$(CURDIR)/$(BIN) node examples/workbook/test/all.mjs

check: test ## what review runs: format, vet, all tests
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "run make format"; exit 1; }

format: ## format the code
	gofmt -w $$(git ls-files '*.go')
	cd clientjs && npm run --silent format

bench: setup-test build ## measure, each row beside its physical limit in the same run; then the client in a browser
	$(GO) run ./bench $(ARGS)
	scripts/bench-client $(if $(findstring -quick,$(ARGS)),--quick)

fuzz: ## fuzz every parser of outside input for a while (FUZZTIME=30s each)
	@scripts/fuzz $${FUZZTIME:-30s}

torture: setup-test ## break a deployment and judge it (SEED=… FOR=10m RATE=1 ARGS=-detail)
	$(GO) run ./systest/cmd/torture -for $(or $(FOR),2m) $(if $(SEED),-seed $(SEED)) $(if $(RATE),-rate $(RATE)) $(ARGS)

restart: setup-test ## start a server again under views of 100,000 objects, and count what it reads (BOOKS=10000 on ten shelves)
	$(GO) test ./systest -count=1 -v -run TestARestartUnderLiveViews -timeout 25m -args -books $(or $(BOOKS),10000)

sabotage: setup-test ## break one promise at a time, and see that torture notices (BREAKS=skip-delta,ack-early)
	$(GO) run ./systest/cmd/torture -sabotage $(or $(BREAKS),all) $(if $(SEED),-seed $(SEED)) $(if $(FOR),-for $(FOR)) $(ARGS)

clean: ## remove what was built
	rm -rf bin dist clientjs/types examples/*/site/dist examples/*/dist examples/board/src/types.ts
