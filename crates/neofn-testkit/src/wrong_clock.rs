//! A wall clock that is wrong, for one process: a library that is loaded before its own, made by the C compiler that links
//! the tests anyway. The product has no such switch.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// How wrong it is, is set while processes run by it.
pub struct WrongClock {
    library: PathBuf,
    offset: PathBuf,
    file: Mutex<File>,
    // last, so that the directory outlives the file
    _dir: tempfile::TempDir,
}

impl WrongClock {
    /// One that is so many seconds ahead; below zero: behind.
    #[must_use]
    pub fn ahead_by(seconds: i64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (source, library) = (dir.path().join("clock.c"), dir.path().join("clock.so"));
        std::fs::write(&source, include_str!("wrong_clock.c")).expect("write the library's source");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .output()
            .expect("run cc");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "the library is not made: {said}");
        let offset = dir.path().join("offset");
        let file = Mutex::new(File::create(&offset).expect("make the file"));
        let clock = Self {
            library,
            offset,
            file,
            _dir: dir,
        };
        clock.set(seconds);
        clock
    }

    /// Puts it so many seconds ahead from now on.
    pub fn set(&self, seconds: i64) {
        let mut file = self.file.lock().expect("the file");
        file.rewind().expect("seek");
        file.write_all(&seconds.to_ne_bytes()).expect("set the clock");
    }

    /// What a process needs to run by it.
    pub(crate) fn env(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("NEOFN_TEST_CLOCK", self.offset.clone()),
        ]
    }
}
