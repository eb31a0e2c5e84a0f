//! The log: to standard error, as text or as JSON lines. Standard output belongs to answers.

use neofn_types::{Code, Error};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("the log format is `text` or `json`".to_owned()),
        }
    }
}

/// Starts logging; `filter` as in `neofn_http=debug,info`. Once in a process.
pub fn log_to_stderr(format: LogFormat, filter: &str) -> Result<(), Error> {
    let wrong =
        |e: &dyn std::fmt::Display| Error::new(Code::ConfigInvalid, format!("log filter {filter:?}: {e}"));
    let parsed = EnvFilter::try_new(filter).map_err(|e| wrong(&e))?;
    let builder = fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    let plain =
        std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !std::io::stderr().is_terminal();
    let started = match format {
        LogFormat::Text => builder.with_ansi(!plain).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(Error::internal)
}
