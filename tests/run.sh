#!/bin/bash
# Builds all tests, and runs the suites three at a time: most of them wait for others more than they work.
# What a suite says is printed when it has ended, so that it stands together.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT

"$cargo" test --workspace --locked --no-run

# Every suite there is, the slowest first: those of the manifests that are to run, those that cargo finds by
# itself, the unit tests, and the examples in the documentation.
suites() {
	printf '%s\n' recovery program systemd conformance launchers end_to_end faults unit
	for manifest in */Cargo.toml; do
		awk '/^\[\[test\]\]/ { name = ""; run = 1 }
			/^name = / { gsub(/"/, "", $3); name = $3 }
			/^test = false/ { run = 0 }
			/^$/ || /^\[/ { if (name != "" && run) print name; if ($0 !~ /^\[\[test/) name = "" }
			END { if (name != "" && run) print name }' <(sed -n '/^\[\[test\]\]/,$p' "$manifest")
	done
	for found in common/tests responder/tests; do
		for suite in "$found"/*.rs "$found"/*/main.rs; do
			[ -e "$suite" ] || continue
			case $suite in
			*/main.rs) basename "$(dirname "$suite")" ;;
			*) basename "$suite" .rs ;;
			esac
		done
	done
	echo doc
}

run() {
	case $1 in
	unit) selected=(--lib) ;;
	doc) selected=(--doc) ;;
	*) selected=(--test "$1") ;;
	esac
	status=0
	"$cargo" test --workspace --locked "${selected[@]}" >"$said/$1" 2>&1 || status=$?
	# One after the other.
	flock "$said" sh -c 'echo "=== $1"; cat "$2"' - "$1" "$said/$1"
	return "$status"
}
export -f run
export cargo said

# A status of one suite above 255 would end the others.
suites | awk '!seen[$0]++' |
	xargs -P 3 -I '{}' bash -c 'run {} || { echo "=== FAILED: {}"; exit 1; }'
