#!/bin/sh
# Installs the programs that the tests use: HAProxy and all launchers. For Debian and its derivatives; as root, or by
# sudo. A second run finds everything installed, and prompts for nothing.
#
# openbsd-inetd conflicts with xinetd, so it is not installed but unpacked, into the target directory; and so is
# prometheus, of which only promtool is wanted (19 MB are fetched). tests/haproxy-13.sh unpacks Debian 13's HAProxy.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
programs=${CARGO_TARGET_DIR:-$here/target}/test-programs

# The programs of the tests, by package.
#   haproxy                        who it is all for
#   xinetd                         launchers of one process per probe, and of loops
#   ucspi-tcp ipsvd tcputils       tcpserver, tcpsvd, mini-inetd
#   socat ncat                     the same by hand
#   systemd                        booted in namespaces; systemd-socket-activate; systemd-analyze
#   iproute2                       addresses for the access lists of the listeners
#   util-linux bsdutils            unshare, nsenter, setpriv; script, for a terminal
#   e2fsprogs                      a disk of a test's own, that hangs
#   libfaketime                    a wall clock that is set while the collector is at work
#   strace                         counts system calls, and holds a thread up
#   valgrind                       looks at the responder's memory
#   qemu-user gcc-aarch64-linux-gnu  run and link it for the other architecture
#   busybox                        its syslogd, a small one
#   procps curl python3            the demo, the examples, and clients of the HTTP answers
#   nginx                          a proxy in front of the HTTP answers
#   keepalived ldirectord          balancers that run agentcheck probe
#   python3-yaml                   reads the examples of Kubernetes, Envoy and Traefik
#   chromium-headless-shell        the browser that looks at the page of agentcheck report; with what it needs
#                                  100 MB are fetched, in half a minute
#   prometheus-node-exporter       reads the metrics, as it does in the field
#   openrc runit s6                service managers for the files of packaging/init, unpacked
#   redis-server memcached msmtp-mta postgresql  servers that sources talk to
#   mariadb-server-core mariadb-client-core galera-4  the node that examples/clustercheck polls, and a source;
#                                  these packages start no service
#   bash zsh fish                  complete the names of services
#   openssl                        a certificate for an HTTPS server of a test
#   make                           make install is how the tests install
packages="haproxy xinetd ucspi-tcp ipsvd tcputils socat ncat systemd iproute2 util-linux bsdutils strace
	valgrind qemu-user gcc-aarch64-linux-gnu busybox procps curl python3 python3-yaml nginx keepalived ldirectord make
	chromium-headless-shell e2fsprogs libfaketime prometheus-node-exporter redis-server memcached msmtp-mta postgresql
	mariadb-server-core mariadb-client-core galera-4 bash zsh fish openssl"

# The core library of the other architecture. Without rustup, the test that needs it names the missing library.
target=aarch64-unknown-linux-gnu
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then
	rustup target add "$target"
fi

missing=
for package in $packages; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing="$missing $package"
done

inetd=$programs/openbsd-inetd/usr/sbin/inetd
promtool=$programs/prometheus/usr/bin/promtool
haproxy=$programs/haproxy-debian-13
if [ -z "$missing" ] && [ -x "$haproxy/haproxy" ] && [ -x "$inetd" ] && [ -x "$promtool" ] &&
	[ -d "$programs/openrc" ] && [ -d "$programs/runit" ] && [ -d "$programs/s6" ]; then
	exit 0
fi

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo

$as_root apt-get update -qq
if [ -n "$missing" ]; then
	echo "installing:$missing"
	# The installation must start no service. policy-rc.d prevents that; an existing policy stays.
	policy=/usr/sbin/policy-rc.d
	ours=
	if [ ! -e "$policy" ]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
		$as_root chmod 755 "$policy"
	fi
	status=0
	# shellcheck disable=SC2086 # a list of words
	$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing || status=$?
	if [ -n "$ours" ]; then
		$as_root rm -f "$policy"
	fi
	[ "$status" -eq 0 ] || exit "$status"
fi

# unpack PACKAGE [DIRECTORY]: unpacks a package, into a directory of its own or into this one.
unpack() {
	echo "unpacking: $1"
	mkdir -p "$programs"
	# Into a directory that apt's own user can write to, or it warns.
	download=$(mktemp -d)
	chmod 755 "$download"
	trap 'rm -rf "$download"' EXIT
	(cd "$download" && apt-get download -qq "$1" 2>/dev/null)
	dpkg -x "$download/$1"_*.deb "${2:-$programs/$1}"
	rm -rf "$download"
}

[ -x "$inetd" ] || unpack openbsd-inetd
if [ ! -x "$promtool" ]; then
	unpack prometheus
	# The server itself is as large, and no test runs it.
	rm -f "$programs/prometheus/usr/bin/prometheus"
fi
# Service managers, which conflict with systemd or start at once: unpacked as well, each with its own libraries.
for manager in openrc runit s6; do
	if [ ! -d "$programs/$manager" ]; then
		rm -rf "$programs/$manager.new"
		for package in $manager $(apt-cache depends --important "$manager" |
			sed -n 's/.*Depends: \(lib\(einfo\|rc[0-9]\|s6\|skarnet\|execline\).*\|execline\)$/\1/p'); do
			unpack "$package" "$programs/$manager.new"
		done
		mv "$programs/$manager.new" "$programs/$manager"
	fi
done

[ -x "$haproxy/haproxy" ] || "$here/tests/haproxy-13.sh" "$haproxy"
