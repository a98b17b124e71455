# roost: `make help` lists what there is. Every target installs or fetches what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export ORT_DYLIB_PATH ?= $(CURDIR)/.ort/libonnxruntime.so
CARGO ?= cargo

.PHONY: help up test test-long lint bench bench-api bench-correctness bench-plot bench-model fmt model test-model clients schemathesis

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: .ort/libonnxruntime.so ## Build, then run everything in one process, with a market that moves
	$(CARGO) build --locked --bin roost
	target/debug/roost up --demo

test: .ort/libonnxruntime.so test-model ## Every test, with a real Kafka and Cassandra that start and stop by themselves
	$(CARGO) build --locked --bin roost
	dev/promtool test rules grafana/prometheus/alerts_test.yml
	$(CARGO) test --locked --workspace --no-run
	dev/servers run $(CARGO) test --locked --workspace --no-fail-fast
	e2e/clients/run

clients: .ort/libonnxruntime.so ## Clients in Python and TypeScript, generated from the OpenAPI document, against a live API
	$(CARGO) build --locked --bin roost
	e2e/clients/run

schemathesis: .ort/libonnxruntime.so ## A live API against its own document, over 20,000 requests that schemathesis makes up; CASES=100 is quick
	$(CARGO) build --locked --bin roost
	e2e/schemathesis/run

test-long: schemathesis ## That, and the simulator over 100,000 seeds, with and without each of its guards: about 12 min more
	ROOST_TEST_LONG=1 $(CARGO) test --locked --workspace --test it sim:: -- --nocapture

lint: ## rustfmt, clippy, rustdoc, cargo-deny: warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	dev/cargo-deny check bans licenses sources

bench: .ort/libonnxruntime.so ## Every benchmark beside its bare peer, release builds, about 20 min; BENCH="--record" keeps the table
	$(CARGO) build --locked --release -p roost -p bench
	dev/servers run target/release/bench $(BENCH)

bench-api: .ort/libonnxruntime.so ## The counter beside the classic build (PostgreSQL, Redis, FastAPI), release builds, about 15 min; BENCH="--record" keeps the table
	$(CARGO) build --locked --release -p roost -p bench
	dev/servers run target/release/bench api --classic $(BENCH)

bench-correctness: .ort/libonnxruntime.so ## The engine told 10,000 histories in other ways, and 10^8 top threes compared; BENCH="--seed 7" makes others
	$(CARGO) build --locked --release -p bench
	target/release/bench correctness $(BENCH)

bench-plot: ## Draw what bench/peers/run has measured: bench/results.svg
	dev/python-env bench/plot/.venv bench/plot/requirements.txt
	bench/plot/.venv/bin/python bench/plot/plot.py bench/peers/measured.jsonl bench/results.svg

bench-model: .ort/libonnxruntime.so ## The price model beside its peers on real sales, walked forward in time; SALES=later.csv judges those
	$(CARGO) build --locked --release --bin roost
	enricher/model/bench_model.sh $(if $(SALES),$(abspath $(SALES)))

fmt: ## Format the code
	$(CARGO) fmt --all

test-model: ## The tests of the training alone
	dev/python-env enricher/model/.venv enricher/model/requirements.txt
	enricher/model/.venv/bin/python -m unittest discover --start-directory enricher/model/tests

model: .ort/libonnxruntime.so ## Train a price model on the synthetic market, as the version after the last; VERSION=2026-11 names it
	enricher/model/train.sh $(if $(VERSION),--version $(VERSION))

.ort/libonnxruntime.so:
	dev/get-onnxruntime
