#!/bin/bash
# dist.sh DIRECTORY TARGET...: makes the files of a release in DIRECTORY. `make dist` runs it.
#
# For each target triple: static programs, an archive with an installer, a .deb, an .rpm, and a list of components
# (CycloneDX); for all of them one SHA256SUMS. The same sources give the same bytes.
#
# It needs cargo-deb, cargo-generate-rpm and cargo-cyclonedx; musl-tools for x86_64, and Debian's cross compiler of
# another architecture (gcc-aarch64-linux-gnu and libc6-dev-arm64-cross); the standard library of each target by rustup.
# No .apk: nfpm would make one, but no program outside Alpine checks or installs it, so no test could show that it works.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
mkdir -p "$1" "${TARGET:-target}"
dist=$(realpath "$1")
shift
export TARGET
TARGET=$(realpath "${TARGET:-target}")
CARGO=${CARGO:-cargo}
VERSION=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)}
export VERSION SOURCE_DATE_EPOCH
for tool in cargo-deb cargo-generate-rpm cargo-cyclonedx; do
	command -v $tool >/dev/null || { echo "missing $tool; run: cargo install --locked $tool" >&2; exit 1; }
done

# What makes the static collector small, besides collector/build.rs: the linker that comes with Rust merges equal functions.
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/gcc-ld
[ -x "$tools/ld.lld" ] || { echo "missing $tools/ld.lld: use a Rust from rustup" >&2; exit 1; }
SMALL="-Clink-arg=-B$tools -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,--icf=all"

# The programs of a target, in $programs. The responder needs no libc where it is freestanding, which the "gnu" target
# of the same architecture is.
build() {
	local triple=$1 machine=${1%%-*} responder=$1
	local gnu=$machine-unknown-linux-gnu gcc=$machine-linux-gnu-gcc
	case $machine in
	x86_64 | aarch64) responder=$gnu ;;
	armv7) gcc=arm-linux-gnueabihf-gcc ;;
	riscv64gc) gcc=riscv64-linux-gnu-gcc ;;
	esac
	if [ "$machine" != "$(uname -m)" ]; then
		local name
		for name in "$triple" "$responder"; do
			local upper=${name^^}
			export "CARGO_TARGET_${upper//-/_}_LINKER=$gcc" "CC_${name//-/_}=$gcc"
		done
	fi
	# REMAP keeps the paths of this machine out of the programs.
	RUSTFLAGS="${RUSTFLAGS:-} $REMAP $SMALL" "$CARGO" build --release --locked --target "$triple" -p agentcheck
	RUSTFLAGS="${RUSTFLAGS:-} $REMAP" "$CARGO" build --release --locked --target "$responder" \
		-p agentcheck-responder
	programs=$TARGET/$triple/release/static
	mkdir -p "$programs"
	cp "$TARGET/$triple/release/agentcheck" "$TARGET/$responder/release/agentcheck-responder" "$programs/"
	local program
	for program in "$programs"/*; do
		# A program that asks for a dynamic linker is not static.
		if readelf -lW "$program" | grep -q INTERP; then
			echo "$program is not static" >&2
			exit 1
		fi
	done
}

# components TRIPLE: the crates in the programs. cargo-cyclonedx writes beside each manifest, so it gets a copy.
components() {
	local copy=$TARGET/$1/release/components
	rm -rf "$copy"
	mkdir -p "$copy"
	git ls-files -z -- 'Cargo.*' '*/Cargo.toml' common collector responder tests/harness tests/Cargo.toml |
		xargs -0 cp --parents -t "$copy"
	"$CARGO" cyclonedx --quiet --manifest-path "$copy/collector/Cargo.toml" --target "$1" --format json \
		--spec-version 1.5 --no-build-deps --override-filename components
	sed "s|path+file://$copy|path+file:///agentcheck|" "$copy/collector/components.json" \
		>"$dist/agentcheck-$VERSION-$1.cdx.json"
}

rm -f "$dist"/agentcheck* "$dist/SHA256SUMS"
for triple; do
	build "$triple"
	packaging/archive.sh "$programs" "agentcheck-$VERSION-$triple" "$TARGET/$triple/release/archive" \
		"$dist/agentcheck-$VERSION-$triple.tar.gz"
	components "$triple"
	RELEASE=$programs ARCHITECTURE=$triple packaging/packages.sh "$dist" >/dev/null
done
cd "$dist"
sha256sum agentcheck* >SHA256SUMS
ls -l "$dist"
