#!/bin/sh
# Prints the URI of the Debian archive that this machine's apt uses. Other releases are in the same archive.
set -eu
# shellcheck source=/dev/null # the host's own
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# An archive of updates or of security has another code name.
archive=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
	sed -n "s/^$codename //p" | head -n 1)
[ -n "$archive" ] || {
	echo "cannot find the Debian archive of this machine: apt has no index of it; run apt-get update, on Debian" >&2
	exit 1
}
echo "$archive"
