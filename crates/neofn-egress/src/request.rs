//! A request and its answer, as functions see them.

use neofn_types::{FunctionKey, NetGrant};
use std::time::Duration;

/// What becomes of redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// They are followed.
    #[default]
    Follow,
    /// They are the answer.
    Manual,
    /// They are an error.
    Error,
}

/// A request of a function.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Who asks: limits and the breaker count by it.
    pub function: FunctionKey,
    /// Where it may ask.
    pub allow: Vec<NetGrant>,
    /// In capitals, or as the web allows it to be written.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Names and values as they were given; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<bytes::Bytes>,
    /// What becomes of redirects.
    pub redirects: Redirects,
    /// Less time than the limit.
    pub time: Option<Duration>,
}

/// An answer. Never holds a value that was put in by handle where the host sent it back in a form that is looked for:
/// the caller scrubs it before anybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The URL that answered, without fragment.
    pub url: String,
    /// Whether a redirect led there.
    pub redirected: bool,
    /// The status.
    pub status: u16,
    /// Its words; the usual ones where the host gave none.
    pub status_text: String,
    /// In lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// After decompression.
    pub body: bytes::Bytes,
}
