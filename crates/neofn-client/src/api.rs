//! Every path of the API as a typed method. Names are parsed already, so paths need no escaping.

use crate::Error;
use crate::transport::{Call, Client};
use neofn_types::{FunctionKey, InvocationId, ProjectName, Version};
use neofn_wire::{
    Accepted, Catalogue, Deleted, Dependencies, DeployRequest, DeployResponse, Estimate, FunctionAnswer,
    FunctionList, FunctionService, FunctionView, Health, InvocationList, InvocationView, InvokeAnswer,
    LogList, PatchRequest, Ready, ReplayRequest, ReplayResponse, RollbackRequest, VersionList,
};
use serde::Serialize;

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Most items.
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Invocations only: those with this status.
    pub status: Option<String>,
}

/// Cursors and ids in a query: everything but letters, digits and a few marks is escaped.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl Page {
    pub(crate) fn query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(&format!("{name}={}", escape(value)));
        };
        if let Some(limit) = self.limit {
            add("limit", &limit.to_string());
        }
        if let Some(cursor) = &self.cursor {
            add("cursor", cursor);
        }
        if let Some(status) = &self.status {
            add("status", status);
        }
        query
    }
}

fn function_path(key: &FunctionKey) -> String {
    format!("/api/v1/functions/{}/{}", key.project, key.function)
}
fn managed_path(key: &FunctionKey) -> String {
    format!("/api/functions/{}/{}", key.project, key.function)
}
pub(crate) fn json(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body)
        .map_err(|reason| Error::Config(format!("the request cannot be written: {reason}")))
}

impl Client {
    /// GET `/health`.
    pub fn health(&self) -> Result<Health, Error> {
        self.call(&Call::get("/health".to_owned()))
    }
    /// GET `/ready`; an answer that says no is an error.
    pub fn ready(&self) -> Result<Ready, Error> {
        self.call(&Call::get("/ready".to_owned()))
    }
    /// Deploys a function.
    pub fn deploy(&self, project: &ProjectName, request: &DeployRequest) -> Result<DeployResponse, Error> {
        let body = json(request)?;
        self.call(&Call::send(
            "POST",
            format!("/api/functions/projects/{project}"),
            &body,
        ))
    }
    /// One function.
    pub fn function(&self, key: &FunctionKey) -> Result<FunctionView, Error> {
        let answer: FunctionAnswer = self.call(&Call::get(function_path(key)))?;
        Ok(answer.function)
    }
    /// The functions of a project, one page.
    pub fn functions(&self, project: &ProjectName, page: &Page) -> Result<FunctionList, Error> {
        self.call(&Call::get(format!(
            "/api/v1/projects/{project}/functions{}",
            page.query()
        )))
    }
    /// Changes what PATCH can change.
    pub fn patch(&self, key: &FunctionKey, request: &PatchRequest) -> Result<FunctionView, Error> {
        let body = json(request)?;
        let answer: FunctionAnswer = self.call(&Call::send("PATCH", managed_path(key), &body))?;
        Ok(answer.function)
    }
    /// Switches a function on or off.
    pub fn set_active(&self, key: &FunctionKey, is_active: bool) -> Result<FunctionView, Error> {
        let body = json(&serde_json::json!({ "is_active": is_active }))?;
        let answer: FunctionAnswer = self.call(&Call::send("PATCH", function_path(key), &body))?;
        Ok(answer.function)
    }
    /// Deletes a function with its versions.
    pub fn delete(&self, key: &FunctionKey, force: bool) -> Result<Deleted, Error> {
        let query = if force { "?force=true" } else { "" };
        self.call(&Call::delete(format!("{}{query}", managed_path(key))))
    }
    /// What it calls, and what calls it.
    pub fn dependencies(&self, key: &FunctionKey) -> Result<Dependencies, Error> {
        self.call(&Call::get(format!("{}/dependencies", function_path(key))))
    }
    /// The functions of a project as something to be called, one page.
    pub fn catalogue(&self, project: &ProjectName, page: &Page) -> Result<Catalogue, Error> {
        self.call(&Call::get(format!("/api/v1/services/{project}{}", page.query())))
    }
    /// One function as something to be called.
    pub fn look_up(&self, key: &FunctionKey) -> Result<FunctionService, Error> {
        let path = format!("/api/v1/services/{}/{}", key.project, key.function);
        self.call(&Call::get(path))
    }
    /// Its versions, newest first, one page.
    pub fn versions(&self, key: &FunctionKey, page: &Page) -> Result<VersionList, Error> {
        self.call(&Call::get(format!(
            "{}/versions{}",
            function_path(key),
            page.query()
        )))
    }
    /// Makes another version live; without one, the version before the live one.
    pub fn rollback(&self, key: &FunctionKey, version: Option<Version>) -> Result<FunctionView, Error> {
        let body = json(&RollbackRequest {
            version: version.map(|v| v.0),
        })?;
        let answer: FunctionAnswer = self.call(&Call::send(
            "POST",
            format!("{}/rollback", function_path(key)),
            &body,
        ))?;
        Ok(answer.function)
    }
    /// Invokes with an event in JSON and waits for the result.
    pub fn invoke(
        &self,
        key: &FunctionKey,
        event: &[u8],
        idempotency_key: Option<&str>,
    ) -> Result<InvokeAnswer, Error> {
        self.call(&Call::send("POST", function_path(key), event).keyed(idempotency_key))
    }
    /// Queues an invocation.
    pub fn invoke_async(
        &self,
        key: &FunctionKey,
        event: &[u8],
        idempotency_key: Option<&str>,
    ) -> Result<Accepted, Error> {
        self.call(
            &Call::send("POST", format!("{}?mode=async", function_path(key)), event).keyed(idempotency_key),
        )
    }
    /// What an event would cost; nothing is recorded, charged or committed.
    pub fn estimate(&self, key: &FunctionKey, event: &[u8]) -> Result<Estimate, Error> {
        self.call(&Call::send(
            "POST",
            format!("{}/estimate", function_path(key)),
            event,
        ))
    }
    /// One invocation.
    pub fn invocation(&self, id: &InvocationId) -> Result<InvocationView, Error> {
        self.call(&Call::get(format!("/api/v1/invocations/{id}")))
    }
    /// The invocations of a function, newest first, one page.
    pub fn invocations(&self, key: &FunctionKey, page: &Page) -> Result<InvocationList, Error> {
        self.call(&Call::get(format!(
            "{}/invocations{}",
            function_path(key),
            page.query()
        )))
    }
    /// The newest ended invocations with their logs, oldest first.
    pub fn logs(&self, key: &FunctionKey, limit: u32) -> Result<LogList, Error> {
        self.call(&Call::get(format!("{}/logs?limit={limit}", function_path(key))))
    }
    /// Runs an invocation again from its recording. Nothing is written.
    pub fn replay(&self, id: &InvocationId, version: Option<Version>) -> Result<ReplayResponse, Error> {
        let body = json(&ReplayRequest {
            version: version.map(|v| v.0),
        })?;
        self.call(&Call::send(
            "POST",
            format!("/api/v1/invocations/{id}/replay"),
            &body,
        ))
    }
    /// Follows the log of a function, from `after` on when that is given.
    #[must_use]
    pub fn follow(&self, key: &FunctionKey, after: Option<String>) -> crate::Follow<neofn_wire::LogEvent> {
        crate::Follow::new(
            self.clone(),
            format!("{}/logs?follow=1", function_path(key)),
            after,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        let page = Page {
            limit: Some(5),
            cursor: Some("a&b=c/ü".to_owned()),
            status: None,
        };
        assert_eq!(page.query(), "?limit=5&cursor=a%26b%3Dc%2F%C3%BC");
        assert_eq!(Page::default().query(), "");
    }
}
