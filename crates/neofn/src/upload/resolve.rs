//! Which files a specifier may mean, in the manner of Node and of TypeScript. Knows no contents but `package.json`.

use super::package::{entries, private_imports};
use super::read_at_most;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGE_JSON_BYTES_MAX: usize = 1 << 20;
const EXTENSIONS: &[&str] = &["ts", "tsx", "mts", "cts", "js", "mjs", "cjs", "jsx", "json"];
/// TypeScript sources are imported by the name of what they compile to.
const COMPILED: &[(&str, &[&str])] = &[
    ("js", &["ts", "tsx"]),
    ("jsx", &["tsx"]),
    ("mjs", &["mts"]),
    ("cjs", &["cts"]),
];

/// A file of the upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its path in the upload: relative, with `/`.
    pub logical: String,
    /// Where it is read from.
    pub real: PathBuf,
    /// The directory it may not leave by relative imports: the project, or its package.
    pub boundary: PathBuf,
    /// The boundary's path in the upload; empty for the project.
    pub home: String,
}

/// Resolves specifiers, and remembers where in the upload each package was put.
pub struct Resolver {
    root: PathBuf,
    placed: BTreeMap<String, PathBuf>,
}

/// `base` and `rel` joined by names alone; `None` when it leaves the upload.
fn join(base: &str, rel: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
    for part in rel.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// What may be appended to or put in place of a path's end, best first.
fn candidates(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    if let Some((stem, extension)) = path.rsplit_once('.') {
        let sources = COMPILED
            .iter()
            .find(|(compiled, _)| *compiled == extension)
            .map_or(&[][..], |(_, s)| s);
        all.extend(sources.iter().map(|source| format!("{stem}.{source}")));
    }
    all.extend(EXTENSIONS.iter().map(|extension| format!("{path}.{extension}")));
    all.extend(
        EXTENSIONS
            .iter()
            .map(|extension| format!("{path}/index.{extension}")),
    );
    all
}

/// `@scope/name/sub/path` as name and `./sub/path` (`.` for none).
fn split_package(specifier: &str) -> Option<(&str, String)> {
    let skip = if specifier.starts_with('@') {
        specifier.find('/')? + 1
    } else {
        0
    };
    let end = specifier
        .get(skip..)?
        .find('/')
        .map_or(specifier.len(), |n| skip + n);
    let (name, rest) = specifier.split_at(end);
    let tidy = !name.is_empty()
        && !name.contains([':', '\\'])
        && !name.split('/').any(|p| matches!(p, "" | "." | ".."));
    tidy.then(|| (name, format!(".{rest}")))
}

impl Resolver {
    /// Resolves for the project in `root`, which must be canonical.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            placed: BTreeMap::new(),
        }
    }

    /// The module that `main` names.
    #[must_use]
    pub fn main(&self, main: &str) -> Module {
        Module {
            logical: main.to_owned(),
            real: self.root.join(main),
            boundary: self.root.clone(),
            home: String::new(),
        }
    }

    /// The files that `specifier` in `from` may mean, `package.json` files included; none when nothing is found.
    pub fn resolve(&mut self, from: &Module, specifier: &str) -> Vec<Module> {
        let rooted = specifier.starts_with('/') || specifier.contains(':');
        match specifier {
            _ if rooted => Vec::new(),
            "." | ".." => self.relative(from, specifier).into_iter().collect(),
            s if s.starts_with("./") || s.starts_with("../") => self.relative(from, s).into_iter().collect(),
            s if s.starts_with('#') => self.private(from, s),
            s => self.package(from, s),
        }
    }

    fn relative(&self, from: &Module, specifier: &str) -> Option<Module> {
        let logical = join(parent(&from.logical), specifier)?;
        let real = from.real.parent()?.join(specifier);
        Self::file(&logical, &real, from)
    }

    /// The file that a path without certain ending means, if it lies inside the boundary of `like`.
    fn file(logical: &str, real: &Path, like: &Module) -> Option<Module> {
        // Both lists are made of the same endings, so they go in step.
        let pairs = candidates(real.to_str()?).into_iter().zip(candidates(logical));
        let (found, logical) = pairs.into_iter().find(|(path, _)| Path::new(path).is_file())?;
        let logical = join("", &logical)?;
        let real = fs::canonicalize(found).ok()?;
        real.starts_with(&like.boundary).then(|| Module {
            logical,
            real,
            boundary: like.boundary.clone(),
            home: like.home.clone(),
        })
    }

    fn private(&mut self, from: &Module, name: &str) -> Vec<Module> {
        let Some((json, manifest)) = package_json(&from.home, &from.boundary) else {
            return Vec::new();
        };
        let mut found = vec![manifest.clone()];
        for target in private_imports(&json, name) {
            found.extend(self.resolve(&manifest, &target));
        }
        found
    }

    fn package(&mut self, from: &Module, specifier: &str) -> Vec<Module> {
        let Some((name, subpath)) = split_package(specifier) else {
            return Vec::new();
        };
        let Some((home, boundary)) = self.place(from, name) else {
            return Vec::new();
        };
        let like = Module {
            logical: String::new(),
            real: PathBuf::new(),
            boundary: boundary.clone(),
            home: home.clone(),
        };
        let (json, mut found) = match package_json(&home, &boundary) {
            Some((json, manifest)) => (json, vec![manifest]),
            None => (Value::Null, Vec::new()),
        };
        for entry in entries(&json, &subpath) {
            let Some(logical) = join(&home, &entry) else {
                continue;
            };
            found.extend(Self::file(&logical, &boundary.join(&entry), &like));
        }
        found
    }

    /// Finds a package as Node does, and a place for it in the upload where the compiler finds it the same way.
    ///
    /// An ordinary `node_modules` keeps its shape. Packages behind links (pnpm, workspaces) or above the project have
    /// no path of their own in the upload, so they are put where nothing else stands in the way.
    fn place(&mut self, from: &Module, name: &str) -> Option<(String, PathBuf)> {
        let found = from
            .real
            .ancestors()
            .skip(1)
            .map(|dir| dir.join("node_modules").join(name))
            .find(|dir| dir.is_dir())?;
        let real = fs::canonicalize(&found).ok()?;
        let natural = found
            .strip_prefix(&self.root)
            .ok()
            .filter(|_| real == found)
            .and_then(Path::to_str);
        if let Some(logical) = natural {
            self.placed.insert(logical.to_owned(), real.clone());
            return Some((logical.to_owned(), real));
        }
        let mut dir = parent(&from.logical);
        let mut taken = false;
        loop {
            let here = join(dir, &format!("node_modules/{name}"))?;
            match self.placed.get(&here) {
                Some(placed) if *placed == real => return Some((here, real)),
                Some(_) => taken = true,
                None => {}
            }
            if dir.is_empty() || taken {
                break;
            }
            dir = parent(dir);
        }
        let logical = join(
            if taken { &from.home } else { "" },
            &format!("node_modules/{name}"),
        )?;
        self.placed.insert(logical.clone(), real.clone());
        Some((logical, real))
    }
}

/// A package's own description and its place in the upload.
fn package_json(home: &str, boundary: &Path) -> Option<(Value, Module)> {
    let real = boundary.join("package.json");
    let bytes = read_at_most(&real, PACKAGE_JSON_BYTES_MAX).ok()??;
    let json = serde_json::from_slice(&bytes).ok()?;
    let logical = join(home, "package.json")?;
    Some((
        json,
        Module {
            logical,
            real,
            boundary: boundary.to_owned(),
            home: home.to_owned(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::{candidates, join, split_package};

    #[test]
    fn paths_are_joined_by_name_and_never_leave() {
        assert_eq!(join("src/a", "../b.ts").as_deref(), Some("src/b.ts"));
        assert_eq!(join("", "./x//y/.").as_deref(), Some("x/y"));
        assert_eq!(join("src", "../../x"), None);
    }

    #[test]
    fn package_names_are_split() {
        assert_eq!(split_package("dayjs"), Some(("dayjs", ".".to_owned())));
        assert_eq!(
            split_package("dayjs/plugin/utc"),
            Some(("dayjs", "./plugin/utc".to_owned()))
        );
        assert_eq!(split_package("@a/b/c"), Some(("@a/b", "./c".to_owned())));
        for bad in ["@a", "", "../x", "@a/..", "node:fs"] {
            assert_eq!(split_package(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_compiled_name_means_its_source() {
        let found = candidates("a/util.js");
        assert_eq!(found.first().map(String::as_str), Some("a/util.js"));
        assert!(found.contains(&"a/util.ts".to_owned()) && found.contains(&"a/util.js/index.ts".to_owned()));
    }
}
