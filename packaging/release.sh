#!/bin/bash
# release.sh VERSION         checks that the sources are ready for VERSION, runs every test, and leaves the files of the release
#                            and its notes in target/dist. `make release VERSION=1.2.3` runs it.
# release.sh check VERSION   checks the sources only, and prints the notes: the section of CHANGELOG.md
#
#   GOALS     the goals of the Makefile that must succeed
#   TARGETS   the target triples
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
GOALS=${GOALS-test doc msrv deny test-packages test-systemd-257 prove soak fuzz}
DIST=${DIST:-${TARGET:-target}/dist}

faults=0
fault() {
	echo "not ready for $version: $*" >&2
	faults=$((faults + 1))
}

# The section of this version in CHANGELOG.md, without its heading.
notes() {
	awk -v heading="## $version (" 'index($0, heading) == 1 { found = 1; next } found && /^## / { exit } found' CHANGELOG.md
}

check() {
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "invalid version \"$version\": write 1.2.3" >&2; exit 2; }
	[ -z "$(git status --porcelain)" ] || fault "there are changes without a commit: git status"
	! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || fault "the tag v$version exists"
	grep -qx "version = \"$version\"" Cargo.toml || fault "Cargo.toml has another version"
	local name
	for name in agentcheck agentcheck-common agentcheck-responder; do
		grep -A 1 "^name = \"$name\"$" Cargo.lock | grep -qx "version = \"$version\"" ||
			fault "Cargo.lock has another version of $name: run cargo check"
	done
	local chart=examples/kubernetes/chart/Chart.yaml
	grep -qx "version: $version" "$chart" || fault "$chart has another version"
	grep -qx "appVersion: \"$version\"" "$chart" || fault "$chart has another appVersion"
	grep -q "agentcheck_$version-1_" examples/ansible/playbook.yml || fault "examples/ansible/playbook.yml has another version"
	! grep -q '^## Unreleased' CHANGELOG.md || fault "CHANGELOG.md has a section \"Unreleased\": name it \"$version (DATE)\""
	local first
	first=$(grep -m 1 '^## ' CHANGELOG.md || :)
	[[ $first =~ ^"## $version ("[0-9]{4}-[0-9]{2}-[0-9]{2}")"$ ]] ||
		fault "the first section of CHANGELOG.md is \"$first\": write \"## $version ($(date -u +%F))\""
	[[ $(notes) == *'### Upgrade and rollback'* ]] || fault 'the section of CHANGELOG.md has no "### Upgrade and rollback"'
	[ "$faults" = 0 ]
}

if [ "${1:-}" = check ]; then
	version=${2:-}
	check
	notes
	exit
fi
version=${1:-}
check
for goal in $GOALS; do
	echo "== make $goal"
	make --no-print-directory "$goal"
done
echo "== make reproducible-dist"
make --no-print-directory reproducible-dist TARGETS="${TARGETS:-x86_64-unknown-linux-musl aarch64-unknown-linux-musl}"
notes >"$DIST/NOTES.md"
cat <<END

$DIST has the files and NOTES.md. Next (RELEASING.md has the details):
  git tag -s v$version -m 'agentcheck $version'
  gpg --armor --detach-sign $DIST/SHA256SUMS
END
