# roost: `make help` lists what there is. Every target installs or fetches what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export ORT_DYLIB_PATH ?= $(CURDIR)/.ort/libonnxruntime.so
CARGO ?= cargo

.PHONY: help up test test-long lint bench fmt doc model clean-data

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: .ort/libonnxruntime.so ## Build, then run everything in one process, with a market that moves
	$(CARGO) build --locked --bin roost
	target/debug/roost up --demo

test: .ort/libonnxruntime.so ## Every test, with a real Kafka and Cassandra that start and stop by themselves
	$(CARGO) test --locked --workspace --no-run
	dev/servers run $(CARGO) test --locked --workspace --no-fail-fast

test-long: .ort/libonnxruntime.so ## What takes longer: 100,000 simulated seeds, more kills
	$(CARGO) test --locked --workspace --no-run
	ROOST_TEST_LONG=1 dev/servers run $(CARGO) test --locked -p e2e

lint: ## rustfmt, clippy, rustdoc, cargo-deny: warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	dev/cargo-deny check bans licenses sources

bench: .ort/libonnxruntime.so ## The benchmarks: each prints its ratio to a peer in the same run
	$(CARGO) build --locked --release --workspace --bins
	dev/servers run $(CARGO) run --locked --release -p bench

fmt: ## Format the code
	$(CARGO) fmt --all

model: ## Train the shipped price model on the synthetic market again
	enricher/model/train.sh

.ort/libonnxruntime.so:
	dev/get-onnxruntime
