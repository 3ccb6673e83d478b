#!/bin/bash
# Feeds both programs hostile bytes, each fuzz target for FUZZ_SECONDS. `make fuzz` runs it.
#
# Inputs that reach new paths go to target/fuzz/found. An input that fails goes to target/fuzz: copy it into the corpus
# beside the target, and it is a test. The targets run without a sanitizer, for which stable Rust has no flag. A
# C++ compiler builds the fuzzer. FUZZ_TARGETS="csv stream" runs some targets only.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null || {
	echo 'missing cargo-fuzz; run: cargo install cargo-fuzz --locked; apt-get install g++' >&2
	exit 1
}
directory=$(realpath -m "${FUZZ_DIR:-${CARGO_TARGET_DIR:-target}/fuzz}")
for path in */fuzz/fuzz_targets/*.rs; do
	target=$(basename "$path" .rs)
	case " ${FUZZ_TARGETS:-$target} " in
	*" $target "*) ;;
	*) continue ;;
	esac
	mkdir -p "$directory/found/$target"
	dictionary=$PWD/${path%%/*}/fuzz/dictionaries/$target.dict
	words=()
	[ ! -f "$dictionary" ] || words=("-dict=$dictionary")
	(cd "${path%%/*}" && CARGO_TARGET_DIR=$directory "${CARGO:-cargo}" fuzz run -s none "$target" \
		"$directory/found/$target" "fuzz/corpus/$target" -- -max_len=8192 -print_final_stats=1 "${words[@]}" \
		-timeout=30 -max_total_time="${FUZZ_SECONDS:-300}" "-artifact_prefix=$directory/$target-")
done
