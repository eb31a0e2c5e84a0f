//! Events as they reach triggers, and once more when their invocation has ended.
//!
//! The store is asked again and again while somebody follows: what a crash or a second process writes down is seen too.

use crate::api::Api;
use crate::error::ApiError;
use crate::invocations::parse_after;
use crate::policy::Action;
use crate::reader::Reader;
use crate::triggers::{FiredQuery, fired, function_name};
use neofn_engine::triggers::port::FiredFilter;
use neofn_identity::Principal;
use neofn_types::{Entropy, InvocationId, ProjectName, UnixMillis};
use neofn_wire::FiredView;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How often the store is asked.
const LOOK: Duration = Duration::from_millis(200);
/// How long after its id was made a row may still come: ids are made before a transaction is written.
const LATE_MS: i64 = 10_000;
/// Most events that are watched for their end; of more, the oldest are shown as they came and not again.
const OPEN_MAX: usize = 200;
/// Rows that one question reads, and questions of one look.
const ROWS: u32 = 200;
const PAGES_MAX: usize = 10;

/// What a follower reads next.
#[derive(Debug)]
pub enum EventStep {
    /// It reached its trigger.
    Fired(Box<FiredView>),
    /// Its invocation has ended, or waits for another try.
    Ended(Box<FiredView>),
}

/// Lowest id of a moment.
struct Lowest;
impl Entropy for Lowest {
    fn fill(&self, buf: &mut [u8]) {
        buf.fill(0);
    }
}

/// Events of a project from now on, or from after one of them.
pub struct EventStream {
    api: Api,
    reader: Reader,
    project: ProjectName,
    filter: FiredFilter,
    /// Everything up to here was shown, and has ended.
    after: InvocationId,
    /// What was shown, with its status then.
    seen: BTreeMap<InvocationId, String>,
    ready: VecDeque<EventStep>,
}

impl Api {
    /// Follows the events of a project: those after `query.after`, else those that come from here on.
    pub async fn follow_events(
        &self,
        who: &Principal,
        project: &ProjectName,
        query: FiredQuery,
    ) -> Result<EventStream, ApiError> {
        self.authorise_project(who, Action::ListEvents, project)?;
        let filter = FiredFilter {
            function: query.function.as_deref().map(function_name).transpose()?,
            trigger: query.trigger,
            dead: false,
            from: query.from,
            to: query.to,
            before: None,
            after: None,
            limit: ROWS,
        };
        let start = query.after.as_deref().map(parse_after).transpose()?;
        let now = || InvocationId::generate(self.inner.clock.now(), &Lowest);
        Ok(EventStream {
            api: self.clone(),
            reader: Reader::new(self, who),
            project: project.clone(),
            filter,
            after: start.unwrap_or_else(now),
            seen: BTreeMap::new(),
            ready: VecDeque::new(),
        })
    }
}

fn open(status: &str) -> bool {
    matches!(status, "queued" | "running")
}

impl EventStream {
    /// The next step; waits for it.
    pub async fn next(&mut self) -> Result<EventStep, ApiError> {
        loop {
            let may = |who: &Principal| self.api.authorise_project(who, Action::ListEvents, &self.project);
            self.reader.goes_on(&self.api, may).await?;
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            self.look().await?;
            if self.ready.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Reads what is new since the last look, oldest first, and what has ended.
    async fn look(&mut self) -> Result<(), ApiError> {
        let recent = UnixMillis(self.api.inner.clock.now().0.saturating_sub(LATE_MS));
        let recent = InvocationId::generate(recent, &Lowest);
        let (mut rows, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let filter = FiredFilter {
                before: cursor,
                after: Some(self.after),
                ..self.filter.clone()
            };
            let page = self.api.engine().fired(&self.project, filter).await?;
            let full = u32::try_from(page.len()).is_ok_and(|n| n == ROWS);
            cursor = page.last().map(|row| row.record.id);
            rows.extend(page);
            if !full {
                break;
            }
        }
        for row in rows.iter().rev() {
            let (id, shown) = (row.record.id, fired(row)?);
            let status = shown.invocation.status.clone();
            match self.seen.get(&id) {
                None => {
                    let ended = !open(&status);
                    if ended {
                        self.ready.push_back(EventStep::Ended(Box::new(shown)));
                    } else {
                        self.ready.push_back(EventStep::Fired(Box::new(shown)));
                    }
                }
                Some(before) if open(before) && !open(&status) => {
                    self.ready.push_back(EventStep::Ended(Box::new(shown)));
                }
                Some(_) => {}
            }
            self.seen.insert(id, status);
        }
        self.forget(recent);
        Ok(())
    }

    /// What can neither come again nor change any more is forgotten, and so is more than is watched.
    fn forget(&mut self, recent: InvocationId) {
        self.seen.retain(|id, status| *id >= recent || open(status));
        let mut too_many = self
            .seen
            .values()
            .filter(|s| open(s))
            .count()
            .saturating_sub(OPEN_MAX);
        self.seen.retain(|id, status| {
            let gone = too_many > 0 && *id < recent && open(status);
            too_many -= usize::from(gone);
            !gone
        });
        let open = self
            .seen
            .iter()
            .find(|(_, status)| open(status))
            .map(|(id, _)| *id);
        self.after = self.after.max(before(open.map_or(recent, |id| id.min(recent))));
    }
}

/// The id just below: the store answers what is newer than the one it is given.
fn before(id: InvocationId) -> InvocationId {
    let number = u128::from_be_bytes(*id.as_bytes()).saturating_sub(1);
    InvocationId::from_bytes(number.to_be_bytes())
}
