#!/bin/bash
# Runs all tests: three for each processor, because most of them wait for another program. Then runs the suites that need
# HAProxy again, on Debian 13's HAProxy. `run.sh haproxy` runs only these suites, on the HAProxy in AGENTCHECK_HAPROXY.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
threads=${RUST_TEST_THREADS:-$((3 * $(nproc)))}
newer=$(realpath -m "${CARGO_TARGET_DIR:-target}")/test-programs/haproxy-debian-13/haproxy
# What `haproxy` runs; nothing else has a module of such a name.
suites=(conformance recovery end_to_end doctor generate explain_reply)

nextest=
if "$cargo" nextest --version >/dev/null 2>&1; then
	nextest=yes
fi

all() {
	if [ -n "$nextest" ]; then
		"$cargo" nextest run --workspace --locked --test-threads "$threads" || return
		"$cargo" test --workspace --locked --doc
	else
		RUST_TEST_THREADS=$threads "$cargo" test --workspace --locked --no-fail-fast
	fi
}

# The whole workspace, because a part of it would be built with other features.
with_haproxy() {
	echo "HAProxy: ${AGENTCHECK_HAPROXY:-the installed one}"
	if [ -n "$nextest" ]; then
		local names
		names=$(IFS='|' && echo "${suites[*]}")
		"$cargo" nextest run --workspace --locked --test-threads "$threads" -E "binary(suite) and test(/^($names)::/)"
	else
		RUST_TEST_THREADS=$threads "$cargo" test --workspace --locked --no-fail-fast --test suite -- "${suites[@]/%/::}"
	fi
}

case ${1:-} in
'') ;;
haproxy)
	with_haproxy
	exit
	;;
*)
	echo "usage: $0 [haproxy]" >&2
	exit 2
	;;
esac

# Without this check, the tests of the second run would fail one by one.
[ -x "$newer" ] || {
	echo "missing $newer: run tests/install-deps.sh" >&2
	exit 1
}
status=0
all || status=$?
AGENTCHECK_HAPROXY=$newer with_haproxy || status=$?
exit "$status"
