//! The generated part of `docs/reference`: error pages, validator rules, unit schedule. Knows no prose of its own
//! beyond the frames of the pages.

use anyhow::{Context, Result, bail};
use neofn_gas::{HostCharge, SCHEDULE_V1};
use neofn_types::{Code, Retry};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes every page, and removes error pages of codes that are gone.
pub fn write() -> Result<String> {
    let root = reference_dir();
    let pages = pages()?;
    for stale in stale_error_pages(&root, &pages)? {
        fs::remove_file(&stale).with_context(|| format!("remove {}", stale.display()))?;
    }
    for (path, text) in &pages {
        let file = root.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(format!("wrote {} reference pages", pages.len()))
}

/// Says which pages differ from what would be written.
pub fn check() -> Result<String> {
    let root = reference_dir();
    let pages = pages()?;
    let mut stale: Vec<String> = pages
        .iter()
        .filter(|(path, text)| fs::read_to_string(root.join(path)).ok().as_ref() != Some(*text))
        .map(|(path, _)| path.clone())
        .collect();
    stale.extend(
        stale_error_pages(&root, &pages)?
            .iter()
            .map(|p| p.display().to_string()),
    );
    if !stale.is_empty() {
        bail!(
            "docs/reference is out of date, run `make docs`: {}",
            stale.join(", ")
        );
    }
    Ok(format!("{} reference pages are current", pages.len()))
}

fn reference_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

fn stale_error_pages(root: &Path, pages: &BTreeMap<String, String>) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(root.join("errors")) else {
        return Ok(Vec::new());
    };
    let mut stale = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        if !pages.contains_key(&format!("errors/{name}")) {
            stale.push(path);
        }
    }
    Ok(stale)
}

fn pages() -> Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    pages.insert("errors/README.md".to_owned(), error_index()?);
    for code in Code::ALL {
        pages.insert(format!("errors/{code}.md"), error_page(*code)?);
    }
    pages.insert("units.md".to_owned(), units_page()?);
    pages.insert("validator.md".to_owned(), validator_page()?);
    Ok(pages)
}

fn error_index() -> Result<String> {
    let mut out = String::from(
        "# Error codes\n\nEvery error that neofn shows carries one of these codes. `neofn explain CODE` prints its \
         page.\n\n| Code | Meaning | HTTP | Trying again |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let info = code.info();
        writeln!(
            out,
            "| [{code}]({code}.md) | {} | {} | {} |",
            info.title,
            info.status,
            retry_word(info.retry)
        )?;
    }
    Ok(out)
}

fn error_page(code: Code) -> Result<String> {
    let info = code.info();
    let mut out = format!("# {code}: {}\n\n", info.title);
    writeln!(out, "**Cause.** {}\n", info.cause)?;
    writeln!(out, "**Cure.** {}\n", info.cure)?;
    writeln!(
        out,
        "HTTP status {}. Trying again: {}.",
        info.status,
        retry_word(info.retry)
    )?;
    Ok(out)
}

fn retry_word(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "does not help",
        Retry::Later => "can help, later",
    }
}

fn units_page() -> Result<String> {
    let s = &SCHEDULE_V1;
    let mut out = format!(
        "# Units, schedule v{}\n\nEvery invocation records the version of the schedule that billed it. The same \
         version, event and recorded inputs give the same units on every machine.\n\n",
        s.version
    );
    writeln!(out, "| What | Units |\n|---|---|")?;
    writeln!(out, "| base, for each run | {} |", s.base)?;
    writeln!(out, "| compute | 1 per {} fuel |", s.fuel_per_unit)?;
    writeln!(
        out,
        "| memory | {} per started {} KiB of the high-water mark above the snapshot's |",
        s.memory_per_page,
        neofn_gas::MEMORY_PAGE_BYTES / 1024
    )?;
    for kind in HostCharge::ALL {
        let price = s.price(kind);
        let per_kib = if price.per_kib == 0 {
            String::new()
        } else {
            format!(" + {} per started KiB", price.per_kib)
        };
        let note = match kind {
            HostCharge::Invoke => ", and the callee's own",
            HostCharge::Digest => "; base58 + (bytes x bytes) / 64",
            _ => "",
        };
        writeln!(out, "| {} | {}{per_kib}{note} |", charge_name(kind), price.units)?;
    }
    Ok(out)
}

fn charge_name(kind: HostCharge) -> &'static str {
    match kind {
        HostCharge::Log => "a console call",
        HostCharge::KvGet => "ctx.kv.get",
        HostCharge::KvPut => "ctx.kv.put",
        HostCharge::KvDelete => "ctx.kv.delete",
        HostCharge::KvList => "ctx.kv.list",
        HostCharge::KvCounter => "ctx.kv counters",
        HostCharge::ChainRead => "a read of ctx.neo",
        HostCharge::ChainWrite => "ctx.neo.invoke",
        HostCharge::Emit => "ctx.emit",
        HostCharge::Fetch => "fetch; the answer by KiB too",
        HostCharge::Secret => "ctx.secrets",
        HostCharge::Invoke => "ctx.invoke",
        HostCharge::Digest => "hashing and encoding",
        HostCharge::Verify => "a signature check",
        HostCharge::Random => "random bytes",
    }
}

fn validator_page() -> Result<String> {
    let mut out = String::from(
        "# Validator rules\n\nA deployment's source is read by these rules. Errors refuse the deployment, warnings \
         are shown. The validator is advice; the sandbox is the boundary.\n",
    );
    for rule in neofn_compiler::rules::RULES {
        writeln!(
            out,
            "\n## {} {}\n\nSeverity: {:?}.\n\n{}\n",
            rule.code, rule.name, rule.severity, rule.summary
        )?;
        writeln!(
            out,
            "Refused or warned of:\n\n```ts\n{}\n```\n",
            rule.example_bad.trim_end()
        )?;
        writeln!(out, "Instead:\n\n```ts\n{}\n```", rule.example_good.trim_end())?;
    }
    Ok(out)
}
