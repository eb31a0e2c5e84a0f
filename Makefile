# neofn: `make run` and `make test` are all a newcomer needs; both install what is missing first.
#
#   make run        build, start a node, deploy examples/, invoke one, then serve until Ctrl-C (ONCE=1: end instead)
#   make test       every check: format, lints, layers, licences, unit, conformance, end to end, types
#   make build      the release binary at bin/neofn
#   make setup      Debian packages, cargo tools and npm packages
#   make cluster    three NATS servers, PostgreSQL, two gateways and three workers, shown at work (ONCE=1: end instead)
#   make bench      the figures that the documentation quotes, as a table

SHELL := /bin/bash
.DEFAULT_GOAL := build
.PHONY: run cluster test build setup bench fmt lint deny docs types

CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/neofn
# A target directory outside the checkout is shared by every checkout on this machine, when one exists.
ifeq ($(CARGO_TARGET_DIR),)
ifneq ($(wildcard $(CACHE)/target/.),)
export CARGO_TARGET_DIR := $(CACHE)/target
endif
endif
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
TOOLS := $(CACHE)/tools
export NEOFN_CACHE_DIR ?= $(CACHE)
export PATH := $(HOME)/.cargo/bin:$(TOOLS)/bin:$(PATH)

setup:
	@scripts/setup.sh

build: setup
	@cargo build --release --locked --package neofn
	@mkdir -p bin && cp --force $(TARGET)/release/neofn bin/.neofn.new
	@mv --force bin/.neofn.new bin/neofn

run: build
	@scripts/run.sh

cluster: build
	@scripts/cluster.sh

test: setup fmt lint deny types
	@cargo build --locked --workspace --all-targets
	@$(TARGET)/debug/xtask layers
	@$(TARGET)/debug/xtask docs --check
	@cargo nextest run --locked --workspace --no-fail-fast

fmt:
	@cargo fmt --all -- --check

lint:
	@cargo clippy --locked --workspace --all-targets -- --deny warnings

deny:
	@scripts/deny.sh

types:
	@sdk/js/check.sh

docs:
	@cargo xtask docs

bench: build
	@scripts/bench.sh
