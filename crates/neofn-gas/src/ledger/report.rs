//! Statements and usage as rows and as CSV. Knows no store and no transport.

use super::{Account, Detail, Purpose, TransferId};
use neofn_types::{Caller, Datoshi, FunctionName, ProjectName, UnixMillis};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// One line of an account's statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Its place in the ledger; grows.
    pub seq: u64,
    /// Its name.
    pub id: TransferId,
    /// Why.
    pub purpose: Purpose,
    /// The other side.
    pub other: Account,
    /// How much came; negative: went.
    pub amount: Datoshi,
    /// The hold that it was taken from.
    pub hold: Option<TransferId>,
    /// When.
    pub at: UnixMillis,
    /// About what.
    pub detail: Detail,
}

/// Which lines, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementFilter {
    /// Older than this line.
    pub before: Option<u64>,
    /// Not before this time.
    pub since: Option<UnixMillis>,
    /// At most.
    pub limit: u32,
}

/// A hold as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRow {
    /// Its name.
    pub id: TransferId,
    /// Why.
    pub purpose: Purpose,
    /// Whose.
    pub debit: Account,
    /// For whom.
    pub credit: Account,
    /// What was set aside.
    pub amount: Datoshi,
    /// What it still has; zero: it has ended.
    pub left: Datoshi,
    /// Since when.
    pub at: UnixMillis,
    /// About what.
    pub detail: Detail,
}

/// What one function used in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    /// Whose.
    pub project: ProjectName,
    /// Which function.
    pub function: FunctionName,
    /// When the hour began.
    pub hour: UnixMillis,
    /// Attempts that were charged.
    pub invocations: u64,
    /// Their units.
    pub units: u64,
    /// What they cost.
    pub amount: Datoshi,
}

/// Which hours, in order of hour and function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFilter {
    /// Whose.
    pub project: ProjectName,
    /// Of one function alone.
    pub function: Option<FunctionName>,
    /// From this hour on.
    pub from: UnixMillis,
    /// Before this one.
    pub until: UnixMillis,
    /// After this hour and function.
    pub after: Option<(UnixMillis, FunctionName)>,
    /// At most.
    pub limit: u32,
}

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;
impl UsageLine {
    /// The hour that a moment is in.
    #[must_use]
    pub const fn hour_of(at: UnixMillis) -> UnixMillis {
        UnixMillis(at.0.div_euclid(HOUR_MS) * HOUR_MS)
    }
}

/// A cell as spreadsheets read it; text that they would take for a formula is kept text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    let mark = if formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}
fn maybe<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// A statement as CSV (RFC 4180): GAS with a point, times in ISO 8601.
#[must_use]
pub fn statement_csv(project: &ProjectName, lines: &[StatementLine]) -> String {
    let mut out = String::from(
        "time,project,entry,gas,caller,function,invocation,units,price_datoshi_per_million,transaction,party,note,id\r\n",
    );
    for line in lines {
        let d = &line.detail;
        // writing to a string cannot fail
        let _ = write!(
            out,
            "{},{project},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            line.at.to_iso8601(),
            line.purpose,
            line.amount,
            cell(d.caller.as_ref().map(Caller::as_str).unwrap_or_default()),
            maybe(d.function.as_ref()),
            maybe(d.invocation.as_ref()),
            maybe(d.units.as_ref()),
            maybe(d.price.as_ref()),
            maybe(d.tx.as_ref()),
            d.party.map(|p| p.to_address()).unwrap_or_default(),
            cell(d.note.as_deref().unwrap_or_default()),
            line.id,
        );
    }
    out
}

/// Usage as CSV.
#[must_use]
pub fn usage_csv(lines: &[UsageLine]) -> String {
    let mut out = String::from("hour,project,function,invocations,units,gas\r\n");
    for line in lines {
        let _ = write!(
            out,
            "{},{},{},{},{},{}\r\n",
            line.hour.to_iso8601(),
            line.project,
            line.function,
            line.invocations,
            line.units,
            line.amount
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cannot_be_broken_out_of() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(cell("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        assert_eq!(cell("x\r\ny"), "\"x\r\ny\"");
    }

    #[test]
    fn a_statement_has_a_line_each() {
        let line = StatementLine {
            seq: 7,
            id: TransferId([1; 16]),
            purpose: Purpose::Charge,
            other: Account::Fees,
            amount: Datoshi(-150_000_000),
            hold: None,
            at: UnixMillis(0),
            detail: Detail {
                function: Some("guard".parse().unwrap()),
                units: Some(12_000),
                price: Some(100_000),
                caller: Some(Caller::new("key:01 =ci,2")),
                ..Detail::default()
            },
        };
        let csv = statement_csv(&"shop".parse().unwrap(), &[line]);
        let lines: Vec<_> = csv.split("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[1],
            "1970-01-01T00:00:00.000Z,shop,charge,-1.5,\"key:01 =ci,2\",guard,,12000,100000,,,,01010101010101010101010101010101"
        );
        let columns = |l: &str| l.split(',').count();
        // one comma is inside of a cell
        assert_eq!(columns(lines[0]) + 1, columns(lines[1]));
    }
}
