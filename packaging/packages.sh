#!/bin/sh
# packages.sh DIRECTORY: makes the .deb and the .rpm of the built programs in DIRECTORY. `make package` runs it.
#
# A package contains what `make install` installs, and the files that only Debian asks for.
#
#   TARGET             cargo's target directory
#   RELEASE            where the programs are
#   VERSION            the version, by default that of Cargo.toml
#   MAINTAINER         NAME <ADDRESS>, by default DEBFULLNAME and DEBEMAIL, git's user, or the user who builds
#   SOURCE_DATE_EPOCH  the only time in a package, by default that of the last commit
#   ARCHITECTURE       a target triple, where the programs are not of this machine
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
TARGET=${TARGET:-target}
RELEASE=${RELEASE:-$TARGET/release}
VERSION=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)}
CARGO=${CARGO:-cargo}
export SOURCE_DATE_EPOCH RELEASE

mkdir -p "$1" "$TARGET"
packages=$(cd "$1" && pwd)
target=$(cd "$TARGET" && pwd)
for tool in cargo-deb cargo-generate-rpm; do
	command -v $tool >/dev/null || { echo "missing $tool; run: cargo install --locked $tool" >&2; exit 1; }
done

maintainer=${MAINTAINER:-}
if [ -z "$maintainer" ] && [ -n "${DEBEMAIL:-}" ]; then
	maintainer="${DEBFULLNAME:-} <$DEBEMAIL>"
elif [ -z "$maintainer" ] && name=$(git config user.name) && email=$(git config user.email); then
	maintainer="$name <$email>"
elif [ -z "$maintainer" ]; then
	maintainer="$(id -un) <$(id -un)@$(hostname -f 2>/dev/null || hostname)>"
fi

# Both tools take "target/release" as cargo's target directory, regardless of RELEASE. With a target triple they take
# TRIPLE/release below it.
architecture=${ARCHITECTURE:-}
stage=$target/${architecture:+$architecture/}release/stage
rm -rf "$stage" "$stage-debian"
env -u BINDIR -u LIBDIR -u MANDIR -u DOCDIR -u UNITDIR -u SYSUSERSDIR -u TMPFILESDIR \
	DESTDIR="$stage" PREFIX=/usr SYSCONFDIR=/etc packaging/install.sh install >/dev/null
find "$stage/usr/share/man" -type f -exec gzip -9n {} +
mkdir -p "$stage-debian/usr/share/doc/agentcheck" "$stage-debian/usr/share/lintian/overrides"
{
	cat packaging/lintian-overrides
	case $architecture in
	*-musl*) printf '%s\n' '# A release runs on hosts with an older libc than the one it was built with, or with another.' \
		'agentcheck: shared-library-lacks-prerequisites [usr/bin/agentcheck]' ;;
	esac
} >"$stage-debian/usr/share/lintian/overrides/agentcheck"
printf '%s\n' "agentcheck ($VERSION-1) unstable; urgency=medium" '' \
	'  * See /usr/share/doc/agentcheck/CHANGELOG.md.' '' \
	" -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")" |
	gzip -9n >"$stage-debian/usr/share/doc/agentcheck/changelog.Debian.gz"

"$CARGO" deb --quiet --locked -p agentcheck --no-build --no-strip --deb-version "$VERSION-1" \
	--maintainer "$maintainer" --output "$packages/" ${architecture:+--target "$architecture"}
# Static programs need no library. xz, because the rpm of RHEL 7 cannot read zstd.
"$CARGO" generate-rpm -p collector --target-dir "$target" --set-metadata "version = \"$VERSION\"" \
	--payload-compress xz --output "$packages/" \
	${architecture:+--target "$architecture" --auto-req disabled}
ls -l "$packages"
