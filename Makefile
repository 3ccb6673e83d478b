# Build, install, try and test agentcheck. `make` alone lists what there is.

# Where things go. Paths inside the units, the xinetd file and tmpfiles.d follow PREFIX and SYSCONFDIR.
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
DESTDIR    ?=
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/agentcheck
CONFDIR     = $(SYSCONFDIR)/agentcheck
BASHDIR     = $(PREFIX)/share/bash-completion/completions
ZSHDIR      = $(PREFIX)/share/zsh/vendor-completions
FISHDIR     = $(PREFIX)/share/fish/vendor_completions.d
XINETDCONF  = $(SYSCONFDIR)/xinetd.d/agentcheck
# systemd looks for what belongs to it below /usr and /usr/local, and below no other prefix.
ifneq ($(filter /usr /usr/local,$(PREFIX)),)
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
else
UNITDIR     ?= $(SYSCONFDIR)/systemd/system
SYSUSERSDIR ?= $(SYSCONFDIR)/sysusers.d
TMPFILESDIR ?= $(SYSCONFDIR)/tmpfiles.d
endif

CARGO   ?= cargo
TARGET   = $(or $(CARGO_TARGET_DIR),target)
RELEASE ?= $(TARGET)/release
BINARIES = agentcheck agentcheck-responder
UNITS    = $(notdir $(wildcard systemd/*.service systemd/*.socket))
# Drop-ins that are for reading and copying: UNIT.d/NAME.conf.
OPTIONAL = $(patsubst systemd/optional/%,%,$(wildcard systemd/optional/*/*.conf))
# For hosts without systemd, to be copied by hand.
INIT     = $(notdir $(wildcard packaging/init/*))
MANPAGES = $(notdir $(wildcard man/*.[1-8]))
# But for the demo, which runs what was built here.
EXAMPLES = $(filter-out demo.sh,$(patsubst examples/%,%,$(shell find examples -type f | LC_ALL=C sort)))
DOCS     = $(wildcard README.md ARCHITECTURE.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE \
             docs/*.md docs/recipes/*.md)

# One failed step fails the recipe, in a pipe and in a loop too.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# No progress bars in logs.
export CARGO_TERM_PROGRESS_WHEN = never

# The repository's files name the default paths; this makes them name the real ones.
PATHS = sed -e 's|/usr/bin/agentcheck|$(BINDIR)/agentcheck|g' \
	-e 's|/usr/share/doc/agentcheck|$(DOCDIR)|g' \
	-e 's|/etc/agentcheck|$(CONFDIR)|g'
# The xinetd file is switched off as well: installing is not yet wanting.
XINETD = $(PATHS) -e 's|^\(\s*disable\s*=\) no$$|\1 yes|' xinetd/agentcheck

# The same sources make the same programs, wherever they, the registry and the target directory are: in
# the programs they are at these places. (A later one counts for what lies within an earlier one.)
CARGO_HOME ?= $(HOME)/.cargo
REMAP = --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/agentcheck \
	--remap-path-prefix=$(abspath $(TARGET))=/target

.PHONY: help build install uninstall packages package test-packages reproducible deny test tests-built check lint \
	bench bench-loop bench-peers demo fuzz prove soak man msrv test-systemd-257

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' Makefile

build: ## build both programs into target/release
	RUSTFLAGS="$${RUSTFLAGS:-} $(REMAP)" $(CARGO) build --release --locked $(BINARIES:%=-p %)
	@# Cargo leaves a program as old as it is where a change does not reach it; the tests look at the age.
	@touch -c $(BINARIES:%=$(RELEASE)/%)

# What a newcomer and a machine run. Not `cargo test --all-targets`: it would build the responder's
# program, which has no standard library, as a test.
test: ## install what the tests need (apt; as root or by sudo), then build, lint and test everything
	tests/install-deps.sh
	@# Linking the programs takes one processor for long; meanwhile the other has the rest to build.
	$(MAKE) --no-print-directory -j2 build tests-built
	CARGO='$(CARGO)' tests/run.sh

tests-built: lint
	$(CARGO) test --workspace --locked --no-run

# Its source is the configuration's pages, of which tables become lists.
CONFIGURATION = $(addprefix docs/configuration/,sources services-and-rules expressions files-and-permissions)
man: ## make man/agentcheck.toml.5 from docs/configuration again (needs pandoc)
	{ printf '# NAME\n\nagentcheck.toml - configuration of the agentcheck collector\n\n'; \
	    printf '# SYNOPSIS\n\n*/etc/agentcheck/agentcheck.toml*\n\n*/etc/agentcheck/conf.d/NAME.toml*\n\n'; \
	    printf '# DESCRIPTION\n\n%s\n\n' 'What the collector polls, and how it decides the replies for HAProxy.'; \
	    cat $(CONFIGURATION:%=%.md); \
	    printf '\n# SEE ALSO\n\n**agentcheck**(1), **agentcheck.state**(5), **agentcheck-responder**(8)\n'; \
	} | pandoc --standalone --from gfm --to man --lua-filter packaging/man.lua \
	    --metadata title='agentcheck.toml' --metadata section=5 \
	    --metadata header='agentcheck' --metadata date='' --metadata hyphenate=false \
	    --variable header-includes='.ad l' --output man/agentcheck.toml.5

lint: ## formatting and warnings
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

check: lint ## the same as lint

# What a package is made of is what `make install` installs, and what only Debian asks for.
PACKAGES ?= $(TARGET)/packages
# Where both tools look, whatever RELEASE is.
STAGE     = $(TARGET)/release/stage
# The version, where it is not to be that of Cargo.toml.
VERSION     ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# Who answers for the package, NAME <ADDRESS>: whom Debian's tools are told by two variables, or who commits
# here, or else who builds it.
MAINTAINER  ?= $(or $(if $(DEBEMAIL),$(DEBFULLNAME) <$(DEBEMAIL)>),$(shell \
    if name=$$(git config user.name) && email=$$(git config user.email); then echo "$$name <$$email>"; \
    else echo "$$(id -un) <$$(id -un)@$$(hostname -f 2>/dev/null || hostname)>"; fi))
# No time but that of the sources gets into a package.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell date +%s))
export SOURCE_DATE_EPOCH

packages: build package ## build the .deb and the .rpm into target/packages (cargo-deb, cargo-generate-rpm)

package: # the same of what is built
	@for tool in cargo-deb cargo-generate-rpm; do \
	    command -v $$tool >/dev/null || { echo "cargo install --locked $$tool" >&2; exit 1; }; \
	done
	@rm -rf $(STAGE) $(STAGE)-debian
	@$(MAKE) --silent --no-print-directory install DESTDIR=$(abspath $(STAGE)) PREFIX=/usr SYSCONFDIR=/etc \
	    >/dev/null
	@find $(STAGE)/usr/share/man -type f -exec gzip -9n {} +
	@mkdir -p $(STAGE)-debian/usr/share/doc/agentcheck
	@install -D -m 644 packaging/lintian-overrides $(STAGE)-debian/usr/share/lintian/overrides/agentcheck
	@printf '%s\n' 'agentcheck ($(VERSION)-1) unstable; urgency=medium' '' \
	    '  * See /usr/share/doc/agentcheck/CHANGELOG.md.' '' \
	    " -- $(MAINTAINER)  $$(LC_ALL=C date -u -R -d @$(SOURCE_DATE_EPOCH))" | \
	    gzip -9n >$(STAGE)-debian/usr/share/doc/agentcheck/changelog.Debian.gz
	@mkdir -p $(PACKAGES)
	$(CARGO) deb --quiet --locked -p agentcheck --no-build --no-strip --deb-version $(VERSION)-1 \
	    --maintainer '$(MAINTAINER)' --output $(abspath $(PACKAGES))/
	$(CARGO) generate-rpm -p collector --target-dir $(abspath $(TARGET)) \
	    --set-metadata 'version = "$(VERSION)"' --output $(abspath $(PACKAGES))/
	@ls -l $(PACKAGES)

test-packages: build ## install, upgrade and remove both packages on a host made for it (also lintian, rpm; as root)
	$(CARGO) test --locked -p agentcheck-tests --test suite packaging::
	$(CARGO) test --locked -p agentcheck-tests --test packages

# Made once. Any root file system with another systemd does.
SYSTEMD_ROOT ?= $(TARGET)/debian-13
test-systemd-257: build ## what tests have of systemd, on Debian 13's instead of this machine's (as root; debootstrap)
	tests/systemd-root.sh $(SYSTEMD_ROOT)
	export AGENTCHECK_SYSTEMD_ROOT=$(abspath $(SYSTEMD_ROOT)); \
	    $(CARGO) test --locked -p agentcheck-tests --test suite -- systemd:: installed_files:: \
	        launchers::systemd_ launchers::units:: end_to_end::under_systemd:: packaging::install_upgrade_remove_and_purge_keep_balancers_correct

# In another place: another directory of the sources, another target directory.
reproducible: packages ## build everything once more, elsewhere, and compare it byte by byte (long)
	@rm -rf $(TARGET)/reproducible && mkdir -p $(TARGET)/reproducible/the/other
	@git ls-files -z | xargs -0 cp --parents -t $(TARGET)/reproducible/the/other
	@env -u CARGO_TARGET_DIR $(MAKE) --no-print-directory -C $(TARGET)/reproducible/the/other packages \
	    TARGET=target
	@cd $(TARGET) && sha256sum $(BINARIES:%=release/%) \
	    packages/agentcheck*[-_]$(VERSION)-1[._]* | tee reproducible/sums
	@cd $(TARGET)/reproducible/the/other/target && sha256sum --check ../../../sums

# Not part of the test run: to build cargo-deny takes 5.6 minutes of processor time.
# Advisories are fetched from github.com; without a way there: make deny DENY="licenses bans sources".
DENY ?= licenses bans sources advisories
deny: ## licences, sources, bans and advisories of all that is built in (cargo-deny)
	$(CARGO) deny --locked check $(DENY)

# Not part of the test run either: that is with the compiler that is there.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv: ## check everything with the oldest Rust that Cargo.toml names (rustup fetches it)
	CARGO_TARGET_DIR=$(abspath $(TARGET))/msrv rustup run --install $(MSRV) cargo check --workspace --all-targets --locked

bench: ## compare with C programs that do the same: tables, in some seven minutes
	bench/run.py

bench-loop: ## compare policies of load feedback on a real HAProxy: tables and a plot, in some seven minutes
	bench/feedback.py

bench-peers: ## compare with other agents and scripts, those that are here or can be fetched: tables
	bench/peers.py

# Bytes from outside, each target for FUZZ_SECONDS. What it finds in new paths it leaves in target/fuzz/;
# what fails becomes a file in the corpus beside the target and so a test. The targets run without a
# sanitizer, for which stable Rust has no flag, and a C++ compiler builds the fuzzer.
FUZZ_SECONDS ?= 300
FUZZ_DIR     ?= $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/fuzz
FUZZ_TARGETS  = $(basename $(wildcard */fuzz/fuzz_targets/*.rs))
fuzz: ## feed both programs hostile bytes, five minutes for each target
	@command -v cargo-fuzz >/dev/null || { \
	    echo 'cargo install cargo-fuzz --locked; apt-get install g++' >&2; exit 1; }
	@for path in $(FUZZ_TARGETS); do \
	    target=$${path##*/}; \
	    mkdir -p $(FUZZ_DIR)/found/$$target; \
	    (cd $${path%%/*} && CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) fuzz run -s none $$target \
	        $(FUZZ_DIR)/found/$$target fuzz/corpus/$$target -- -max_len=8192 -print_final_stats=1 \
	        -timeout=30 -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FUZZ_DIR)/$$target-); \
	done

# What tests/suite/recovery.rs does, more of it: every state of a server with every weight and limit, PROVE_TIMES
# rounds of random stories on the real HAProxy, and 10,000 in memory for each.
PROVE_TIMES ?= 10
prove: ## recovery from whatever happens: a model, HAProxy and the product against each other
	AGENTCHECK_PROVE=$(PROVE_TIMES) $(CARGO) test --locked -p agentcheck-tests --test suite -- recovery:: \
	    --nocapture --test-threads=1

# What tests/suite/faults/soak.rs does for 15,000 polls in every run of the tests.
SOAK_POLLS ?= 432000
soak: build ## the polls of a day in some eight minutes: memory, descriptors and threads stay where they were
	AGENTCHECK_SOAK=$(SOAK_POLLS) $(CARGO) test --locked -p agentcheck-tests --test suite faults::soak:: -- --nocapture

demo: build ## watch the main job on this machine for a minute; no root needed
	examples/demo.sh

install: ## install below DESTDIR, for PREFIX=/usr and SYSCONFDIR=/etc; after make build
	@for program in $(BINARIES); do \
	    test -x $(RELEASE)/$$program || { \
	        echo "$(RELEASE)/$$program is not there. Run \`make build\` first, not as root." >&2; exit 1; }; \
	done
	@for program in $(BINARIES); do \
	    install -v -D -m 755 $(RELEASE)/$$program "$(DESTDIR)$(BINDIR)/$$program"; \
	done
	@for unit in $(UNITS); do \
	    $(PATHS) systemd/$$unit | install -v -D -m 644 /dev/stdin "$(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	@install -v -D -m 644 systemd/agentcheck.sysusers '$(DESTDIR)$(SYSUSERSDIR)/agentcheck.conf'
	@install -v -D -m 644 systemd/agentcheck.tmpfiles '$(DESTDIR)$(TMPFILESDIR)/agentcheck.conf'
	@for page in $(MANPAGES); do \
	    install -v -D -m 644 man/$$page "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; \
	done
	@for program in $(BINARIES); do \
	    install -v -D -m 644 completions/$$program.bash "$(DESTDIR)$(BASHDIR)/$$program"; \
	    install -v -D -m 644 completions/_$$program "$(DESTDIR)$(ZSHDIR)/_$$program"; \
	    install -v -D -m 644 completions/$$program.fish "$(DESTDIR)$(FISHDIR)/$$program.fish"; \
	done
	@for file in $(DOCS); do install -v -D -m 644 $$file "$(DESTDIR)$(DOCDIR)/$$file"; done
	@install -v -D -m 644 packaging/third-party-licences.txt '$(DESTDIR)$(DOCDIR)/third-party-licences.txt'
	@for file in $(OPTIONAL); do \
	    $(PATHS) systemd/optional/$$file | \
	        install -v -D -m 644 /dev/stdin "$(DESTDIR)$(DOCDIR)/systemd/$$file"; \
	done
	@for file in $(INIT); do \
	    $(PATHS) packaging/init/$$file | install -v -D -m 644 /dev/stdin "$(DESTDIR)$(DOCDIR)/init/$$file"; \
	done
	@for file in $(EXAMPLES); do \
	    mode=644; if [ -x examples/$$file ]; then mode=755; fi; \
	    install -v -D -m $$mode examples/$$file "$(DESTDIR)$(DOCDIR)/examples/$$file"; \
	done
	@# Configuration is its owner's: written once, never again.
	@install -d '$(DESTDIR)$(CONFDIR)/conf.d'
	@conf='$(DESTDIR)$(CONFDIR)/agentcheck.toml'; \
	if [ -e examples/agentcheck.toml ] && [ ! -e "$$conf" ]; then \
	    install -v -D -m 644 examples/agentcheck.toml "$$conf"; \
	fi
	@conf='$(DESTDIR)$(XINETDCONF)'; \
	if [ ! -e "$$conf" ]; then $(XINETD) | install -v -D -m 644 /dev/stdin "$$conf"; fi
	@if [ -z '$(DESTDIR)' ]; then \
	    echo; echo 'Installed. With systemd, next:'; \
	    echo '  systemd-sysusers && systemctl daemon-reload'; \
	    echo '  agentcheck check --config $(CONFDIR)/agentcheck.toml'; \
	    echo '  systemctl enable --now agentcheck-collector.service agentcheck.socket'; \
	fi

uninstall: ## remove what install put there, but for configuration
	@# Balancers are told a last word first.
	@if [ -z '$(DESTDIR)' ]; then PATH='$(BINDIR)':"$$PATH" packaging/prerm remove; fi
	@# Only what install wrote; a xinetd file that was edited is configuration.
	@rm -v -f $(BINARIES:%='$(DESTDIR)$(BINDIR)/%') $(UNITS:%='$(DESTDIR)$(UNITDIR)/%') \
	    '$(DESTDIR)$(SYSUSERSDIR)/agentcheck.conf' '$(DESTDIR)$(TMPFILESDIR)/agentcheck.conf' \
	    $(foreach page,$(MANPAGES),'$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page)') \
	    $(BINARIES:%='$(DESTDIR)$(BASHDIR)/%') $(BINARIES:%='$(DESTDIR)$(ZSHDIR)/_%') \
	    $(BINARIES:%='$(DESTDIR)$(FISHDIR)/%.fish') \
	    $(DOCS:%='$(DESTDIR)$(DOCDIR)/%') '$(DESTDIR)$(DOCDIR)/third-party-licences.txt' \
	    $(INIT:%='$(DESTDIR)$(DOCDIR)/init/%') $(OPTIONAL:%='$(DESTDIR)$(DOCDIR)/systemd/%') \
	    $(EXAMPLES:%='$(DESTDIR)$(DOCDIR)/examples/%')
	@conf='$(DESTDIR)$(XINETDCONF)'; \
	if [ -e "$$conf" ] && $(XINETD) | cmp -s - "$$conf"; then rm -v "$$conf"; fi
	@# Our own directories, as far as they are empty now. The usual ones go from a scratch root only,
	@# and no others: it may be the root of a container.
	@for directory in '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(CONFDIR)'; do \
	    if [ -d "$$directory" ]; then find "$$directory" -depth -type d -empty -delete; fi; \
	done
	@if [ -n '$(DESTDIR)' ]; then cd '$(DESTDIR)'; \
	    for directory in $(BINDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(MANDIR)/man[1-8] \
	            $(BASHDIR) $(ZSHDIR) \
	            $(FISHDIR) $(dir $(DOCDIR)) $(SYSCONFDIR)/xinetd.d; do \
	        if [ -d ".$$directory" ]; then \
	            rmdir -p --ignore-fail-on-non-empty "$${directory#/}"; \
	        fi; \
	    done; \
	fi
	@for conf in '$(DESTDIR)$(CONFDIR)' '$(DESTDIR)$(XINETDCONF)'; do \
	    if [ -e "$$conf" ]; then echo "left, for it is configuration: $$conf"; fi; \
	done
