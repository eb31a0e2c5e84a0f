//! The OpenAPI document, from the wire types and the annotations of the handlers.

use crate::handlers::{
    audit, auth, backup, books, chain, events, functions, gas, invocations, invoke, logs, members, node,
    projects, secrets, signer, transactions, triggers,
};
use serde_json::{Map, Value};
use std::sync::OnceLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "neofn",
        description = "Serverless functions for Neo N3. Bodies are JSON; errors are problem documents (RFC 9457) with a code that `neofn explain` knows.",
        license(name = "Apache-2.0 OR MIT")
    ),
    paths(
        auth::challenge, auth::login, auth::refresh, auth::logout, auth::whoami, auth::jwks,
        members::projects, members::create_project, projects::delete, members::members, members::set_member, members::remove_member,
        members::keys, members::create_key, members::revoke_key,
        invoke::invoke, invoke::estimate, invocations::read, invocations::list, invocations::replay, logs::logs,
        functions::deploy, functions::list, functions::read, functions::change, functions::remove,
        functions::catalogue, functions::look_up, functions::versions, functions::dependencies, functions::rollback, node::health, node::ready, node::metrics, node::services,
        events::publish, events::list, triggers::list, triggers::change, triggers::test, triggers::backtest,
        triggers::dead_letters, triggers::retry, triggers::discard, chain::info, chain::block, chain::transaction,
        chain::notifications, chain::balance, chain::call, chain::decode, chain::recheck, transactions::list, transactions::read,
        transactions::cosign, transactions::replace, transactions::invoke, transactions::deploy, transactions::update, signer::show, signer::import, signer::change,
        signer::signatures, secrets::list, secrets::set, secrets::show, secrets::remove, secrets::versions,
        secrets::rollback, secrets::undelete, secrets::destroy, secrets::rotate, secrets::rewrap, secrets::vault, secrets::seal,
        secrets::unseal, secrets::rotate_root, gas::reconcile, gas::write_off, gas::balance, gas::deposit, gas::statement,
        gas::limits, gas::set_limit, gas::withdrawals, gas::withdraw, gas::refill, gas::set_refill, books::usage,
        books::close, books::suspense, books::attribute, audit::list,
        audit::checkpoint, audit::proof, audit::export, backup::create,
    ),
    modifiers(&Key),
    tags(
        (name = "functions", description = "Deploying and managing functions"),
        (name = "invocations", description = "Running functions and looking back"),
        (name = "triggers", description = "Events that run functions, and those that failed for good"),
        (name = "chain", description = "Looking at the chain, and sending transactions to it"),
        (name = "accounts", description = "Signing in, projects, members and keys"),
        (name = "gas", description = "Accounts of projects: what they have, used, pay in and take out"),
        (name = "audit", description = "Acts that matter to security or money, with proofs"),
        (name = "secrets", description = "Values that functions use without seeing them"),
        (name = "node", description = "The node itself"),
    )
)]
struct Document;

struct Key;
impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API key, `nfk_…`, or an access token of POST /auth/login",
            ))
            .build();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// Paths that are served a second time: (where, as which path of the document, with which of its methods).
const ALIASES: [(&str, &str, &[&str]); 2] = [
    (
        "/api/v1/functions/{project}/{function}",
        "/api/functions/{project}/{function}",
        &["get", "patch"],
    ),
    (
        "/api/v1/projects/{project}/functions",
        "/api/functions/projects/{project}",
        &["get"],
    ),
];

/// The document as JSON.
#[must_use]
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
        if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
            for (alias, original, methods) in ALIASES {
                serve_again(paths, alias, original, methods);
            }
        }
        document
    })
}

fn serve_again(paths: &mut Map<String, Value>, alias: &str, original: &str, methods: &[&str]) {
    for method in methods {
        let Some(mut operation) = paths.get(original).and_then(|item| item.get(method)).cloned() else {
            continue;
        };
        if let Some(Value::String(id)) = operation.get_mut("operationId") {
            id.push_str("_v1");
        }
        let item = paths.entry(alias).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(item) = item {
            item.insert((*method).to_owned(), operation);
        }
    }
}

/// The document as it is checked in.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(document()).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ENDPOINTS;
    use std::collections::BTreeSet;

    #[test]
    fn says_what_the_router_serves_and_nothing_else() {
        let documented: BTreeSet<(String, String)> = document()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object()
                    .unwrap()
                    .keys()
                    .map(move |m| (path.clone(), m.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = ENDPOINTS
            .iter()
            .filter(|e| !e.path.starts_with("/f/") && e.action != neofn_api::Action::Docs)
            .map(|e| (e.path.to_owned(), e.method.to_owned()))
            .collect();
        assert_eq!(documented, served);
    }

    /// `UPDATE=1 cargo nextest run -p neofn-http openapi` rewrites it.
    #[test]
    fn the_checked_in_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, text()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == text(),
            "docs/reference/openapi.json is old: run again with UPDATE=1"
        );
    }
}
