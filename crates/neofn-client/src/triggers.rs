//! Triggers, the events that reached them, and dead letters.

use crate::Error;
use crate::api::{escape, json};
use crate::chain::{FiredFilter, query};
use crate::transport::{Call, Client};
use neofn_types::{FunctionKey, FunctionName, ProjectName};
use neofn_wire::{
    BacktestRequest, BacktestView, DeadLetterAnswer, DeadLetterRequest, FiredList, FiredView, TriggerList,
    TriggerPatch, TriggerTest, TriggerView,
};

fn trigger_path(key: &FunctionKey, trigger: &str) -> String {
    format!(
        "/api/v1/triggers/{}/{}/{}",
        key.project,
        key.function,
        escape(trigger)
    )
}

fn fired_query(project: &ProjectName, filter: &FiredFilter, follow: bool) -> String {
    query(&[
        ("project", Some(project.to_string())),
        ("function", filter.function.as_ref().map(ToString::to_string)),
        ("trigger", filter.trigger.clone()),
        ("from", filter.from.map(|n| n.to_string())),
        ("to", filter.to.map(|n| n.to_string())),
        ("limit", filter.limit.map(|n| n.to_string())),
        ("cursor", filter.cursor.clone()),
        ("follow", follow.then(|| "1".to_owned())),
    ])
}

impl Client {
    /// The triggers of a project, or of one of its functions.
    pub fn triggers(
        &self,
        project: &ProjectName,
        function: Option<&FunctionName>,
    ) -> Result<TriggerList, Error> {
        let query = query(&[
            ("project", Some(project.to_string())),
            ("function", function.map(ToString::to_string)),
        ]);
        self.call(&Call::get(format!("/api/v1/triggers{query}")))
    }
    /// Why a trigger takes a transaction or a block, or which condition fails.
    pub fn test_trigger(
        &self,
        key: &FunctionKey,
        trigger: &str,
        transaction: Option<&str>,
        block: Option<u64>,
    ) -> Result<TriggerTest, Error> {
        let query = query(&[
            ("transaction", transaction.map(str::to_owned)),
            ("block", block.map(|n| n.to_string())),
        ]);
        self.call(&Call::get(format!("{}/test{query}", trigger_path(key, trigger))))
    }
    /// What a trigger would have fired on.
    pub fn backtest(
        &self,
        key: &FunctionKey,
        trigger: &str,
        request: BacktestRequest,
    ) -> Result<BacktestView, Error> {
        let body = json(&request)?;
        let path = format!("{}/backtest", trigger_path(key, trigger));
        self.call(&Call::send("POST", path, &body))
    }
    /// Pauses or resumes a trigger.
    pub fn patch_trigger(
        &self,
        key: &FunctionKey,
        trigger: &str,
        patch: &TriggerPatch,
    ) -> Result<TriggerView, Error> {
        let body = json(patch)?;
        self.call(&Call::send("PATCH", trigger_path(key, trigger), &body))
    }
    /// Events that reached triggers, newest first, one page.
    pub fn events(&self, project: &ProjectName, filter: &FiredFilter) -> Result<FiredList, Error> {
        let query = fired_query(project, filter, false);
        self.call(&Call::get(format!("/api/v1/events{query}")))
    }
    /// Events from now on: each as it fires, and once more when its invocation has ended.
    #[must_use]
    pub fn follow_events(&self, project: &ProjectName, filter: &FiredFilter) -> crate::Follow<FiredView> {
        let query = fired_query(project, filter, true);
        crate::Follow::new(self.clone(), format!("/api/v1/events{query}"), None)
    }
    /// What failed for good, newest first, one page.
    pub fn dead_letters(&self, project: &ProjectName, filter: &FiredFilter) -> Result<FiredList, Error> {
        let query = fired_query(project, filter, false);
        self.call(&Call::get(format!("/api/v1/deadletters{query}")))
    }
    /// Queues dead letters again.
    pub fn retry_dead_letters(
        &self,
        project: &ProjectName,
        request: &DeadLetterRequest,
    ) -> Result<DeadLetterAnswer, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/deadletters/retry?project={project}");
        self.call(&Call::send("POST", path, &body))
    }
    /// Lays dead letters to rest.
    pub fn drop_dead_letters(
        &self,
        project: &ProjectName,
        request: &DeadLetterRequest,
    ) -> Result<DeadLetterAnswer, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/deadletters/drop?project={project}");
        self.call(&Call::send("POST", path, &body))
    }
}
