# Everything that is done with this repository, by name. `make` alone lists it. The work itself is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo demo-clean test test-release test-engines soak replay soak-engine soak-hub check-mcp-local bench fmt lint schemas release profile ci

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-15s %s\n", $$1, $$2 }'

demo: ## An Engine where there is none, a build, and a small real platform, reconciled
	@scripts/demo.sh up

demo-clean: ## Remove every trace of the demo from the Engine
	@scripts/demo.sh clean

test: ## All tests; those that need an Engine are skipped where there is none, and counted
	@scripts/test.sh

test-release: ## The black-box tests once more, with the program that is released
	@scripts/release.sh
	@EVENKEEL_RELEASED=$(CURDIR)/target/static/evenkeel scripts/test.sh --test it -- --skip simulation::

test-engines: ## The Engine tests on Docker 20.10 and 28, with both image stores (root, Debian)
	@scripts/test-engines.sh

soak: ## SEEDS= random simulated runs, 200000 if not said; a failing seed leaves its trace
	@EVENKEEL_SEEDS=$(or $(SEEDS),200000) EVENKEEL_TWICE_EVERY=$(or $(TWICE_EVERY),1) EVENKEEL_FIRST_SEED=$(or $(FIRST),1) \
		cargo test --quiet --profile soak --package evenkeel --test it simulation::seeds:: -- --nocapture

replay: ## The simulated run of SEED=, line by line
	@EVENKEEL_SEED=$(SEED) cargo test --quiet --package evenkeel --test it simulation::seeds:: -- --nocapture

soak-engine: ## A real Engine meddled with for an hour, or for MINUTES=, with SEED= of the meddler's; a table at the end
	EVENKEEL_SOAK_MINUTES=$(or $(MINUTES),60) $(if $(SEED),EVENKEEL_SOAK_SEED=$(SEED)) cargo test --package evenkeel --test it soak:: -- --nocapture

soak-hub: ## Calls through the hub during UPDATES=50, RESTARTS=20 and KILLS=20, and SESSIONS=10000 of CLIENTS=64
	EVENKEEL_MCP_UPDATES=$(or $(UPDATES),50) EVENKEEL_MCP_RESTARTS=$(or $(RESTARTS),20) EVENKEEL_MCP_KILLS=$(or $(KILLS),20) \
		EVENKEEL_MCP_SESSIONS=$(or $(SESSIONS),10000) EVENKEEL_MCP_CLIENTS=$(or $(CLIENTS),64) \
		cargo test --package evenkeel --test it mcp_load:: -- --nocapture --test-threads 2

check-mcp-local: ## Seven real MCP servers from PyPI and npm in hardened containers: each called, one kept in (root, Debian)
	@scripts/mcp-local-check.sh

bench: ## The benchmarks, as ratios (some minutes; alone: bench-cold, -repair, -steady, -simulated, -start, -attach, -contained, -load, -bridge, -plan, -hub)
	@scripts/bench.sh

bench-%:
	@scripts/bench.sh $*

fmt: ## Format the code
	cargo fmt --all

lint: ## Formatting, lints, scripts, and advisories where cargo-deny is installed
	@scripts/lint.sh

schemas: ## Write the JSON Schemas and the generated documents anew
	UPDATE_SCHEMAS=1 cargo test --package crds-schema

release: ## The static program, at target/static/evenkeel
	@scripts/release.sh

profile: ## The profile by which a release is optimised, anew (benches/profile; needs llvm-profdata, some twenty minutes)
	@scripts/profile.sh

ci: ## What CI runs
	@.ci/run
