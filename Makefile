# Build, install, try and test agentcheck. `make` alone lists what there is.

# Where things go. Paths inside the units, the xinetd file and tmpfiles.d follow PREFIX and SYSCONFDIR.
PREFIX     ?= /usr
SYSCONFDIR ?= /etc
DESTDIR    ?=
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/agentcheck
CONFDIR     = $(SYSCONFDIR)/agentcheck
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
BINARIES = agentcheck agentcheck-responder
UNITS    = $(notdir $(wildcard systemd/*.service systemd/*.socket))
# Drop-ins that are for reading and copying: UNIT.d/NAME.conf.
OPTIONAL = $(patsubst systemd/optional/%,%,$(wildcard systemd/optional/*/*.conf))
MANPAGES = $(notdir $(wildcard man/*.[1-8]))
EXAMPLES = $(patsubst examples/%,%,$(shell find examples -type f 2>/dev/null | LC_ALL=C sort))
DOCS     = $(wildcard README.md ARCHITECTURE.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE)

# No progress bars in logs.
export CARGO_TERM_PROGRESS_WHEN = never

# The repository's files name the default paths; this makes them name the real ones.
PATHS = sed -e 's|/usr/bin/agentcheck|$(BINDIR)/agentcheck|g' \
	-e 's|/usr/share/doc/agentcheck|$(DOCDIR)|g' \
	-e 's|/etc/agentcheck|$(CONFDIR)|g'
# In /etc/xinetd.d as well, but switched off: installing is not yet wanting.
XINETD = $(PATHS) -e 's|^\(\s*disable\s*=\) no$$|\1 yes|' xinetd/agentcheck

.PHONY: help build install uninstall test check lint demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

build: ## build both programs into target/release
	$(CARGO) build --release --workspace --locked

# What a newcomer and a machine run. Not `cargo test --all-targets`: it would build the responder's
# program, which has no standard library, as a test.
test: ## install what the tests need (apt; as root or by sudo), then build, lint and test everything
	tests/install-deps.sh
	$(MAKE) --no-print-directory build
	$(MAKE) --no-print-directory lint
	$(CARGO) test --workspace --locked

lint: ## formatting and warnings
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

check: lint ## the same as lint

demo: build ## watch the main job on this machine for a minute; no root needed
	examples/demo.sh

install: ## install below DESTDIR, for PREFIX=/usr and SYSCONFDIR=/etc; after make build
	@for program in $(BINARIES); do \
	    test -x $(TARGET)/release/$$program || { \
	        echo "$(TARGET)/release/$$program is not there. Run \`make build\` first, not as root." >&2; exit 1; }; \
	done
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(SYSUSERSDIR)' \
	    '$(DESTDIR)$(TMPFILESDIR)' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(CONFDIR)/conf.d' \
	    '$(DESTDIR)$(SYSCONFDIR)/xinetd.d'
	set -e; for program in $(BINARIES); do \
	    install -m 755 $(TARGET)/release/$$program '$(DESTDIR)$(BINDIR)/'; \
	done
	set -e; for unit in $(UNITS); do \
	    $(PATHS) systemd/$$unit | install -m 644 /dev/stdin "$(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	install -m 644 systemd/agentcheck.sysusers '$(DESTDIR)$(SYSUSERSDIR)/agentcheck.conf'
	install -m 644 systemd/agentcheck.tmpfiles '$(DESTDIR)$(TMPFILESDIR)/agentcheck.conf'
	set -e; for file in $(OPTIONAL); do \
	    $(PATHS) systemd/optional/$$file | install -D -m 644 /dev/stdin "$(DESTDIR)$(DOCDIR)/systemd/$$file"; \
	done
	set -e; for page in $(MANPAGES); do \
	    install -D -m 644 man/$$page "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; \
	done
	set -e; for file in $(EXAMPLES); do \
	    mode=644; if [ -x "examples/$$file" ]; then mode=755; fi; \
	    install -D -m $$mode "examples/$$file" "$(DESTDIR)$(DOCDIR)/examples/$$file"; \
	done
	set -e; for file in $(DOCS); do install -m 644 $$file '$(DESTDIR)$(DOCDIR)/'; done
	@# Configuration is its owner's: written once, never again.
	set -e; conf='$(DESTDIR)$(CONFDIR)/agentcheck.toml'; \
	if [ -e examples/agentcheck.toml ] && [ ! -e "$$conf" ]; then \
	    install -m 644 examples/agentcheck.toml "$$conf"; \
	fi
	set -e; conf='$(DESTDIR)$(SYSCONFDIR)/xinetd.d/agentcheck'; \
	if [ ! -e "$$conf" ]; then $(XINETD) | install -m 644 /dev/stdin "$$conf"; fi
	@if [ -z '$(DESTDIR)' ]; then \
	    echo; echo 'Installed. With systemd, next:'; \
	    echo '  systemd-sysusers && systemctl daemon-reload'; \
	    echo '  agentcheck check --config $(CONFDIR)/agentcheck.toml'; \
	    echo '  systemctl enable --now agentcheck-collector.service agentcheck.socket'; \
	fi

# Takes back what install put there and nobody changed; configuration stays.
uninstall: ## remove what install put there, but for configuration
	@if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then \
	    systemctl disable --now agentcheck-collector.service agentcheck.socket agentcheck-inetd.socket agentcheck.service; \
	fi
	rm -f $(BINARIES:%='$(DESTDIR)$(BINDIR)/%') $(UNITS:%='$(DESTDIR)$(UNITDIR)/%') \
	    '$(DESTDIR)$(SYSUSERSDIR)/agentcheck.conf' '$(DESTDIR)$(TMPFILESDIR)/agentcheck.conf'
	set -e; for page in $(MANPAGES); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; done
	rm -rf '$(DESTDIR)$(DOCDIR)'
	@conf='$(DESTDIR)$(SYSCONFDIR)/xinetd.d/agentcheck'; \
	if [ -e "$$conf" ] && $(XINETD) | cmp -s - "$$conf"; then rm -f "$$conf"; fi
	@for conf in '$(DESTDIR)$(CONFDIR)' '$(DESTDIR)$(SYSCONFDIR)/xinetd.d/agentcheck'; do \
	    if [ -f "$$conf" ] || [ -n "$$(find "$$conf" -type f 2>/dev/null)" ]; then echo "left: $$conf"; fi; \
	done
	@# Whatever of our own directories is empty now, and of the usual ones only in a scratch root.
	@rmdir '$(DESTDIR)$(CONFDIR)/conf.d' '$(DESTDIR)$(CONFDIR)' 2>/dev/null || true
	@if [ -n '$(DESTDIR)' ]; then find '$(DESTDIR)' -mindepth 1 -type d -empty -delete; fi
