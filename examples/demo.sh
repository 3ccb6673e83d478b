#!/bin/bash
# Show on this machine, in half a minute, how replies follow load: a collector polls CPU and memory, a responder
# listens on a loopback port, and this script connects as HAProxy does. It puts load on the machine, removes it,
# and kills the collector. It needs no application and no root, and leaves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${CARGO_TARGET_DIR:-target}/release
for program in agentcheck agentcheck-responder; do
    [ -x "$programs/$program" ] || { echo "$programs/$program is missing; run: make build" >&2; exit 1; }
done

umask 022
here=$(mktemp -d)
children=()
cleanup() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$here"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

cat > "$here/agentcheck.toml" <<CONFIG
[source.cpu.system]
metric = "cpu"
interval = "500ms"

[source.memory.system]
metric = "memory"

[service.web]
weight = "min(headroom(cpu.value, 100), headroom(memory.value, 100))"
floor = 5
fresh_for = "3s"
CONFIG

echo "The configuration:"
sed 's/^/    /' "$here/agentcheck.toml"
echo
echo "agentcheck check prints:"
"$programs/agentcheck" check --config "$here/agentcheck.toml" | sed "s|$here/||; s|^|    |"
echo

mkdir "$here/state"
"$programs/agentcheck" collect --config "$here/agentcheck.toml" --state-dir "$here/state" --data-dir "$here/data" \
    2> "$here/collector.log" &
collector=$!
children+=("$collector")

# A free loopback port: the responder exits at once if the port is taken.
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    "$programs/agentcheck-responder" web --state-dir "$here/state" --listen "127.0.0.1:$port" \
        2> "$here/responder.log" &
    responder=$!
    sleep 0.3
    if kill -0 "$responder" 2>/dev/null; then break; fi
    responder=
done
[ -n "$responder" ] || { cat "$here/responder.log" >&2; exit 1; }
children+=("$responder")

# What HAProxy does: connect, read a line.
probe() {
    local line
    exec 3<> "/dev/tcp/127.0.0.1/$port"
    read -r line <&3 || true
    exec 3>&-
    printf '%s' "$line"
}

# One line per second: what this script does, the readings behind the reply, the reply.
watch() {
    local what=$1 seconds=$2 line reading
    for ((second = 0; second < seconds; second++)); do
        line=$(probe)
        reading=
        if [[ $line == *'cpu='* ]]; then reading=${line#*\# }; fi
        printf '%-28s %-26s %s\n' "$what" "$reading" "$line"
        sleep 1
    done
}

printf '%-28s %-26s %s\n' "this machine" "readings" "reply to HAProxy"
printf '%-28s %-26s %s\n' "------------" "--------" "----------------"
until [ -e "$here/state/web.state" ]; do sleep 0.1; done
watch "at rest" 5

busy=()
for ((core = 0; core < $(nproc); core++)); do
    (while :; do :; done) &
    busy+=("$!")
done
children+=("${busy[@]}")
watch "load on all cores" 7

kill "${busy[@]}"
watch "load taken off" 5

disown "$collector" # Otherwise the shell prints that it was killed.
kill -KILL "$collector"
watch "the collector was killed" 6

echo
echo "The last reply stays: the server keeps its share although its collector is dead."
