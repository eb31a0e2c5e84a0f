//! What can be refused without parsing: sizes, counts and the shape of paths. Runs in the node, linear in the input.

use crate::request::{CompileRequest, SourceLimits};
use neofn_types::{Code, Diagnostic, Severity};

/// Everything wrong with the upload; empty when nothing is.
pub(crate) fn check(request: &CompileRequest) -> Vec<Diagnostic> {
    let limits = &request.limits;
    let mut found = Vec::new();
    let total: u64 = request
        .files
        .iter()
        .map(|(path, text)| bytes(path).saturating_add(bytes(text)))
        .sum();
    if total > limits.upload_bytes_max {
        found.push(finding(
            Code::SourceTooLarge,
            "",
            format!(
                "the uploaded files are {total} bytes together; the limit is {}",
                limits.upload_bytes_max
            ),
        ));
        return found;
    }
    let own = |path: &str| !path.starts_with("node_modules/") && !path.contains("/node_modules/");
    let own_files = request.files.iter().filter(|(path, _)| own(path));
    let sizes: Vec<(u64, &str)> = own_files
        .map(|(path, text)| (bytes(text), path.as_str()))
        .collect();
    let own_bytes: u64 = sizes.iter().map(|(size, _)| size).sum();
    if own_bytes > limits.own_bytes_max {
        let largest = sizes.iter().max().map_or("", |(_, path)| path);
        found.push(finding(
            Code::SourceTooLarge,
            "",
            format!(
                "the function's own files are {own_bytes} bytes, most of them in {:?}; the limit is {}",
                cut(largest),
                limits.own_bytes_max
            ),
        ));
        return found;
    }
    if request.files.len() > usize::try_from(limits.files_max).unwrap_or(usize::MAX) {
        found.push(finding(
            Code::SourceTooLarge,
            "",
            format!(
                "{} files were uploaded; the limit is {}",
                request.files.len(),
                limits.files_max
            ),
        ));
        return found;
    }
    for path in request.files.keys() {
        if let Err(why) = check_path(path, limits) {
            found.push(finding(
                Code::ManifestInvalid,
                "",
                format!("the path {:?} {why}", cut(path)),
            ));
            if found.len() >= 20 {
                return found;
            }
        }
    }
    if found.is_empty() && !request.files.contains_key(&request.main) {
        let mut missing = finding(
            Code::ManifestInvalid,
            "",
            format!(
                "`main` is {:?}, but no such file was uploaded",
                cut(&request.main)
            ),
        );
        missing.hint = nearest(request).map_or_else(
            || "Upload the file, or name another one in `main`.".to_owned(),
            |path| format!("Did you mean {path:?}?"),
        );
        found.push(missing);
    }
    found
}

fn check_path(path: &str, limits: &SourceLimits) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if bytes(path) > u64::from(limits.path_bytes_max) {
        return Err("is too long");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err("has a control character or a backslash in it");
    }
    if path.contains(['?', '#']) {
        return Err("has `?` or `#` in it, which ends the path of an import");
    }
    if path.starts_with('/') {
        return Err("is absolute; paths are relative to the project");
    }
    if path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        return Err("has an empty part, `.` or `..` in it");
    }
    Ok(())
}

fn nearest(request: &CompileRequest) -> Option<&str> {
    let name = |path: &str| {
        path.rsplit('/')
            .next()
            .and_then(|n| n.split('.').next())
            .map(str::to_owned)
    };
    let wanted = name(&request.main);
    let own = || request.files.keys().filter(|p| !p.starts_with("node_modules/"));
    own()
        .find(|p| name(p) == wanted)
        .or_else(|| own().find(|p| name(p).as_deref() == Some("index")))
        .map(|p| p.as_str())
}

fn finding(code: Code, file: &str, message: String) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        file: file.to_owned(),
        line: 0,
        column: 0,
        length: 1,
        message,
        hint: code.info().cure.to_owned(),
        frame: String::new(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
