#!/bin/bash
# reproducible.sh 'GOAL [VARIABLE=VALUE]' FILE...: builds GOAL of the Makefile once more, from a copy of the sources in another directory
# and with another target directory, and compares the files, whose names are relative to the target directory.
set -euo pipefail
cd "$(dirname "$0")/.."
goal=$1
shift
target=$(realpath "${TARGET:-target}")
other=$target/reproducible/the/other
rm -rf "$target/reproducible"
mkdir -p "$other"
git ls-files -z | xargs -0 cp --parents -t "$other"
# The copy is a repository of its own, because `make dist` packs the files that git knows.
git init -q "$other"
git -C "$other" add --all --force
for key in user.name user.email; do
	! value=$(git config $key) || git -C "$other" config $key "$value"
done
# Variables that name a place would lead back to the first build.
env -u CARGO_TARGET_DIR -u RELEASE -u DIST -u PACKAGES -u MAKEFLAGS -u MAKELEVEL \
	sh -c "make --no-print-directory -C '$other' $goal TARGET=target"
cd "$target"
sha256sum "$@" | tee reproducible/sums
cd "$other/target"
sha256sum --check "$target/reproducible/sums"
