//! What a `package.json` says about entries: `exports`, `imports`, `module`, `main`. Reads no files.
//!
//! Which condition the compiler takes is its own affair, so every target that one of ours could name is answered.

use serde_json::Value;

/// Conditions under which code of a package may run here.
const CONDITIONS: &[&str] = &["import", "module", "default", "require", "neofn"];
/// Targets of one entry; a package that names more is not read to the end.
const TARGETS_MAX: usize = 64;
/// Nesting of conditions.
const DEPTH_MAX: u32 = 16;

/// The files that `subpath` (`.`, `./x`) of a package may mean, without a leading `./`.
#[must_use]
pub fn entries(package: &Value, subpath: &str) -> Vec<String> {
    if let Some(exports) = package.get("exports") {
        let by_path = exports
            .as_object()
            .is_some_and(|map| map.keys().any(|k| k.starts_with('.')));
        return match (by_path, subpath) {
            (true, _) => lookup(exports, subpath),
            (false, ".") => targets(exports, ""),
            (false, _) => Vec::new(),
        };
    }
    match subpath.strip_prefix("./") {
        Some(file) => vec![file.to_owned()],
        None => ["module", "main"]
            .iter()
            .filter_map(|field| package.get(field)?.as_str())
            .chain(["index"])
            .map(|path| path.trim_start_matches("./").to_owned())
            .collect(),
    }
}

/// What a `#name` import of a package may mean: paths inside it (`./x`) or other packages.
#[must_use]
pub fn private_imports(package: &Value, name: &str) -> Vec<String> {
    package
        .get("imports")
        .map_or_else(Vec::new, |imports| lookup_raw(imports, name))
}

fn lookup(map: &Value, key: &str) -> Vec<String> {
    lookup_raw(map, key)
        .into_iter()
        .filter_map(|t| Some(t.strip_prefix("./")?.to_owned()))
        .collect()
}

/// The exact key, else the pattern with the longest prefix.
fn lookup_raw(map: &Value, key: &str) -> Vec<String> {
    if let Some(target) = map.get(key) {
        return targets_raw(target, "");
    }
    let Some(map) = map.as_object() else {
        return Vec::new();
    };
    let best = map
        .iter()
        .filter_map(|(pattern, target)| {
            let (before, after) = pattern.split_once('*')?;
            let star = key.strip_prefix(before)?.strip_suffix(after)?;
            (!star.is_empty()).then_some((before.len(), star, target))
        })
        .max_by_key(|(length, ..)| *length);
    best.map_or_else(Vec::new, |(_, star, target)| targets_raw(target, star))
}

fn targets(target: &Value, star: &str) -> Vec<String> {
    targets_raw(target, star)
        .into_iter()
        .filter_map(|t| Some(t.strip_prefix("./")?.to_owned()))
        .collect()
}

fn targets_raw(target: &Value, star: &str) -> Vec<String> {
    let mut out = Vec::new();
    gather(target, star, DEPTH_MAX, &mut out);
    out
}

fn gather(target: &Value, star: &str, depth: u32, out: &mut Vec<String>) {
    if out.len() >= TARGETS_MAX || depth == 0 {
        return;
    }
    match target {
        Value::String(path) => out.push(path.replace('*', star)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, star, depth - 1, out)),
        Value::Object(conditions) => CONDITIONS
            .iter()
            .filter_map(|condition| conditions.get(*condition))
            .for_each(|target| gather(target, star, depth - 1, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exports_are_followed_for_every_condition_of_ours() {
        let package = json!({"exports": {
            ".": {"types": "./t.d.ts", "import": {"default": "./a.mjs"}, "require": "./a.cjs", "node": "./n.js"},
            "./sub/*": "./lib/*.js", "./sub/deep/*": "./deep/*.js", "./none": null,
        }});
        assert_eq!(entries(&package, "."), ["a.mjs", "a.cjs"]);
        assert_eq!(entries(&package, "./sub/x"), ["lib/x.js"]);
        assert_eq!(entries(&package, "./sub/deep/x"), ["deep/x.js"]);
        assert!(entries(&package, "./none").is_empty() && entries(&package, "./other").is_empty());
        assert_eq!(entries(&json!({"exports": "./x.js"}), "."), ["x.js"]);
        assert_eq!(entries(&json!({"exports": {"import": "./x.js"}}), "."), ["x.js"]);
    }

    #[test]
    fn without_exports_module_and_main_count() {
        let package = json!({"main": "./lib/main.js", "module": "es/main.js"});
        assert_eq!(entries(&package, "."), ["es/main.js", "lib/main.js", "index"]);
        assert_eq!(entries(&package, "./plugin/utc"), ["plugin/utc"]);
        assert_eq!(entries(&json!(null), "."), ["index"]);
    }

    #[test]
    fn private_imports_may_name_packages() {
        let package =
            json!({"imports": {"#a": "./src/a.js", "#b": {"default": "lodash"}, "#c/*": "./c/*.js"}});
        assert_eq!(private_imports(&package, "#a"), ["./src/a.js"]);
        assert_eq!(private_imports(&package, "#b"), ["lodash"]);
        assert_eq!(private_imports(&package, "#c/d"), ["./c/d.js"]);
        assert!(private_imports(&package, "#x").is_empty());
    }
}
