include cgo.mk
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory
SHELL         := bash
.SHELLFLAGS   := -eo pipefail -c

# Programs that hold a model need libtorch; the gateway is a static program without it.
ENGINES := consilium text-encoder vision-encoder audio-encoder fusion

# Where goroutines meet: these packages' tests run once more under the race detector.
RACE := ./internal/pipeline/... ./internal/wire/... ./internal/cache/... ./internal/knowledge/... ./internal/batch/... ./internal/serve/...

# A program: prints the tested packages whose tests reach (1) or do not reach (0) the tensor engine.
tested = go list -test -f '{{.ImportPath}}{{range .Deps}} {{.}}{{end}}' ./... | \
	awk '$$1 ~ /[.]test$$/ { reaches = / consilium\/internal\/tensor(\/[a-z]+)?( |$$)/; sub(/[.]test$$/, "", $$1); if (reaches == $(1)) print $$1 }'

comma := ,
say    = @printf '\n\033[1m== %s\033[0m\n' $(1)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build ## start everything on this machine, analyse a study, show the answers
	$(call say,'Demo')
	@bin/consilium demo

.PHONY: up
up: build ## start everything on this machine and serve until Ctrl-C
	@bin/consilium up

.PHONY: test
test: deps ## install what is missing and run every test
	$(call say,'Vet (a first build compiles the tensor binding: two to three minutes)')
	go vet ./...
	$(call say,'Staticcheck (a first run compiles it: about a minute)')
	go tool -modfile=tools/go.mod staticcheck ./...
	$(call say,'Gateway side$(comma) without cgo')
	CGO_ENABLED=0 go build -o /dev/null ./cmd/gateway
	@packages=$$($(call tested,0)); CGO_ENABLED=0 go test -timeout 15m $$packages
	$(call say,'Gateway side$(comma) race detector')
	go test -race -short -timeout 15m $(RACE)
	$(call say,'Models$(comma) services and the whole platform')
	@packages=$$($(call tested,1)); go test -timeout 20m $$packages

.PHONY: build
build: deps ## put the programs in bin/
	$(call say,'Build (a first build compiles the tensor binding: two to three minutes)')
	CGO_ENABLED=0 go build -o bin/ ./cmd/gateway
	go build -o bin/ $(ENGINES:%=./cmd/%)

.PHONY: bench
bench: build ## time the platform beside its peers, which are installed: a quarter of an hour; ONLY=text,image for some of it
	$(call say,'Benchmarks')
	CGO_ENABLED=0 go build -C tools/hugot -o $(CURDIR)/bin/peer-hugot .
	@bin/consilium bench $(if $(ONLY),--only $(ONLY))

.PHONY: generate
generate: ## make the server's types and the client from openapi.yaml
	CGO_ENABLED=0 go generate ./gateway/...

# Where the clients go, and the tool that makes the one in Python.
CLIENTS := bin/clients
PYTHON_TOOL = $(CACHE)/openapi-python-client-0.29.1-py$(shell python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: clients
clients: ## make the clients in Python and TypeScript from openapi.yaml, in bin/clients
	@command -v npm >/dev/null || { echo "missing: npm, of Node.js 20 or later" >&2; exit 1; }
	@test -d $(PYTHON_TOOL) || { python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: --disable-pip-version-check --root-user-action=ignore \
		--target $(PYTHON_TOOL).part -r clients/python/requirements.txt && mv $(PYTHON_TOOL).part $(PYTHON_TOOL); }
	@rm -rf $(CLIENTS) && mkdir -p $(CLIENTS)
	@PYTHONPATH=$(PYTHON_TOOL) PATH=$(PYTHON_TOOL)/bin:$$PATH python3 -m openapi_python_client generate --path openapi.yaml --config clients/python/config.yaml \
		--meta pdm --output-path $(CLIENTS)/python > $(CLIENTS)/python.log 2>&1 || { cat $(CLIENTS)/python.log; exit 1; }
	@cp -r clients/typescript $(CLIENTS)/ && cp openapi.yaml $(CLIENTS)/typescript/
	@cd $(CLIENTS)/typescript && npm ci --silent --ignore-scripts --no-audit --no-fund && npm run --silent build > $(abspath $(CLIENTS))/typescript.log || { cat $(abspath $(CLIENTS))/typescript.log; exit 1; }
	@echo "made $(CLIENTS)/python and $(CLIENTS)/typescript"

.PHONY: deps
deps: tools ## fetch the pinned libraries, weights and data
	$(call say,'Pinned libraries$(comma) weights and data')
	@CGO_ENABLED=0 go run ./cmd/fetch && echo "complete in $(CACHE)"

.PHONY: tools
tools: # the system's tools: installed when root, else named
	@command -v go >/dev/null || { echo "missing: Go 1.26 or later (a distribution's older Go from 1.21 on fetches it)" >&2; exit 1; }
	@missing=; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	command -v python3 >/dev/null || missing="$$missing python3"; \
	python3 -m pip --version >/dev/null 2>&1 || missing="$$missing python3-pip"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "missing:$$missing; install with: sudo apt-get install$$missing" >&2; exit 1; \
	fi

.PHONY: clean
clean: ## remove bin/; the cache of fetched files stays
	rm -rf bin

.PHONY: env
env: ## print the C++ build variables for a shell: eval "$(make -s env)"
	@printf 'export %s\n' 'CGO_ENABLED=$(CGO_ENABLED)' 'CGO_CXXFLAGS="$(CGO_CXXFLAGS)"' 'CGO_LDFLAGS="$(CGO_LDFLAGS)"' 'CPATH="$(CPATH)"' 'LIBRARY_PATH="$(LIBRARY_PATH)"'
