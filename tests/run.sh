#!/bin/bash
# Runs all tests: three for each processor, because most of them wait for another program.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
threads=${RUST_TEST_THREADS:-$((3 * $(nproc)))}

if "$cargo" nextest --version >/dev/null 2>&1; then
	"$cargo" nextest run --workspace --locked --test-threads "$threads"
	exec "$cargo" test --workspace --locked --doc
fi
RUST_TEST_THREADS=$threads exec "$cargo" test --workspace --locked --no-fail-fast
