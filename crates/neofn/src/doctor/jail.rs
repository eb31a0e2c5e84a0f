//! Which confinement this machine allows.

use super::{Finding, Scene, State};
use neofn_jail::Tier;

/// JavaScript needs Landlock; namespaces are better.
pub fn check(_: &Scene<'_>) -> Vec<Finding> {
    let probe = neofn_jail::probe();
    let enough = probe.tier >= Tier::Landlock;
    let summary = match (probe.tier >= Tier::Namespaces, enough) {
        (true, _) => Finding::new("jail", State::Good, format!("tier {}", probe.tier)),
        (false, true) => Finding::new(
            "jail",
            State::Warn,
            format!("tier {}: enough for JavaScript and WebAssembly", probe.tier),
        ),
        (false, false) => Finding::new(
            "jail",
            State::Bad,
            format!("tier {}: too weak, `neofn up` refuses to start", probe.tier),
        )
        .cure("see the parts below; `--insecure-no-jail` runs without, for code that you trust"),
    };
    let parts = probe.findings.into_iter().map(|part| {
        let state = match (part.ok, enough) {
            (true, _) => State::Good,
            (false, true) => State::Warn,
            (false, false) => State::Bad,
        };
        Finding::new(part.name, state, part.detail).cure(part.cure)
    });
    std::iter::once(summary).chain(parts).collect()
}
