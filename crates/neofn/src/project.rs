//! Finds and reads the project around the working directory.

use crate::failure::Failure;
use neofn_manifest::{MANIFEST_BYTES_MAX, Manifest, parse};
use neofn_types::{ChainGrant, Code};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The name of the manifest.
pub const MANIFEST: &str = "neofn.toml";

/// A project on disk.
#[derive(Debug)]
pub struct Project {
    /// Where its manifest lies.
    pub root: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

impl Project {
    /// The nearest project at or above `directory`, if there is one.
    pub fn find(directory: &Path) -> Result<Option<Self>, Failure> {
        let root = directory.ancestors().find(|dir| dir.join(MANIFEST).is_file());
        root.map(Self::read).transpose()
    }

    /// The nearest project, or the error that says there is none.
    pub fn require(directory: &Path) -> Result<Self, Failure> {
        Self::find(directory)?.ok_or_else(|| {
            Failure::new(
                Code::NoProjectHere,
                format!("no {MANIFEST} in {} or above", directory.display()),
                "",
            )
        })
    }

    /// Reads the project whose manifest lies in `root`.
    pub fn read(root: &Path) -> Result<Self, Failure> {
        let path = root.join(MANIFEST);
        let file = fs::File::open(&path).map_err(|e| Failure::file(&path, "open", &e))?;
        let mut bytes = Vec::new();
        let most = u64::try_from(MANIFEST_BYTES_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(4);
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::file(&path, "read", &e))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Failure::new(
                Code::ManifestInvalid,
                format!("{} is not UTF-8 text", path.display()),
                "save it as UTF-8",
            )
        })?;
        Ok(Self {
            root: root.to_owned(),
            manifest: parse(MANIFEST, &text)?,
        })
    }

    /// Whether a function waits for blocks, or may look at the chain or send transactions.
    #[must_use]
    pub fn wants_chain(&self) -> bool {
        self.manifest.functions.values().any(|function| {
            let waits = function.on.0.iter().any(|trigger| trigger.on.kind().is_chain());
            waits || function.allow.chain != ChainGrant::None
        })
    }

    /// Where neofn keeps what belongs to this project on this machine.
    #[must_use]
    pub fn hidden(&self) -> PathBuf {
        self.root.join(".neofn")
    }
}
