//! Use cases about the books: what was used in which hour, deposits that named nobody, and the end of an account.

use crate::accounts::address;
use crate::api::Api;
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::gas::{failed, withdrawal};
use crate::policy::Action;
use neofn_gas::ledger::{StatementFilter, TransferId, UsageFilter, UsageLine, usage_csv};
use neofn_gas::{Asked, Suspended};
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_types::{Code, Error, FunctionName, ProjectName, ScriptHash, UnixMillis};
use neofn_wire::{
    AttributeRequest, CloseRequest, CloseView, GasUsage, GasUsageLine, SuspenseList, SuspenseView,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Lines of one page as CSV.
const CSV_LINES_MAX: u32 = 10_000;
/// What is shown without a word about time: thirty days.
const USUAL_MS: i64 = 30 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Which part of what was used.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsageQuery<'a> {
    /// Of one function alone.
    pub function: Option<&'a str>,
    /// From the hour of this moment on: a date, or a time in ISO 8601.
    pub from: Option<&'a str>,
    /// Before this one; else up to now.
    pub until: Option<&'a str>,
    /// Lines.
    pub limit: Option<u32>,
    /// Where the page begins.
    pub cursor: Option<&'a str>,
}

fn moment(name: &str, text: &str) -> Result<UnixMillis, Error> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let read = OffsetDateTime::parse(&whole, &Rfc3339).ok();
    let ms = read.and_then(|t| i64::try_from(t.unix_timestamp_nanos() / 1_000_000).ok());
    ms.map(UnixMillis).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        Error::new(
            Code::BadParameter,
            format!(
                "`{name}` is {text:?}, but must be a date or time such as 2026-05-01 or 2026-05-01T12:00:00Z"
            ),
        )
    })
}

fn cursor_of(line: &UsageLine) -> String {
    format!("{}.{}", line.hour.0, line.function)
}
fn after(cursor: &str) -> Result<(UnixMillis, FunctionName), Error> {
    let read = || {
        let (hour, function) = cursor.split_once('.')?;
        Some((UnixMillis(hour.parse().ok()?), function.parse().ok()?))
    };
    read().ok_or_else(bad_cursor)
}

fn suspended(deposit: Suspended) -> SuspenseView {
    let Suspended { line, given } = deposit;
    let (given_to, given_at) = given.map(|(to, at)| (to.to_string(), at.to_iso8601())).unzip();
    SuspenseView {
        id: line.id.to_string(),
        at: line.at.to_iso8601(),
        amount: line.amount.to_string(),
        from: line.detail.party.map(|p| p.to_address()),
        memo: line.detail.note,
        transaction: line.detail.tx.map(|t| t.to_string()),
        given_to,
        given_at,
    }
}

impl Api {
    fn usage_filter(
        &self,
        project: &ProjectName,
        query: &UsageQuery<'_>,
        limit: u32,
    ) -> Result<UsageFilter, ApiError> {
        let function = query.function.map(crate::decode::function_name).transpose()?;
        let until = match query.until {
            Some(text) => moment("until", text)?,
            // the hour that is under way counts
            None => UnixMillis(self.inner.clock.now().0.saturating_add(HOUR_MS)),
        };
        let from = match query.from {
            Some(text) => moment("from", text)?,
            None => UnixMillis(until.0.saturating_sub(USUAL_MS)),
        };
        if from >= until {
            return Err(Error::new(Code::BadParameter, "`from` must be before `until`").into());
        }
        Ok(UsageFilter {
            project: project.clone(),
            function,
            from: UsageLine::hour_of(from),
            until,
            after: query.cursor.map(after).transpose()?,
            limit,
        })
    }

    /// What a project used, by hour and function.
    pub async fn gas_usage(
        &self,
        who: &Principal,
        project: &ProjectName,
        query: &UsageQuery<'_>,
    ) -> Result<GasUsage, ApiError> {
        let bank = self.may_see(who, project)?;
        let limit = Page::of(query.limit)?.limit;
        let filter = self.usage_filter(project, query, limit)?;
        let (from, until) = (filter.from, filter.until);
        let lines = bank.usage(filter).await.map_err(failed)?;
        let full = u32::try_from(lines.len()).is_ok_and(|n| n == limit);
        Ok(GasUsage {
            project: project.to_string(),
            from: from.to_iso8601(),
            until: until.to_iso8601(),
            next: lines.last().filter(|_| full).map(cursor_of),
            lines: lines
                .into_iter()
                .map(|line| GasUsageLine {
                    hour: line.hour.to_iso8601(),
                    function: line.function.to_string(),
                    invocations: line.invocations,
                    units: line.units,
                    amount: line.amount.to_string(),
                })
                .collect(),
        })
    }

    /// The same as a table for spreadsheets; at most 10 000 lines.
    pub async fn gas_usage_csv(
        &self,
        who: &Principal,
        project: &ProjectName,
        query: &UsageQuery<'_>,
    ) -> Result<String, ApiError> {
        let bank = self.may_see(who, project)?;
        let filter = self.usage_filter(project, query, CSV_LINES_MAX)?;
        Ok(usage_csv(&bank.usage(filter).await.map_err(failed)?))
    }

    /// Deposits that named nobody, newest first.
    pub async fn suspense(
        &self,
        who: &Principal,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<SuspenseList, ApiError> {
        self.authorise_operating_bank(who)?;
        let before = cursor.map(str::parse).transpose().map_err(|_| bad_cursor())?;
        let filter = StatementFilter {
            before,
            since: None,
            limit: Page::of(limit)?.limit,
        };
        let (found, next) = self.bank()?.suspense(filter).await.map_err(failed)?;
        Ok(SuspenseList {
            deposits: found.into_iter().map(suspended).collect(),
            next: next.map(|n| n.to_string()),
        })
    }

    /// Gives one of them to whom it belongs. It is done once: to give it to another afterwards is refused.
    pub async fn attribute(
        &self,
        who: &Principal,
        request: &AttributeRequest,
    ) -> Result<SuspenseView, ApiError> {
        self.authorise_operating_bank(who)?;
        let bank = self.bank()?;
        let deposit: TransferId = request
            .deposit
            .parse()
            .map_err(|_| Error::new(Code::RequestInvalid, "`deposit` is no name of a deposit"))?;
        let project = crate::decode::project_name(&request.project)?;
        self.must_exist(&project).await?;
        let entry = self.act(who, &project, "gas.attribute", &deposit.to_string());
        self.log(entry).await?;
        Ok(suspended(
            bank.attribute(deposit, &project).await.map_err(failed)?,
        ))
    }

    /// Ends a project's account: what the operator agreed ends, credit goes back, and its own money is sent to it.
    pub async fn close_account(
        &self,
        who: &Principal,
        project: &ProjectName,
        request: &CloseRequest,
        name: Option<&str>,
    ) -> Result<CloseView, ApiError> {
        self.authorise_project(who, Action::ManageGas, project)?;
        let bank = self.bank()?;
        let to: Option<ScriptHash> = request.to.as_deref().map(address).transpose()?;
        let once = self.fresh_name();
        let name = format!("close/{}", name.unwrap_or(&once));
        let target = to.map_or_else(|| "nobody".to_owned(), |to| to.to_address());
        let entry: AuditEntry = self.act(who, project, "gas.close", &target);
        self.log(entry.detail(name.as_str())).await?;
        let by = who.caller();
        let asked = Asked {
            name: &name,
            by: Some(&by),
        };
        let closed = bank.close(project, to, asked, &once).await.map_err(failed)?;
        Ok(CloseView {
            reclaimed: closed.reclaimed.to_string(),
            withdrawal: closed.withdrawal.as_ref().map(withdrawal),
            left: closed.left.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_or_times() {
        let at = |text| moment("from", text).map(|m| m.0).ok();
        assert_eq!(at("1970-01-02"), Some(86_400_000));
        assert_eq!(at("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(at("1970-01-01T00:00:00.500Z"), Some(500));
        for bad in [
            "",
            "yesterday",
            "1970-13-01",
            "0",
            "1970-01-01 00:00",
            &"9".repeat(5_000),
        ] {
            assert!(at(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn cursors_read_back() {
        let line = UsageLine {
            project: "shop".parse().unwrap(),
            function: "a-b".parse().unwrap(),
            hour: UnixMillis(3_600_000),
            invocations: 1,
            units: 1,
            amount: neofn_types::Datoshi(1),
        };
        assert_eq!(after(&cursor_of(&line)).ok(), Some((line.hour, line.function)));
        for bad in ["", "1", "x.a", "1.A B", "1."] {
            assert!(after(bad).is_err(), "{bad}");
        }
    }
}
