//! Handles: where a function wrote `{{secret:NAME}}`, the value goes in here, and only towards hosts that the secret
//! names.
//!
//! A handle stands in a header, the query or the body. In a query and a form it may have been percent-encoded by
//! whoever built them, in `Authorization: Basic` it is within the base64.

use crate::request::Fetch;
use crate::target::Target;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neofn_types::{Code, Error, HostPattern, Scheme, SecretName};
use std::fmt;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Secrets that one request may use.
const NAMES_MAX: usize = 16;
/// How a handle may begin and end, as it is and percent-encoded by the usual encoders.
const FORMS: [(&str, &str); 3] = [
    ("{{secret:", "}}"),
    ("%7B%7Bsecret%3A", "%7D%7D"),
    ("%7B%7Bsecret:", "%7D%7D"),
];
/// Longest name within a handle.
const NAME_BYTES_MAX: usize = 64;

/// A value that may be put in, and where it may go.
#[derive(Clone)]
pub struct Handle {
    /// The secret.
    pub name: SecretName,
    /// Its value.
    pub value: Zeroizing<Vec<u8>>,
    /// The hosts that it may be sent to.
    pub hosts: Vec<HostPattern>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How a value is written where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Raw,
    Json,
    Percent,
}

/// The names of the secrets that a request uses, each once.
pub fn handle_names(fetch: &Fetch) -> Result<Vec<SecretName>, Error> {
    let mut names = Vec::new();
    let mut look = |bytes: &[u8]| {
        for found in Finder::over(bytes) {
            if let Piece::Handle(name) = found
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
    };
    look(fetch.url.as_bytes());
    for (_, value) in &fetch.headers {
        look(value.as_bytes());
        if let Some(pair) = basic(value.as_bytes()) {
            look(&pair);
        }
    }
    if let Some(body) = &fetch.body {
        look(body);
    }
    if names.len() > NAMES_MAX {
        return Err(Error::new(
            Code::EgressHeader,
            format!("fetch: one request uses at most {NAMES_MAX} secrets"),
        ));
    }
    Ok(names)
}

/// Whether there is a handle, also within Basic credentials.
pub(crate) fn has_handle(bytes: &[u8]) -> bool {
    let any = |b: &[u8]| Finder::over(b).any(|p| matches!(p, Piece::Handle(_)));
    any(bytes) || basic(bytes).is_some_and(|pair| any(&pair))
}

/// Puts values in. Refuses a handle whose secret is not at hand or may not go there.
pub(crate) fn fill(
    bytes: &[u8],
    place: Place,
    handles: &[Handle],
    target: &Target,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() + 64));
    for piece in Finder::over(bytes) {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Handle(name) => {
                let handle = handles
                    .iter()
                    .find(|h| h.name == name)
                    .ok_or_else(|| Error::new(Code::SecretNotFound, format!("fetch: no secret {name}")))?;
                may_go(handle, target)?;
                write_value(&mut out, &handle.value, place)?;
            }
        }
    }
    Ok(out)
}

/// As [`fill`], for a header, whose Basic credentials are opened and closed again.
pub(crate) fn fill_header(
    value: &[u8],
    handles: &[Handle],
    target: &Target,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    match basic(value) {
        Some(pair) if has_handle(&pair) => {
            let filled = fill(&pair, Place::Raw, handles, target)?;
            let text = Zeroizing::new(STANDARD.encode(&*filled));
            Ok(Zeroizing::new([b"Basic ", text.as_bytes()].concat()))
        }
        _ => fill(value, Place::Raw, handles, target),
    }
}

/// What `Basic …` says, if that is what it is.
fn basic(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme
        .eq_ignore_ascii_case(b"basic ")
        .then(|| STANDARD.decode(rest.trim_ascii()).ok())?
}

fn may_go(handle: &Handle, target: &Target) -> Result<(), Error> {
    let name = &handle.name;
    if target.scheme != Scheme::Https {
        return Err(Error::new(
            Code::SecretHost,
            format!(
                "fetch: {name} is sent to https hosts only, not to {}",
                target.origin()
            ),
        ));
    }
    if handle.hosts.iter().any(|h| h.matches(&target.host)) {
        return Ok(());
    }
    Err(Error::new(
        Code::SecretHost,
        format!("fetch: {name} may not be sent to {}", target.host),
    )
    .hint(format!(
        "`neofn secrets configure {name} --host {}` allows it.",
        target.host
    )))
}

fn write_value(out: &mut Zeroizing<Vec<u8>>, value: &[u8], place: Place) -> Result<(), Error> {
    match place {
        Place::Raw => out.extend_from_slice(value),
        Place::Percent => {
            let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
            for &b in value {
                if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                    text.push(char::from(b));
                } else {
                    let _ = write!(text, "%{b:02X}");
                }
            }
            out.extend_from_slice(text.as_bytes());
        }
        Place::Json => {
            let text = std::str::from_utf8(value).map_err(|_| {
                Error::new(
                    Code::SecretInvalid,
                    "fetch: a value that is no text cannot stand in JSON",
                )
            })?;
            let quoted = Zeroizing::new(serde_json::to_string(text).map_err(Error::internal)?);
            let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
            out.extend_from_slice(inner.unwrap_or_default().as_bytes());
        }
    }
    Ok(())
}

enum Piece<'t> {
    Text(&'t [u8]),
    Handle(SecretName),
}

/// Takes text apart at its handles. What only looks like one is text.
struct Finder<'t> {
    rest: &'t [u8],
    next: Option<SecretName>,
}

impl<'t> Finder<'t> {
    fn over(bytes: &'t [u8]) -> Self {
        Self {
            rest: bytes,
            next: None,
        }
    }
    /// The first handle from here: where it begins, how long it is, its name.
    fn first(&self) -> Option<(usize, usize, SecretName)> {
        let mut from = 0;
        loop {
            let at = from
                + self
                    .rest
                    .get(from..)?
                    .iter()
                    .position(|b| *b == b'{' || *b == b'%')?;
            let here = self.rest.get(at..)?;
            if let Some((length, name)) = FORMS.iter().find_map(|form| handle_at(here, form)) {
                return Some((at, length, name));
            }
            from = at + 1;
        }
    }
}

fn handle_at(here: &[u8], (open, close): &(&str, &str)) -> Option<(usize, SecretName)> {
    let head = here.get(..open.len())?;
    if !head.eq_ignore_ascii_case(open.as_bytes()) {
        return None;
    }
    let after = here.get(open.len()..)?;
    let window = after.get(..after.len().min(NAME_BYTES_MAX + close.len()))?;
    let end = window
        .windows(close.len())
        .position(|w| w.eq_ignore_ascii_case(close.as_bytes()))?;
    let name = std::str::from_utf8(window.get(..end)?).ok()?.parse().ok()?;
    Some((open.len() + end + close.len(), name))
}

impl<'t> Iterator for Finder<'t> {
    type Item = Piece<'t>;
    fn next(&mut self) -> Option<Piece<'t>> {
        if let Some(name) = self.next.take() {
            return Some(Piece::Handle(name));
        }
        if self.rest.is_empty() {
            return None;
        }
        let Some((at, length, name)) = self.first() else {
            return Some(Piece::Text(std::mem::take(&mut self.rest)));
        };
        let text = self.rest.get(..at).unwrap_or_default();
        self.rest = self.rest.get(at + length..).unwrap_or_default();
        self.next = Some(name);
        Some(Piece::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(value: &str) -> Handle {
        Handle {
            name: "KEY".parse().unwrap(),
            value: Zeroizing::new(value.as_bytes().to_vec()),
            hosts: vec!["*.example.org".parse().unwrap()],
        }
    }
    fn target(url: &str) -> Target {
        Target::read(url).unwrap()
    }
    fn filled(text: &str, place: Place) -> String {
        let to = target("https://api.example.org/");
        let out = fill(text.as_bytes(), place, &[handle("a\"b/ü")], &to).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_their_place_wants() {
        assert_eq!(filled("x{{secret:KEY}}y", Place::Raw), "xa\"b/üy");
        assert_eq!(
            filled("{\"k\":\"{{secret:KEY}}\"}", Place::Json),
            "{\"k\":\"a\\\"b/ü\"}"
        );
        assert_eq!(
            filled("a={{secret:KEY}}&b=%7B%7bsecret%3AKEY%7D%7d", Place::Percent),
            "a=a%22b%2F%C3%BC&b=a%22b%2F%C3%BC"
        );
        for text in [
            "",
            "{{secret:}}",
            "{{secret:KEY}",
            "{{secret:a b}}",
            "{{{{",
            "%7B%7B",
            "{{ secret:KEY }}",
        ] {
            assert_eq!(filled(text, Place::Raw), text);
        }
        assert_eq!(filled("{{{secret:KEY}}}", Place::Raw), "{a\"b/ü}");
    }

    #[test]
    fn basic_credentials_are_opened() {
        let value = format!("Basic {}", STANDARD.encode("user:{{secret:KEY}}"));
        let to = target("https://api.example.org/");
        let out = fill_header(value.as_bytes(), &[handle("hunter2")], &to).unwrap();
        assert_eq!(
            out.as_slice(),
            format!("Basic {}", STANDARD.encode("user:hunter2")).as_bytes()
        );
        assert!(has_handle(value.as_bytes()) && !has_handle(b"Basic dXNlcg=="));
    }

    #[test]
    fn a_value_goes_to_its_hosts_alone() {
        for (url, goes) in [
            ("https://api.example.org/", true),
            ("https://api.example.org./", true),
            ("https://example.org/", false),
            ("https://api.example.org.evil.com/", false),
            ("http://api.example.org/", false),
        ] {
            let out = fill(b"{{secret:KEY}}", Place::Raw, &[handle("hunter2")], &target(url));
            match out {
                Ok(_) => assert!(goes, "{url}"),
                Err(e) => assert!(!goes && e.code == Code::SecretHost, "{url} {e}"),
            }
        }
        let other = fill(
            b"{{secret:OTHER}}",
            Place::Raw,
            &[handle("hunter2")],
            &target("https://a.example.org"),
        );
        assert_eq!(other.unwrap_err().code, Code::SecretNotFound);
        assert_eq!(format!("{:?}", handle("hunter2")), "Handle { name: \"KEY\", .. }");
    }
}
