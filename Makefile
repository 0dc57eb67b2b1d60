# `make help` lists what there is. The work is done by scripts/: each says at its top what it does and takes.

# make run PORT=… ADMIN_PORT=…, make fuzz FUZZ_SECONDS=…
export PORT ADMIN_PORT FUZZ_SECONDS

.PHONY: help run test test-all load bench dist dist-bench flood fuzz lint fmt docs reference airflow-up airflow-down servers-up servers-down clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{ printf "  %-13s %s\n", $$1, $$2 }'

run: ## airgate in front of a real Airflow, with sample commands; Ctrl-C stops both
	@scripts/run.sh

test: ## every test, against real Airflow servers (ARGS='--test it cors' for some)
	@scripts/test.sh $(ARGS)

test-all: ## what takes longer, too: the tests that need Airflow 2 (Python 3.11 or 3.12)
	@scripts/test.sh --all $(ARGS)

load: ## what must hold under load, at full length: minutes, alone on the machine
	@scripts/load.sh $(ARGS)

bench: ## how fast, beside a bare Pingora, in one run
	@scripts/setup.sh bench
	@cargo bench --bench throughput -- $(ARGS)

dist: ## target/dist/airgate, compiled for speed and laid out by what runs often (needs llvm-bolt: Debian's bolt-22)
	@scripts/dist.sh

dist-bench: ## how fast that is, beside a bare Pingora that was made in the same way
	@scripts/setup.sh bench
	@scripts/dist.sh bench

flood: ## whether a flood of wrong passwords slows who has a token
	@cargo bench --bench flood -- $(ARGS)

fuzz: ## searches for inputs that break the parsers (FUZZ_SECONDS=30 for each)
	@scripts/fuzz.sh $(ARGS)

lint: ## formatting, clippy, documentation, dependencies, scripts
	@scripts/lint.sh

fmt: ## formats the code
	@cargo fmt --all

docs: ## the library's documentation, under target/doc
	@cargo doc --no-deps

reference: ## writes what is generated from the table of options: conf/airgate.toml, docs/configuration.md
	@AIRGATE_WRITE_SAMPLE=1 cargo test --lib up_to_date

airflow-up: ## starts the tests' Airflow servers and leaves them up, for quicker test runs
	@tests/airflow/airflow.sh up simple
	@tests/airflow/airflow.sh up simple-rs256
	@tests/airflow/airflow.sh up fab
	@tests/airflow/airflow.sh up keycloak
	@tests/airflow/airflow.sh up v1

airflow-down: ## stops every Airflow server of this clone
	@tests/airflow/airflow.sh down

servers-up: ## starts the tests' other servers (tests/servers), likewise
	@scripts/setup.sh test
	@scripts/servers.sh up

servers-down: ## stops them
	@scripts/servers.sh down

clean: airflow-down servers-down ## removes all that was built or installed in this folder
	@cargo clean
	@rm -rf .airgate-dev
