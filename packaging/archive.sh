#!/bin/bash
# archive.sh PROGRAMS NAME WORK FILE: makes FILE, a .tar.gz with one directory NAME: everything that `make install`
# installs with the programs in PROGRAMS, and an installer that needs no make. WORK is a directory for the tree.
#
# SOURCE_DATE_EPOCH is the time of everything in it.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
programs=$1
tree=$3/$2
rm -rf "$tree"
mkdir -p "$tree/bin"
cp "$programs/agentcheck" "$programs/agentcheck-responder" "$tree/bin/"
RELEASE=none packaging/install.sh sources | grep -v ^none/ | sort -u | xargs cp --parents -t "$tree"
cp --parents packaging/install.sh packaging/setup packaging/prerm "$tree"
cat >"$tree/install.sh" <<'END'
#!/bin/sh
# install.sh [install | uninstall]: installs agentcheck into PREFIX (/usr/local) and SYSCONFDIR (/etc), as root.
cd "$(dirname "$0")" || exit 1
PREFIX=${PREFIX:-/usr/local} RELEASE=bin exec sh packaging/install.sh "${1:-install}"
END
chmod 755 "$tree/install.sh"
chmod -R u=rwX,go=rX "$tree"
tar --create --directory "$3" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner \
	--mtime="@$SOURCE_DATE_EPOCH" "$2" | gzip -9n >"$4"
