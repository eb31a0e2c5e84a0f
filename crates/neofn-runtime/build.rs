//! Builds the JavaScript guest with clang, from the sources of QuickJS-ng that cargo has checked and unpacked.

use std::path::{Path, PathBuf};
use std::process::Command;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=guest");
    println!("cargo::rerun-if-env-changed=NEOFN_CLANG");
    println!("cargo::rerun-if-env-changed=NEOFN_GUEST_DIR");
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let quickjs = quickjs_sources(&here)?;
    let script = here.join("guest/build.sh");
    let built = Command::new("sh").arg(&script).arg(&quickjs).output()?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).trim().to_owned().into());
    }
    let wasm = std::fs::read(String::from_utf8(built.stdout)?.trim())?;
    warn_if_unexpected(&here, &wasm)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("engine.wasm");
    std::fs::write(out, wasm)?;
    Ok(())
}

/// Where cargo unpacked the package that carries QuickJS-ng: a locked development dependency.
fn quickjs_sources(here: &Path) -> Result<PathBuf, Failure> {
    const MANIFEST: &str = "/rquickjs-sys-0.14.0/Cargo.toml\"";
    let cargo = std::env::var("CARGO")?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .current_dir(here)
        .output()?;
    let metadata = String::from_utf8(output.stdout)?;
    let end = metadata.find(MANIFEST).ok_or_else(|| {
        format!(
            "the package rquickjs-sys 0.14.0 was not found: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })?;
    let (before, _) = metadata.split_at(end);
    let start = before.rfind('"').ok_or("unexpected cargo metadata")? + 1;
    let (_, root) = before.split_at(start);
    Ok(Path::new(root).join("rquickjs-sys-0.14.0/quickjs"))
}

/// The same sources give the same bytes under the same compiler; others run as well, but name another engine.
fn warn_if_unexpected(here: &Path, wasm: &[u8]) -> Result<(), Failure> {
    use sha2::Digest as _;
    let hash: String = sha2::Sha256::digest(wasm)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let clang = std::env::var("NEOFN_CLANG").unwrap_or_else(|_| "clang-22".to_owned());
    let version = Command::new(clang).arg("--version").output()?;
    let version = String::from_utf8(version.stdout)?;
    let version = version.lines().next().unwrap_or_default();
    let expected = std::fs::read_to_string(here.join("guest/EXPECTED"))?;
    let known = expected
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once("  "));
    let mut seen = false;
    for (sum, compiler) in known.filter(|(_, compiler)| *compiler == version) {
        seen = true;
        if sum != hash {
            println!(
                "cargo::warning=the JavaScript engine is {hash}, not {sum} as guest/EXPECTED says for {compiler}; versions deployed with the other engine will not run on this build"
            );
        }
    }
    if !seen {
        println!("cargo::warning=guest/EXPECTED has no line for {version}; the engine is {hash}");
    }
    Ok(())
}
