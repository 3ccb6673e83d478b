#!/bin/sh
# haproxy-13.sh DIR: unpacks Debian 13's HAProxy and its libraries into DIR; DIR/haproxy runs it. The tests use it
# when AGENTCHECK_HAPROXY=DIR/haproxy. Needs no root, and the Debian archive that apt uses; 25 MB are fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
directory=$1
mkdir -p "$(dirname "$directory")"
directory=$(cd "$(dirname "$directory")" && pwd)/$(basename "$directory")

fail() {
	echo "cannot get Debian 13's HAProxy: $1" >&2
	exit 1
}

archive=$("$here/debian-archive.sh")
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || fail "no $keys: apt-get install -y debian-archive-keyring"
echo "unpacking: haproxy of Debian 13, from $archive"

# A state of apt's own, so that the machine's packages stay those of its release.
state=$(mktemp -d)
trap 'rm -rf "$state" "$directory.new"' EXIT
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
: >"$state/status"
echo "deb [signed-by=$keys] $archive trixie main" >"$state/sources.list"
apt() {
	program=$1
	shift
	"$program" -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User= -o APT::Default-Release= -o Acquire::Languages=none -o Acquire::Retries=3 \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
# Without this option, apt only warns.
apt apt-get update -o APT::Update::Error-Mode=any || fail "apt-get update failed for $archive trixie"

# HAProxy, its libraries, and theirs.
packages=haproxy
while :; do
	# shellcheck disable=SC2086 # a list of words
	more=$(apt apt-cache depends --important $packages | sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \(lib.*\)/\2/p')
	# shellcheck disable=SC2086
	more=$(printf '%s\n' $packages $more | sort -u)
	[ "$more" != "$packages" ] || break
	packages=$more
done
# shellcheck disable=SC2086
(cd "$state/packages" && apt apt-get download $packages) || fail "apt-get download failed"

rm -rf "$directory.new"
mkdir -p "$directory.new"
for package in "$state"/packages/*.deb; do
	dpkg -x "$package" "$directory.new"
done
# The machine's C library is older: the program needs its own loader.
loader=$(cd "$directory.new" && find . -name 'ld-linux-*.so.*' | head -n 1)
libraries=$(cd "$directory.new" && dirname "$(find . -name 'libc.so.6' | head -n 1)")
[ -n "$loader" ] && [ -x "$directory.new/usr/sbin/haproxy" ] || fail "the packages contain no loader or no haproxy"
cat >"$directory.new/haproxy" <<-END
	#!/bin/sh
	exec '$directory/$loader' --library-path '$directory/$libraries' '$directory/usr/sbin/haproxy' "\$@"
END
chmod 755 "$directory.new" "$directory.new/haproxy"
rm -rf "$directory"
mv "$directory.new" "$directory"
"$directory/haproxy" -v || {
	rm -rf "$directory"
	fail "it does not run on this machine"
}
