//! The uploaded files as a read-only file system for the resolver and the bundler. The child has no other.

use oxc_resolver::{FileMetadata, ResolveError};
use rolldown_fs::{FileSystem, OxcResolverFileSystem};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the project appears to lie.
pub(crate) const ROOT: &str = "/project";

/// The files of one request, under [`ROOT`].
#[derive(Debug, Clone)]
pub(crate) struct ProjectFs(Arc<Tree>);

#[derive(Debug, Default)]
struct Tree {
    files: HashMap<PathBuf, Arc<str>>,
    dirs: HashSet<PathBuf>,
}

impl ProjectFs {
    pub fn build(files: BTreeMap<String, String>) -> Self {
        let mut tree = Tree::default();
        for (path, text) in files {
            let path = absolute(&path);
            for dir in path.ancestors().skip(1) {
                if !tree.dirs.insert(dir.to_owned()) {
                    break;
                }
            }
            tree.files.insert(path, Arc::from(text));
        }
        Self(Arc::new(tree))
    }

    /// The same project with other text in one file.
    pub fn with_text(&self, path: &str, text: String) -> Self {
        let mut tree = Tree {
            files: self.0.files.clone(),
            dirs: self.0.dirs.clone(),
        };
        tree.files.insert(absolute(path), Arc::from(text));
        Self(Arc::new(tree))
    }

    /// The text of a file by its path in the project.
    pub fn text(&self, path: &str) -> Option<Arc<str>> {
        self.0.files.get(&absolute(path)).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<&Arc<str>> {
        self.0
            .files
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// `src/a.ts` as the bundler sees it.
pub(crate) fn absolute(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// `src/a.ts` of what the bundler sees; `None` for what is not in the project.
pub(crate) fn relative(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT)?.strip_prefix('/')
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem))
}

impl OxcResolverFileSystem for ProjectFs {
    fn new(_yarn_pnp: bool) -> Self {
        Self(Arc::default())
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.file(path).map(|text| text.as_bytes().to_vec())
    }
    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        self.file(path).map(|text| text.to_string())
    }
    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        if self.0.files.contains_key(path) {
            Ok(FileMetadata::new(true, false, false))
        } else if self.0.dirs.contains(path) {
            Ok(FileMetadata::new(false, true, false))
        } else {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
    }
    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.metadata(path)
    }
    fn read_link(&self, _path: &Path) -> Result<PathBuf, ResolveError> {
        Err(ResolveError::from(io::Error::from(io::ErrorKind::NotFound)))
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.metadata(path).map(|_| path.to_owned())
    }
}

impl FileSystem for ProjectFs {
    fn remove_dir_all(&self, _path: &Path) -> io::Result<()> {
        read_only()
    }
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        read_only()
    }
    fn write(&self, _path: &Path, _content: &[u8]) -> io::Result<()> {
        read_only()
    }
    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let below = |p: &&PathBuf| p.parent() == Some(path);
        Ok(self
            .0
            .files
            .keys()
            .chain(&self.0.dirs)
            .filter(below)
            .cloned()
            .collect())
    }
    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        read_only()
    }
}
