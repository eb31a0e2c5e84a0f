//! Tokens of SoftHSM for a test: a directory of their own, gone with the test. SoftHSM is told by an environment variable
//! where its tokens are, so the test runs once more as a process of its own that has it.

use std::path::{Path, PathBuf};
use std::process::Command;

const DIR: &str = "NEOFN_TEST_TOKENS";
/// Of every token's user.
pub const TOKEN_PIN: &str = "648219";

/// SoftHSM's library.
#[must_use]
pub fn softhsm() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    let found = places.iter().map(PathBuf::from).find(|p| p.exists());
    found.expect("SoftHSM: run `make setup`")
}

fn util(conf: &Path, args: &[&str]) {
    let done = Command::new("softhsm2-util")
        .args(args)
        .env("SOFTHSM2_CONF", conf)
        .output()
        .expect("softhsm2-util: run `make setup`");
    assert!(done.status.success(), "{args:?}: {done:?}");
}

/// Runs `test` in a process that has the tokens `vault` and `spare`, and a directory for whatever it likes; tokens are in its
/// `tokens`. `name` is the test's own, with its modules.
pub fn with_tokens(name: &str, test: impl FnOnce(&Path)) {
    if let Some(dir) = std::env::var_os(DIR) {
        return test(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (tokens, conf) = (dir.path().join("tokens"), dir.path().join("softhsm2.conf"));
    std::fs::create_dir(&tokens).expect("a directory of tokens");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).expect("SoftHSM's configuration");
    for label in ["vault", "spare"] {
        let init = ["--init-token", "--free", "--label", label];
        util(
            &conf,
            &[&init[..], &["--pin", TOKEN_PIN, "--so-pin", "12345678"]].concat(),
        );
    }
    let child = Command::new(std::env::current_exe().expect("the test's own path"))
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(DIR, dir.path())
        .output()
        .expect("the test once more");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    let ran = String::from_utf8_lossy(&child.stdout);
    assert!(ran.contains("1 passed"), "no test of this name: {name}\n{ran}");
}

/// Puts an AES key on the token `vault`, as an operator would; it cannot be taken off again.
pub fn import_key(dir: &Path, label: &str, id: u8, key: &[u8; 32]) {
    let file = dir.join(format!("{label}.aes"));
    std::fs::write(&file, key).expect("a key to import");
    let (conf, id) = (dir.join("softhsm2.conf"), format!("{id:02x}"));
    let path = file.to_str().expect("a path");
    let import = ["--import", path, "--aes", "--token", "vault", "--label", label];
    util(&conf, &[&import[..], &["--id", &id, "--pin", TOKEN_PIN]].concat());
    std::fs::remove_file(&file).expect("the key is on the token alone");
}

/// A file with a PIN, of this mode.
#[must_use]
pub fn pin_file(dir: &Path, name: &str, pin: &str, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    std::fs::write(&path, format!("{pin}\n")).expect("a PIN file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    path
}
