//! Follows imports from `main` until nothing new is found or a limit is met.
//!
//! What cannot be found is left out: the compiler says so with the place in the user's file.

use super::resolve::{Module, Resolver};
use super::scan::specifiers;
use super::{UPLOAD_BYTES_MAX, missing, read_at_most};
use crate::failure::Failure;
use crate::render;
use neofn_types::Code;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;

/// Most files of one function.
const FILES_MAX: usize = 20_000;
/// Endings whose contents can import.
const SCANNED: &[&str] = &["ts", "tsx", "mts", "cts", "js", "mjs", "cjs", "jsx"];

/// The files that `main` reaches, by path in the upload.
pub fn collect(root: &Path, main: &str) -> Result<BTreeMap<String, String>, Failure> {
    let root = fs::canonicalize(root).map_err(|e| Failure::file(root, "open", &e))?;
    let mut resolver = Resolver::new(root);
    let first = resolver.main(main);
    fs::metadata(&first.real).map_err(|reason| missing(main, &reason))?;

    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut bytes = 0;
    let mut queue = VecDeque::from([first]);
    while let Some(module) = queue.pop_front() {
        if files.contains_key(&module.logical) {
            continue;
        }
        let Some(text) = read(&module, main)? else {
            continue;
        };
        bytes += text.len() + module.logical.len();
        if bytes > UPLOAD_BYTES_MAX || files.len() >= FILES_MAX {
            files.insert(module.logical, text);
            return Err(too_large(&files));
        }
        if is_scanned(&module.logical) {
            for specifier in specifiers(&text) {
                queue.extend(resolver.resolve(&module, specifier));
            }
        }
        files.insert(module.logical, text);
    }
    Ok(files)
}

fn is_scanned(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| SCANNED.contains(&extension))
}

/// The text of a file; `None` for one that is no text and was only perhaps imported.
fn read(module: &Module, main: &str) -> Result<Option<String>, Failure> {
    let is_main = module.logical == main;
    match read_at_most(&module.real, UPLOAD_BYTES_MAX) {
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) if is_main => Err(Failure::new(
                Code::Syntax,
                format!("{main} is not UTF-8 text"),
                "save it as UTF-8",
            )),
            Err(_) => Ok(None),
        },
        Ok(None) => Err(Failure::new(
            Code::SourceTooLarge,
            format!(
                "{} is larger than {}",
                module.logical,
                render::bytes(UPLOAD_BYTES_MAX)
            ),
            "",
        )),
        Err(reason) if is_main => Err(missing(main, &reason)),
        Err(_) => Ok(None),
    }
}

/// Names the packages that take the most.
fn too_large(files: &BTreeMap<String, String>) -> Failure {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, text) in files {
        let owner = match path.rsplit_once("node_modules/") {
            None => "the project itself",
            Some((_, rest)) => {
                let parts = if rest.starts_with('@') { 2 } else { 1 };
                rest.match_indices('/')
                    .nth(parts - 1)
                    .map_or(rest, |(at, _)| rest.get(..at).unwrap_or(rest))
            }
        };
        *sizes.entry(owner).or_default() += text.len();
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest: Vec<_> = sizes
        .iter()
        .take(3)
        .map(|(name, size)| format!("{name} {}", render::bytes(*size)))
        .collect();
    Failure::new(
        Code::SourceTooLarge,
        format!(
            "the files that `main` imports are larger than {} together",
            render::bytes(UPLOAD_BYTES_MAX)
        ),
        format!("import less; the largest are: {}", largest.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::collect;
    use std::fs;
    use std::path::Path;

    fn lay(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            fs::write(path, text).expect("file");
        }
    }
    fn names(root: &Path, main: &str) -> Vec<String> {
        collect(root, main).expect("collects").into_keys().collect()
    }

    #[test]
    fn the_closure_holds_local_files_and_packages_and_no_more() {
        let root = tempfile::tempdir().expect("tempdir");
        lay(
            root.path(),
            &[
                (
                    "src/a.ts",
                    "import { b } from './b.js'; import d from 'dayjs'; import utc from 'dayjs/plugin/utc'; import x from 'absent'; import s from '../../secret'",
                ),
                (
                    "src/b.ts",
                    "import data from './data.json'; export * from './lib'",
                ),
                ("src/data.json", "{}"),
                ("src/lib/index.ts", "import s from '@s/p/sub'"),
                ("src/unused.ts", ""),
                ("node_modules/dayjs/package.json", r#"{"main":"dayjs.min.js"}"#),
                (
                    "node_modules/dayjs/dayjs.min.js",
                    "module.exports=require('./locale')",
                ),
                ("node_modules/dayjs/locale.js", ""),
                ("node_modules/dayjs/plugin/utc.js", ""),
                ("node_modules/dayjs/README.md", ""),
                (
                    "node_modules/@s/p/package.json",
                    r#"{"exports":{"./sub":{"import":"./dist/sub.mjs","types":"./t.d.ts"}}}"#,
                ),
                ("node_modules/@s/p/dist/sub.mjs", "import 'dep'"),
                ("node_modules/@s/p/node_modules/dep/index.js", ""),
            ],
        );
        assert_eq!(
            names(root.path(), "src/a.ts"),
            [
                "node_modules/@s/p/dist/sub.mjs",
                "node_modules/@s/p/node_modules/dep/index.js",
                "node_modules/@s/p/package.json",
                "node_modules/dayjs/dayjs.min.js",
                "node_modules/dayjs/locale.js",
                "node_modules/dayjs/package.json",
                "node_modules/dayjs/plugin/utc.js",
                "src/a.ts",
                "src/b.ts",
                "src/data.json",
                "src/lib/index.ts",
            ]
        );
    }

    #[test]
    fn packages_behind_links_and_above_the_project_find_each_other() {
        let root = tempfile::tempdir().expect("tempdir");
        let store = "work/node_modules/.pnpm";
        lay(
            root.path(),
            &[
                ("work/app/a.js", "import 'x'; import 'y'"),
                (&format!("{store}/x@1/node_modules/x/index.js"), "import 'y'"),
                (
                    &format!("{store}/y@1/node_modules/y/index.js"),
                    "import 'x'; //one",
                ),
                (&format!("{store}/y@2/node_modules/y/index.js"), "//two"),
            ],
        );
        let link = |target: &str, at: &str| {
            let at = root.path().join(at);
            fs::create_dir_all(at.parent().expect("parent")).expect("directory");
            std::os::unix::fs::symlink(root.path().join(target), at).expect("link");
        };
        link(&format!("{store}/x@1/node_modules/x"), "work/app/node_modules/x");
        link(&format!("{store}/y@2/node_modules/y"), "work/node_modules/y");
        link(
            &format!("{store}/y@1/node_modules/y"),
            &format!("{store}/x@1/node_modules/y"),
        );
        link(
            &format!("{store}/x@1/node_modules/x"),
            &format!("{store}/y@1/node_modules/x"),
        );
        let files = collect(&root.path().join("work/app"), "a.js").expect("collects");
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            [
                "a.js",
                "node_modules/x/index.js",
                "node_modules/x/node_modules/y/index.js",
                "node_modules/y/index.js",
            ]
        );
        assert_eq!(files["node_modules/y/index.js"], "//two");
        assert!(files["node_modules/x/node_modules/y/index.js"].ends_with("//one"));
    }

    #[test]
    fn links_out_of_the_project_are_not_followed() {
        let root = tempfile::tempdir().expect("tempdir");
        lay(
            root.path(),
            &[
                ("secret.js", "1"),
                ("app/a.js", "import './link.js'; import '../secret.js'"),
            ],
        );
        std::os::unix::fs::symlink(root.path().join("secret.js"), root.path().join("app/link.js"))
            .expect("link");
        assert_eq!(names(&root.path().join("app"), "a.js"), ["a.js"]);
    }

    #[test]
    fn too_much_is_refused_with_the_names_of_the_largest() {
        let root = tempfile::tempdir().expect("tempdir");
        let big = "x".repeat(9 << 20);
        lay(
            root.path(),
            &[
                ("a.js", "import './b'; import 'p'"),
                ("b.js", &big),
                ("node_modules/p/index.js", &big),
            ],
        );
        let failure = collect(root.path(), "a.js").expect_err("too large");
        assert_eq!(failure.problem.code, "NF0107");
        assert!(
            failure.problem.hint.contains("p 9.0 MiB"),
            "{}",
            failure.problem.hint
        );
    }
}
