#!/bin/bash
# Repeats the attacks that SECURITY.md names, for at most ATTACK_SECONDS, and prints how often each of them ran.
# The figures that the attacks measure are in the log.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
end=$((SECONDS + ${ATTACK_SECONDS:-540}))
log=$(mktemp)
names=$(grep -oE '[a-z_/]+\.rs::[a-z0-9_]+' SECURITY.md | sort -u)

# Runs the attacks in the files below a path, with the test program that contains them.
attack() {
	local tests left
	mapfile -t tests < <(grep "^$1" <<<"$names" | sed 's/.*:://')
	left=$((end - SECONDS))
	((left > 0)) || return 0
	timeout "$left" "$cargo" test --locked -p "$2" "${@:3}" -- \
		--nocapture --test-threads 2 "${tests[@]}" >>"$log" 2>&1
}

rounds=0
while ((SECONDS < end)); do
	attack common/ agentcheck-common --lib
	attack responder/src/ agentcheck-responder --lib
	attack responder/tests/program/ agentcheck-responder --test program
	attack collector/src/ agentcheck --lib
	attack collector/tests/suite/ agentcheck --test suite
	attack tests/suite/ agentcheck-tests --test suite
	((SECONDS < end)) && rounds=$((rounds + 1))
done

grep -oE '^test [a-z0-9_:]+ \.\.\.' "$log" | cut -d' ' -f2 | sort | uniq -c
# The harness lists the names of failed tests with an indent of four.
failed=$(grep -E '^    [a-z0-9_]+(::[a-z0-9_]+)+$' "$log" | sort | uniq -c)
echo "$rounds whole rounds; the log is $log"
if [[ -n $failed ]]; then
	printf 'failed:\n%s\n' "$failed"
	exit 1
fi
