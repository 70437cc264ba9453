# The jobs of a developer and of CI. `make demo` and `make test` install what is missing and say what and why.

SHELL := /bin/bash
machine := $(shell uname -m)-unknown-linux-gnu
binaries := $(CURDIR)/target/$(machine)/release

.PHONY: build demo demo-down test test-systemd fuzz check bench bench-lb

# Static, so that the same file runs on every host, and so that the sample service can be an image of its own.
build:
	RUSTFLAGS="-C target-feature=+crt-static" \
	    cargo build --release --locked --target $(machine) -p roadstead-cli -p roadstead-tests --bins

demo:
	tests/setup.sh build run
	$(MAKE) build
	tests/demo.sh $(binaries)

demo-down:
	tests/demo-down.sh $(binaries)

test:
	tests/setup.sh build run test
	$(MAKE) build
	ROADSTEAD_CTL=$(binaries)/ctl cargo nextest run --workspace --locked
	tests/systemd.sh $(binaries)
	tests/bench/instructions.sh $(binaries)

# The third part of `make test` alone: the provisioning script on three hosts that run systemd.
test-systemd:
	tests/setup.sh build run test
	$(MAKE) build
	tests/systemd.sh $(binaries)

# The load balancer's parsers and rules on this much random input each; `make test` has 256 of each.
CASES := 200000
fuzz:
	tests/setup.sh build test
	PROPTEST_CASES=$(CASES) cargo nextest run -p roadstead-lb --locked --lib --profile fuzz -E 'test(/::fuzz::/)' --no-fail-fast

# Advisories need the network; they are checked where there is one, by `cargo deny check`.
check:
	tests/setup.sh build check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --locked check licenses sources bans
	shellcheck .ci/run tests/*.sh tests/*/*.sh vagrant/*.sh
	cd vagrant && VAGRANT_HOME=$(CURDIR)/target/vagrant VAGRANT_DOTFILE_PATH=$(CURDIR)/target/vagrant/machines \
	    VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate --ignore-provider

bench:
	tests/setup.sh build run bench
	$(MAKE) build
	tests/bench.sh $(binaries)

# The load balancer against nginx and HAProxy, on every kind of work.
bench-lb:
	tests/setup.sh build run bench
	$(MAKE) build
	tests/bench/lb.sh $(binaries) all
