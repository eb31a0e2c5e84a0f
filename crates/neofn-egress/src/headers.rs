//! Headers on the way out and back.

use crate::handles::{Handle, fill_header, has_handle};
use crate::limits::EgressLimits;
use crate::target::Target;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use neofn_types::{Code, Error};

/// Set by us or by the connection; from a function they are left out, as browsers do.
const OURS: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];
/// Not passed on to another origin.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "x-api-key"];
/// Of the connection, not of the answer.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A function's headers, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing(Vec<(HeaderName, String)>);

fn bad(name: &str, why: &str) -> Error {
    let name: String = name.chars().take(60).collect();
    Error::new(Code::EgressHeader, format!("fetch: header {name:?} {why}"))
}

impl Outgoing {
    pub(crate) fn read(headers: &[(String, String)], limits: &EgressLimits) -> Result<Self, Error> {
        if headers.len() > limits.headers {
            return Err(Error::new(
                Code::EgressTooLarge,
                format!("fetch: a request has at most {} headers", limits.headers),
            ));
        }
        let bytes: usize = headers.iter().map(|(n, v)| n.len().saturating_add(v.len())).sum();
        if bytes > limits.header_bytes {
            return Err(Error::new(
                Code::EgressTooLarge,
                format!(
                    "fetch: the headers of a request have at most {} bytes",
                    limits.header_bytes
                ),
            ));
        }
        let mut read = Vec::with_capacity(headers.len());
        for (text, value) in headers {
            let name =
                HeaderName::from_bytes(text.as_bytes()).map_err(|_| bad(text, "is no header's name"))?;
            if OURS.contains(&name.as_str())
                || name.as_str().starts_with("proxy-")
                || name.as_str().starts_with("sec-")
            {
                continue;
            }
            read.push((name, value.clone()));
        }
        Ok(Self(read))
    }
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.as_str() == name)
            .map(|(_, v)| v.as_str())
    }
    /// What must not follow a redirect to another origin goes.
    pub(crate) fn leave_origin(&mut self) {
        self.0
            .retain(|(name, value)| !CREDENTIALS.contains(&name.as_str()) && !has_handle(value.as_bytes()));
    }
    /// A redirect made the request one without a body.
    pub(crate) fn without_body(&mut self) {
        self.0.retain(|(name, _)| !name.as_str().starts_with("content-"));
    }
    /// As they go out, with values put in.
    pub(crate) fn filled(
        &self,
        handles: &[Handle],
        target: &Target,
        agent: &HeaderValue,
    ) -> Result<HeaderMap, Error> {
        let mut map = HeaderMap::with_capacity(self.0.len() + 4);
        let host = HeaderValue::from_str(&target.authority()).map_err(|_| bad("host", "cannot be made"))?;
        map.insert(HOST, host);
        map.insert(USER_AGENT, agent.clone());
        map.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let mut own = HeaderMap::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            let filled = fill_header(&latin1(value), handles, target)?;
            // neither our messages nor hyper's say what is in it
            let mut value = HeaderValue::from_bytes(&filled)
                .map_err(|_| bad(name.as_str(), "has a value that no header can have"))?;
            value.set_sensitive(true);
            own.append(name, value);
        }
        for name in own.keys() {
            map.remove(name);
        }
        map.extend(own);
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        Ok(map)
    }
}

/// The web's headers are bytes; those that fit go as such, all other text as UTF-8.
fn latin1(value: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.unwrap_or_else(|| value.as_bytes().to_vec())
}

/// An answer's headers, as a function sees them.
pub(crate) fn incoming(map: &HeaderMap, limits: &EgressLimits) -> Result<Vec<(String, String)>, Error> {
    let bytes: usize = map.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
    if map.len() > limits.headers || bytes > limits.header_bytes {
        return Err(Error::new(
            Code::EgressTooLarge,
            format!(
                "fetch: the answer has more than {} headers or {} bytes of them",
                limits.headers, limits.header_bytes
            ),
        ));
    }
    let kept = map
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    Ok(kept
        .map(|(name, value)| {
            let text = match value.to_str() {
                Ok(text) => text.to_owned(),
                Err(_) => match std::str::from_utf8(value.as_bytes()) {
                    Ok(text) => text.to_owned(),
                    Err(_) => value.as_bytes().iter().map(|b| char::from(*b)).collect(),
                },
            };
            (name.as_str().to_owned(), text)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<Outgoing, Error> {
        let owned: Vec<_> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Outgoing::read(&owned, &EgressLimits::default())
    }

    #[test]
    fn what_only_the_node_may_set_is_left_out() {
        let to = Target::read("https://a.example:8443/").unwrap();
        let sent = read(&[
            ("Host", "evil"),
            ("Connection", "upgrade"),
            ("Proxy-Authorization", "x"),
            ("Transfer-Encoding", "chunked"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Mine", "yes"),
            ("X-Mine", "again"),
            ("User-Agent", "me"),
        ])
        .unwrap()
        .filled(&[], &to, &HeaderValue::from_static("neofn"))
        .unwrap();
        assert_eq!(sent.get("host").unwrap(), "a.example:8443");
        assert_eq!(sent.get("user-agent").unwrap(), "me");
        assert_eq!(sent.get_all("x-mine").iter().count(), 2);
        for absent in [
            "connection",
            "proxy-authorization",
            "transfer-encoding",
            "x-forwarded-for",
        ] {
            assert!(!sent.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn a_header_cannot_begin_another() {
        let to = Target::read("https://a.example/").unwrap();
        for value in ["a\r\nHost: evil", "a\nb", "a\0b"] {
            let sent = read(&[("x", value)]).unwrap();
            let refused = sent
                .filled(&[], &to, &HeaderValue::from_static("neofn"))
                .unwrap_err();
            assert_eq!(refused.code, Code::EgressHeader);
            assert!(!refused.message.contains("evil"));
        }
        for name in ["", "a b", "a\r\nb", "a:b", "ä"] {
            assert_eq!(
                read(&[(name, "x")]).unwrap_err().code,
                Code::EgressHeader,
                "{name}"
            );
        }
        let many: Vec<_> = (0..65).map(|_| ("x", "y")).collect();
        assert_eq!(read(&many).unwrap_err().code, Code::EgressTooLarge);
        assert_eq!(
            read(&[("x", &"y".repeat(20_000))]).unwrap_err().code,
            Code::EgressTooLarge
        );
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let mut sent = read(&[
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("X-Token", "{{secret:KEY}}"),
            ("X-Plain", "y"),
        ])
        .unwrap();
        sent.leave_origin();
        assert_eq!(
            sent.0.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(),
            ["x-plain"]
        );
    }
}
