//! Decides whether the responder is built freestanding (`cfg(freestanding)`: no std, no libc, its own
//! `_start`) or as an ordinary std program, and passes the linker the options for the freestanding program.
//!
//! The program is freestanding on Linux on x86_64 and aarch64 with the GNU toolchain. It is a std program on all other
//! targets, in instrumented builds (coverage and sanitizers need a libc), and with `RUSTFLAGS="--cfg agentcheck_std"`,
//! with which the tests build it.

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
    // A debug build contains tables of addresses, and nothing in it could relocate them: it has a fixed address.
    let is_debug = env::var("OPT_LEVEL").is_ok_and(|level| level == "0");
    let (layout, kinds): (_, &[&str]) = match is_debug {
        true => ("layout-debug.ld", &["-static", "-no-pie"]),
        false => ("layout.ld", &["-static-pie"]),
    };
    println!("cargo::rerun-if-changed={layout}");
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let layout = format!("-Wl,-T,{manifest}/{layout}");
    // The program never unwinds. The unwind tables, a tenth of the program, are left out.
    let always = [
        "-nostartfiles",
        "-nostdlib",
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,--no-eh-frame-hdr",
        &layout,
    ];
    for argument in kinds.iter().chain(&always) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
