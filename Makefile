# The two commands of the README are `make demo` and `make test`; each installs what it misses.
TARGET := x86_64-unknown-linux-gnu
CARGO  := cargo
RELEASE := target/release
LAB := target/lab
# Static, so that it runs on any Linux; the explicit --target keeps proc-macros dynamic.
HELPER := --target $(TARGET) --no-default-features --bin fleet-helper
STATIC := -C target-feature=+crt-static

.PHONY: build build-lab demo check test test-long test-lab lint setup lab-up lab-down bench bench-quick

## build: fleet and its helper in release, side by side in target/release
build:
	$(CARGO) build --locked --release --bin fleet
	RUSTFLAGS="$(STATIC)" $(CARGO) build --locked --profile helper $(HELPER)
	install -C -m 0755 target/$(TARGET)/helper/fleet-helper $(RELEASE)/fleet-helper-x86_64

## build-lab: the same two, side by side in target/lab, for the demo and the tests on machines: the
##            fleet that `cargo test` compiles anyhow, and a helper optimized a little
build-lab:
	$(CARGO) build --locked --bin fleet
	RUSTFLAGS="$(STATIC) -C strip=symbols" $(CARGO) build --locked --profile lab-helper $(HELPER)
	install -d $(LAB)
	# -C: the same program keeps its time, by which the lab knows its snapshots.
	install -C -m 0755 target/debug/fleet $(LAB)/fleet
	install -C -m 0755 target/$(TARGET)/lab-helper/fleet-helper $(LAB)/fleet-helper-x86_64

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

## test-long: what takes hours by design, and is no part of CI: properties with 20,000 cases each, every parser fed with
##            damaged input for half an hour (FUZZ= says for how many seconds), the tests called long_…, each drift checked alone,
##            a hundred kills amid the replacement of a container
test-long: build-lab
	PROPTEST_CASES=20000 $(CARGO) test --locked --lib
	$(CARGO) test --locked -- --ignored long_
	tests/fuzz $(or $(FUZZ),1800)
	FLEET_LAB_DRIFTS_AT_ONCE=1 tests/lab/test drift::
	FLEET_LAB_KILLS=100 tests/lab/test killed_amid_a_replacement

## test-lab: the tests on machines alone. `make test-lab KIND=container`: those that need no virtual machine
test-lab: build-lab
	tests/lab/test $(if $(KIND),--kind $(KIND)) $(NAME)

## lint: format and lints
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test lab -- -D warnings
	RUSTFLAGS="$(STATIC)" $(CARGO) clippy --locked $(HELPER) -- -D warnings
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
