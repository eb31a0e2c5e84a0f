//! The projects that `neofn init` can begin with. Their files are in `templates/` and travel in the binary.

/// Files by path; in paths and texts `{{name}}` and `{{project}}` stand for what the user chose.
type Template = &'static [(&'static str, &'static str)];

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/templates.rs"));
}

/// The type declarations of the npm package `neofn`.
pub use embedded::TYPES;

/// The names of all templates.
#[must_use]
pub fn names() -> Vec<&'static str> {
    embedded::TEMPLATES.iter().map(|(name, _)| *name).collect()
}

/// The files of a template, filled in.
#[must_use]
pub fn fill(template: &str, name: &str, project: &str) -> Option<Vec<(String, String)>> {
    let (_, files): &(&str, Template) = embedded::TEMPLATES.iter().find(|(known, _)| *known == template)?;
    let put = |text: &str| text.replace("{{name}}", name).replace("{{project}}", project);
    Some(
        files
            .iter()
            .map(|(path, text)| {
                // A real `.gitignore` would hide files of the template itself.
                let path = if *path == "gitignore" { ".gitignore" } else { path };
                (put(path), put(text))
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_a_project_whose_manifest_is_right() {
        for template in names() {
            let files = fill(template, "hello", "demo").expect("is there");
            let text = |path: &str| files.iter().find(|(p, _)| p == path).map(|(_, t)| t.as_str());
            let manifest =
                neofn_manifest::parse("neofn.toml", text("neofn.toml").expect("has one")).expect(template);
            let (name, function) = manifest.functions.iter().next().expect("one function");
            assert_eq!(
                (name.as_str(), manifest.project.as_str()),
                ("hello", "demo"),
                "{template}"
            );
            assert!(function.test.is_some(), "{template}");
            assert!(
                function.main.ends_with(".wasm") || text(&function.main).is_some(),
                "{template}: {}",
                function.main
            );
            let readme = text("README.md").expect("has one");
            assert_eq!(readme.lines().count(), 5, "{template}");
            assert!(text(".gitignore").is_some(), "{template}");
            assert!(
                !files.iter().any(|(p, t)| [p, t]
                    .iter()
                    .any(|s| s.contains("{{name}}") || s.contains("{{project}}"))),
                "{template}"
            );
        }
    }
}
