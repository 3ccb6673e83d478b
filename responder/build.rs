//! Decides whether the responder is built freestanding (`cfg(freestanding)`: no std, no libc, its own
//! `_start`) or as an ordinary std program, and gives the linker what the former needs.
//!
//! Freestanding is the rule on Linux on x86_64 and aarch64 with the GNU toolchain. The std shell is
//! for every other target, for instrumented builds (coverage and sanitizers want a libc), and for
//! whoever asks with `RUSTFLAGS="--cfg agentcheck_std"`, which is how CI keeps it from rotting.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rustc-check-cfg=cfg(freestanding)");
    println!("cargo::rustc-check-cfg=cfg(agentcheck_std)");

    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    let supported = target("OS") == "linux"
        && target("ENV") == "gnu"
        && target("POINTER_WIDTH") == "64"
        && target("ENDIAN") == "little"
        && matches!(target("ARCH").as_str(), "x86_64" | "aarch64");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let wants_std = ["instrument-coverage", "sanitizer", "agentcheck_std"]
        .iter()
        .any(|flag| flags.contains(flag));
    if !supported || wants_std {
        return;
    }

    println!("cargo::rustc-cfg=freestanding");
    // Nothing here ever unwinds, so the tables for it are left out: a tenth of the program.
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let layout = format!("-Wl,-T,{manifest}/layout.ld");
    println!("cargo::rerun-if-changed=layout.ld");
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,--no-eh-frame-hdr",
        &layout,
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
