#!/bin/sh
# systemd-root.sh DIR: makes a root file system with Debian 13 and its systemd 257 in DIR, where there is none.
# The tests boot it when AGENTCHECK_SYSTEMD_ROOT=DIR. As root; 240 MB; needs debootstrap and the Debian archive that apt
# uses, or the one in DEBIAN_MIRROR.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$1
[ ! -e "$root/lib/systemd/systemd" ] || exit 0
command -v debootstrap >/dev/null || {
	echo "debootstrap is not installed: apt-get install -y debootstrap" >&2
	exit 1
}
rm -rf "$root.new"
archive=${DEBIAN_MIRROR:-$("$here/debian-archive.sh")}
debootstrap --variant=minbase --include=systemd trixie "$root.new" "$archive"
# Files of a package that the tests do not use.
rm -rf "$root.new/var/cache/apt/archives" "$root.new/var/lib/apt/lists"
mv "$root.new" "$root"
