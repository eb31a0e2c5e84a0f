//! Tools that neofn works without, but that people around it use.

use super::{Finding, Scene, State};
use std::process::{Command, Stdio};

const TOOLS: &[(&str, &str)] = &[
    ("node", "editors and tests"),
    ("npm", "installing packages"),
    ("tsc", "checking types"),
];

/// Only informs.
pub fn check(_: &Scene<'_>) -> Vec<Finding> {
    TOOLS.iter().map(|(tool, purpose)| look(tool, purpose)).collect()
}

fn look(tool: &str, purpose: &str) -> Finding {
    let output = Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Finding::new(
                tool,
                State::Info,
                text.lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(60)
                    .collect::<String>(),
            )
        }
        _ => Finding::new(tool, State::Info, format!("not found; only needed for {purpose}")),
    }
}
