//! A message: headers and bytes.

use bytes::Bytes;

/// What is sent. Names of headers are compared without case; one name may come several times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub payload: Bytes,
    /// Why the headers could not be read: then there are none here, whatever was sent. Nobody can send this.
    pub unreadable: Option<String>,
}

impl Message {
    /// Bytes without headers.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            headers: Vec::new(),
            payload: payload.into(),
            unreadable: None,
        }
    }
    /// One header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    /// The first header of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
    /// All headers, as an edge reads them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}
