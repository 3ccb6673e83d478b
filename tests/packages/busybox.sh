#!/bin/sh
# busybox.sh: builds a static busybox with init, sh, inetd and tcpsvd from Debian's source package, once. Debian's own busybox
# has neither inetd nor tcpsvd. It needs gcc and make. Prints the path of the program.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
programs=${CARGO_TARGET_DIR:-$here/target}/test-programs
if [ ! -x "$programs/busybox/busybox" ]; then
	work=$programs/busybox.new
	rm -rf "$work"
	mkdir -p "$work/lists/partial"
	cd "$work"
	# Debian's sources, in lists of their own.
	for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		[ ! -e "$file" ] || sed -e 's/^Types: .*/Types: deb-src/' -e 's/^deb /deb-src /' "$file" >"sources.${file##*.}"
	done
	set -- -q -o Dir::Etc::sourceparts=/dev/null -o "Dir::Etc::sourcelist=$(ls -d "$work"/sources.*)" \
		-o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root
	apt-get "$@" update >&2
	apt-get "$@" source --download-only busybox >&2
	tar xf busybox_*.orig.tar.*
	cd busybox-*/
	make -s allnoconfig >&2
	for option in STATIC INIT FEATURE_USE_INITTAB ASH SH_IS_ASH INETD TCPSVD FEATURE_IPV6 SLEEP CAT TEST TEST1 ECHO; do
		sed -i "s/# CONFIG_$option is not set/CONFIG_$option=y/" .config
	done
	yes '' | make -s oldconfig >/dev/null 2>&1
	make -s >&2
	cp busybox ..
	cd "$work"
	rm -rf lists busybox-* busybox_*
	rm -rf "$programs/busybox"
	mv "$work" "$programs/busybox"
fi
echo "$programs/busybox/busybox"
