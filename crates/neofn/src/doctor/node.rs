//! Whether the node that the CLI would talk to answers.

use super::{Finding, Scene, State};
use crate::context;

/// No node is no fault: one may not have been started.
pub fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let name = "node";
    let Ok(found) = context::find_node(scene.global) else {
        return vec![
            Finding::new(name, State::Info, "none found on this machine")
                .cure("`neofn up` or `neofn dev` starts one"),
        ];
    };
    let url = found.url.clone();
    let health =
        context::client_of(scene.global, found.url, found.key).and_then(|client| Ok(client.health()?));
    vec![match health {
        Ok(health) => {
            let detail = format!(
                "{url} is {}, version {}, jail {}, up {:.0} s",
                health.status, health.version, health.jail.tier, health.uptime
            );
            if health.jail.insecure {
                Finding::new(name, State::Warn, format!("{detail}, without confinement"))
                    .cure("start it without --insecure-no-jail")
            } else {
                Finding::new(name, State::Good, detail)
            }
        }
        Err(failure) => Finding::new(name, State::Bad, failure.problem.message).cure(failure.problem.hint),
    }]
}
