# The two commands of the README are `make demo` and `make test`; each installs what it misses.
TARGET := x86_64-unknown-linux-gnu
CARGO  := cargo
RELEASE := target/release

.PHONY: build build-lab demo check test test-long test-lab lint setup lab-up lab-down bench bench-quick

## build: fleet and its helper in release, side by side in target/release
build:
	$(CARGO) build --locked --release --bin fleet
	# Static, so that it runs on any Linux; the explicit --target keeps proc-macros dynamic.
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --profile helper \
		--target $(TARGET) --no-default-features --bin fleet-helper
	install -m 0755 target/$(TARGET)/helper/fleet-helper $(RELEASE)/fleet-helper-x86_64

## demo: the main job on a container and on a virtual machine, from an empty host to a repaired drift
demo:
	tests/demo

## check: what to run while working: format, lints, unit tests
check: lint
	$(CARGO) test --locked --lib

## test: everything; what CI runs. `make test NAME=…`: what has that in its name
test:
	tests/setup
	tests/all $(NAME)

## test-lab: the tests on machines alone. `make test-lab KIND=container`: those that need no virtual machine
test-lab: build-lab
	FLEET_BIN=$(CURDIR)/target/lab tests/lab/test $(if $(KIND),--kind $(KIND)) $(NAME)

## lint: format and lints
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test lab -- -D warnings
	$(CARGO) clippy --locked --no-default-features --bin fleet-helper -- -D warnings
	grep -rlE '^#!/(usr/bin/env bash|bin/sh)' .ci tests contrib | xargs shellcheck -x

## bench: the parts of the controller, compared with the last time they were measured here; then what
##        fleet costs beside `ssh host true` and other tools; writes docs/benchmarks.md. An hour
## bench-quick: the same without the slow tools and with fewer hosts; minutes, and writes nothing
bench: build
	tests/setup bench
	$(CARGO) bench --locked --bench controller
	python3 tests/bench --write docs/benchmarks.md
bench-quick: build
	tests/setup bench
	python3 tests/bench --quick

## setup: what building, demo and tests need, from Debian's packages
setup:
	tests/setup

## lab-up, lab-down: one machine to play with; KIND=vm: with a kernel of its own
lab-up:
	tests/lab/up $(if $(KIND),--kind $(KIND))
lab-down:
	tests/lab/down
