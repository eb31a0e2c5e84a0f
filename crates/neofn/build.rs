//! Puts the templates and the type declarations into the binary, so that `neofn init` needs no other files.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let templates = root.join("templates");
    println!("cargo::rerun-if-changed={}", templates.display());
    let mut code = String::from("pub static TEMPLATES: &[(&str, &[(&str, &str)])] = &[\n");
    for name in sorted(&templates)? {
        let directory = templates.join(&name);
        let mut files = Vec::new();
        gather(&directory, &directory, &mut files)?;
        writeln!(code, "    ({name:?}, &[")?;
        for (path, file) in files {
            writeln!(code, "        ({path:?}, include_str!({:?})),", file.display())?;
        }
        code.push_str("    ]),\n");
    }
    code.push_str("];\n");
    let types = root.join("sdk/js/index.d.ts");
    writeln!(
        code,
        "pub static TYPES: &str = include_str!({:?});",
        types.display()
    )?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("templates.rs"), code)?;
    Ok(())
}

fn sorted(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>, std::io::Error>>()?;
    names.sort();
    Ok(names)
}

fn gather(root: &Path, directory: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", directory.display());
    for name in sorted(directory)? {
        let path = directory.join(name);
        if path.is_dir() {
            gather(root, &path, files)?;
        } else {
            files.push((path.strip_prefix(root)?.to_string_lossy().into_owned(), path));
        }
    }
    Ok(())
}
