//! Follows a log, or events, by server-sent events: comes back after a break, and misses nothing in between.

use crate::Error;
use crate::transport::Client;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::time::Duration;
use ureq::BodyReader;

/// A line longer than this is no log of ours: results are not in it, and logs end at 64 KiB.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// A node sends a comment now and then; silence for longer means that the line is dead.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// Tries to come back before giving up.
const RETURNS_MAX: u32 = 20;

/// What a node tells as it happens: ended invocations, or events. Blocks in `next`; ends with an error when the node stays away.
pub struct Follow<T> {
    client: Client,
    path: String,
    last: Option<String>,
    stream: Option<BufReader<BodyReader<'static>>>,
    returns: u32,
    connected_once: bool,
    item: PhantomData<fn() -> T>,
}

impl<T> Follow<T> {
    pub(crate) fn new(client: Client, path: String, after: Option<String>) -> Self {
        Self {
            client,
            path,
            last: after,
            stream: None,
            returns: 0,
            connected_once: false,
            item: PhantomData,
        }
    }

    /// Connects, so that a caller knows that no later invocation is missed.
    pub fn connect(&mut self) -> Result<(), Error> {
        if self.stream.is_none() {
            let response = self
                .client
                .open_stream(&self.path, self.last.as_deref(), SILENCE_MAX)?;
            self.stream = Some(BufReader::new(response.into_body().into_reader()));
            self.connected_once = true;
        }
        Ok(())
    }

    /// Waits a little longer each time; a node that restarts is back within a second or two.
    fn come_back(&mut self) -> Result<(), Error> {
        loop {
            match self.connect() {
                Ok(()) => return Ok(()),
                Err(error @ (Error::Problem(_) | Error::Config(_))) => return Err(error),
                Err(error) if !self.connected_once || self.returns >= RETURNS_MAX => return Err(error),
                Err(_) => {
                    self.returns += 1;
                    std::thread::sleep(Duration::from_millis(100) * self.returns.min(20));
                }
            }
        }
    }

    /// Reads one line; `None` when the stream broke or ended.
    fn line(&mut self) -> Option<String> {
        let stream = self.stream.as_mut()?;
        let mut line = Vec::new();
        let read = stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        match read {
            Ok(n) if n > 0 && line.last() == Some(&b'\n') => {
                while matches!(line.last(), Some(b'\n' | b'\r')) {
                    line.pop();
                }
                Some(String::from_utf8_lossy(&line).into_owned())
            }
            _ => {
                self.stream = None;
                None
            }
        }
    }

    /// Reads one event: its id and its data. `None` when the stream broke in it.
    fn event(&mut self) -> Option<(Option<String>, String)> {
        let (mut id, mut data) = (None, String::new());
        loop {
            let line = self.line()?;
            let (field, value) = line.split_once(':').unwrap_or((line.as_str(), ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() && (id.is_some() || !data.is_empty()) => return Some((id, data)),
                "id" => id = Some(value.to_owned()),
                "data" => {
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                // Comments, and fields that we have no use for.
                _ => {}
            }
        }
    }
}

impl<T: DeserializeOwned> Iterator for Follow<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Err(error) = self.come_back() {
                return Some(Err(error));
            }
            let Some((id, data)) = self.event() else { continue };
            self.returns = 0;
            if id.is_some() {
                self.last = id;
            }
            if let Ok(event) = serde_json::from_str(&data) {
                return Some(Ok(event));
            }
        }
    }
}
