#!/bin/bash
# Repeats the attacks that SECURITY.md names, for at most ATTACK_SECONDS. Prints what the attacks measured, and how
# often each of them ran.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
# Building takes longer than an attack.
"$cargo" test --locked --workspace --no-run || exit 1
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

# What the attacks measured; of several rounds, each.
grep -aoE 'attack: .*' "$log" | cut -c9- | sort
grep -aoE '^test [a-z0-9_:]+ \.\.\.' "$log" | cut -d' ' -f2 | sort | uniq -c
# The harness lists the names of failed tests with an indent of four.
failed=$(grep -E '^    [a-z0-9_]+(::[a-z0-9_]+)+$' "$log" | sort | uniq -c)
echo "$rounds whole rounds; the log is $log"
if [[ -n $failed ]]; then
	printf 'failed:\n%s\n' "$failed"
	exit 1
fi
