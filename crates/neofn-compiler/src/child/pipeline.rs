//! One compilation: walk the imports from the main file, apply the rules to each file, then bundle.

use super::bundle::{self, BundleError, Bundled};
use super::project::ProjectFs;
use super::resolve::{self, Target};
use super::translate;
use crate::request::{CompileRequest, Compiled, SourceLimits, Stage, Timings};
use crate::validate::{self, EntryExports, Finding, Import, Look};
use crate::wire::Answer;
use neofn_types::{Clock, Code, Diagnostic, Grants, Severity};
use rolldown_common::ImportKind;
use std::collections::{BTreeSet, HashSet};

/// Findings that are answered.
const DIAGNOSTICS_MAX: usize = 100;
/// Functions that a function is said to call.
const CALLS_MAX: usize = 256;
/// Files smaller than this cannot hold enough brackets to exhaust the stack.
const HARMLESS_BYTES: usize = 8 << 10;

pub(crate) fn run(request: CompileRequest, clock: &dyn Clock) -> Answer {
    let started = clock.monotonic();
    let CompileRequest {
        files,
        main,
        grants,
        limits,
    } = request;
    let fs = ProjectFs::build(files);
    let walked = walk(&fs, &main, &grants, &limits);
    let mut diagnostics = walked.diagnostics;
    if let Err(finding) = validate::judge(&walked.entry, None).map_err(|f| *f)
        && !walked.entry_is_broken
    {
        diagnostics.extend(located(&fs, &main, finding));
    }
    if has_error(&diagnostics) {
        return refused(Stage::Validate, diagnostics);
    }
    diagnostics.extend(validate::unused_grants(&grants, walked.mentions));
    let validated = clock.monotonic();
    let fs = export_main(fs, &main, &walked.entry);
    let bundled = match bundle::bundle(&fs, &main) {
        Ok(bundled) => bundled,
        Err(BundleError::Source(errors)) => {
            diagnostics.extend(translate::errors(errors, &fs, &main));
            return refused(Stage::Compile, diagnostics);
        }
        Err(BundleError::Compiler(why)) => return Answer::Failed(why),
    };
    diagnostics.extend(check_bundle(&bundled, &walked.entry, &fs, &main, &limits));
    if has_error(&diagnostics) {
        return refused(Stage::Compile, diagnostics);
    }
    diagnostics.truncate(DIAGNOSTICS_MAX);
    let timings = Timings {
        validate: validated.saturating_sub(started),
        compile: clock.monotonic().saturating_sub(validated),
    };
    Answer::Compiled(Box::new(Compiled {
        code: bundled.code,
        source_map: bundled.source_map,
        exports: bundled.exports,
        calls: walked.calls.into_iter().take(CALLS_MAX).collect(),
        warnings: diagnostics,
        timings,
    }))
}

#[derive(Default)]
struct Walked {
    diagnostics: Vec<Diagnostic>,
    entry: EntryExports,
    entry_is_broken: bool,
    mentions: validate::Mentions,
    calls: BTreeSet<String>,
}

fn walk(fs: &ProjectFs, main: &str, grants: &Grants, limits: &SourceLimits) -> Walked {
    let resolver = resolve::resolver(fs);
    let mut walked = Walked::default();
    let mut seen = HashSet::from([main.to_owned()]);
    let mut next = vec![main.to_owned()];
    while let Some(path) = next.pop() {
        let Some(text) = fs.text(&path) else { continue };
        if text.len() > HARMLESS_BYTES {
            super::parsing(&path);
        }
        let look = Look {
            path: &path,
            depth_max: limits.depth_max,
            grants,
        };
        let mut report = validate::check(look, &text);
        let is_broken = report
            .findings
            .iter()
            .any(|f| matches!(f.code, Code::Syntax | Code::NestedTooDeep));
        for import in &report.imports {
            match follow(&resolver, &path, import) {
                Ok(Some(target)) if seen.insert(target.clone()) => next.push(target),
                Ok(_) => {}
                Err(finding) => report.findings.push(*finding),
            }
        }
        walked.mentions.add(report.mentions);
        walked.calls.append(&mut report.calls);
        if path == main {
            walked.entry = report.exports;
            walked.entry_is_broken = is_broken;
        }
        walked
            .diagnostics
            .extend(validate::diagnostics(&path, &text, report.findings));
        if walked.diagnostics.len() > DIAGNOSTICS_MAX {
            break;
        }
    }
    walked
}

fn follow(
    resolver: &rolldown_resolver::Resolver<ProjectFs>,
    importer: &str,
    import: &Import,
) -> Result<Option<String>, Box<Finding>> {
    let kind = if import.is_require {
        ImportKind::Require
    } else {
        ImportKind::Import
    };
    match resolve::resolve(resolver, importer, &import.specifier, kind) {
        Ok(Target::File(path)) => Ok(Some(path)),
        Ok(Target::Nothing) => Ok(None),
        Err(_) if import.in_try => Ok(None),
        Err(refusal) => Err(Box::new(Finding {
            code: Code::ImportOutside,
            start: import.start,
            end: import.end,
            message: refusal.message,
            hint: refusal.hint,
        })),
    }
}

/// A global `main` is no export; the bundler would drop it as unused.
fn export_main(fs: ProjectFs, main: &str, entry: &EntryExports) -> ProjectFs {
    let is_handler = entry.local_main.is_some() && entry.handler.is_none() && entry.default.is_none();
    match fs.text(main) {
        Some(text) if is_handler => fs.with_text(main, format!("{text}\nexport {{ main }};\n")),
        _ => fs,
    }
}

fn check_bundle(
    bundled: &Bundled,
    entry: &EntryExports,
    fs: &ProjectFs,
    main: &str,
    limits: &SourceLimits,
) -> Vec<Diagnostic> {
    let mut found = translate::warnings(&bundled.warnings, fs);
    if let Err(finding) = validate::judge(entry, Some(&bundled.exports)) {
        found.extend(located(fs, main, *finding));
    }
    let bytes = u64::try_from(bundled.code.len()).unwrap_or(u64::MAX);
    if bytes > limits.bundle_bytes_max {
        let largest: Vec<String> = bundled
            .modules
            .iter()
            .take(3)
            .map(|(path, n)| format!("{path} ({n} bytes)"))
            .collect();
        let message = format!(
            "the bundled source is {bytes} bytes; the limit is {}",
            limits.bundle_bytes_max
        );
        let hint = format!(
            "Largest parts before minifying: {}. {}",
            largest.join(", "),
            Code::SourceTooLarge.info().cure
        );
        found.push(validate::placeless(
            Code::SourceTooLarge,
            Severity::Error,
            main,
            message,
            &hint,
        ));
    }
    found
}

fn located(fs: &ProjectFs, path: &str, finding: Finding) -> Vec<Diagnostic> {
    validate::diagnostics(path, &fs.text(path).unwrap_or_default(), vec![finding])
}

fn has_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Errors first, so that the first line of any answer is what to mend.
fn refused(stage: Stage, mut diagnostics: Vec<Diagnostic>) -> Answer {
    diagnostics.sort_by_key(|d| d.severity);
    diagnostics.truncate(DIAGNOSTICS_MAX);
    Answer::Refused(stage, diagnostics)
}
