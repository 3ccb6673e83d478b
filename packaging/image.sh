#!/bin/sh
# image.sh DIST DIRECTORY: unpacks the archives of a release in DIST into DIRECTORY, which examples/container/Containerfile
# takes: a root file system for each architecture that DIST has, named as containers name it.
#
# Each contains both static programs, the two users, and the directories for state files, overrides and history.
set -eu
dist=$1
out=$2
rm -rf "$out"
for archive in "$dist"/agentcheck-*.tar.gz; do
	[ -e "$archive" ] || { echo "no archive in $dist; run: make dist" >&2; exit 1; }
	case $archive in
	*-x86_64-*) architecture=amd64 ;;
	*-aarch64-*) architecture=arm64 ;;
	*-armv7-*) architecture=arm ;;
	*-riscv64*) architecture=riscv64 ;;
	*) echo "$archive: unknown architecture" >&2; exit 1 ;;
	esac
	root=$out/$architecture
	mkdir -p "$root/usr/bin" "$root/etc/agentcheck" "$root/run/agentcheck" "$root/var/lib/agentcheck/overrides"
	tar --extract --gzip --file "$archive" --directory "$root/usr/bin" --strip-components 2 --wildcards '*/bin/agentcheck*'
	printf '%s\n' 'root:x:0:0::/:/sbin/nologin' 'agentcheck:x:64001:64001::/var/lib/agentcheck:/sbin/nologin' \
		'agentcheck-responder:x:64002:64002::/:/sbin/nologin' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'agentcheck:x:64001:' 'agentcheck-responder:x:64002:' >"$root/etc/group"
	chmod -R u=rwX,go=rX "$root"
	chmod 750 "$root/var/lib/agentcheck"
	chmod 2770 "$root/var/lib/agentcheck/overrides"
done
