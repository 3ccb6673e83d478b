//! Passes the linker what makes the release program small: no tables for unwinding, and packed relocations.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.ld");
    let variable = |key: &str| env::var(key).unwrap_or_default();
    let (os, libc) = ("CARGO_CFG_TARGET_OS", "CARGO_CFG_TARGET_ENV");
    if variable("PROFILE") != "release" || variable(os) != "linux" {
        return;
    }
    let layout = format!("-Wl,-T,{}/layout.ld", variable("CARGO_MANIFEST_DIR"));
    let mut arguments = vec!["-Wl,--no-eh-frame-hdr", &layout];
    let packs = match variable(libc).as_str() {
        "musl" => true,
        "gnu" => variable("HOST") == variable("TARGET") && glibc_packs(),
        _ => false,
    };
    if packs {
        arguments.push("-Wl,-z,pack-relative-relocs");
    }
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Whether this machine's glibc can read packed relocations, since 2.36. A program with them does not start on an older
/// one.
fn glibc_packs() -> bool {
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let mut find = Command::new(linker);
    let Ok(found) = find.arg("-print-file-name=libc.so.6").output() else {
        return false;
    };
    let library = String::from_utf8_lossy(&found.stdout);
    let library = std::fs::read(Path::new(library.trim())).unwrap_or_default();
    let version = b"GLIBC_ABI_DT_RELR";
    library.windows(version.len()).any(|part| part == version)
}
