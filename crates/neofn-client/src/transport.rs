//! Sends a request and reads its answer: addresses, credentials, time-outs, retries. Knows no path of the API.

use crate::Error;
use neofn_types::Code;
use neofn_wire::Problem;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{TlsConfig, TlsProvider};
use ureq::{Agent, Body};

/// Most bytes of an answer: a page of results with their logs is far below.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Tries of a request that is safe to repeat.
const TRIES_MAX: u32 = 4;
/// Longest single wait that a node may ask for by Retry-After.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// How to reach a node.
#[derive(Clone)]
pub struct Options {
    /// `http://127.0.0.1:9000`
    pub url: String,
    /// An API key; without one only open paths answer.
    pub key: Option<String>,
    /// How long an answer may take, the run of a function included.
    pub timeout: Duration,
    /// `neofn-cli/0.1.0`
    pub user_agent: String,
}

/// A connection to one node. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    pub(crate) base: String,
    authorization: Option<String>,
    timeout: Duration,
}

/// A request as the API methods describe it.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: String) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            idempotency_key: None,
        }
    }
    pub(crate) fn delete(path: String) -> Self {
        Self {
            method: "DELETE",
            path,
            body: None,
            idempotency_key: None,
        }
    }
    pub(crate) fn send(method: &'static str, path: String, body: &'a [u8]) -> Self {
        Self {
            method,
            path,
            body: Some(body),
            idempotency_key: None,
        }
    }
    pub(crate) fn keyed(mut self, key: Option<&'a str>) -> Self {
        self.idempotency_key = key;
        self
    }
    /// Whether doing it twice is the same as doing it once.
    fn repeatable(&self) -> bool {
        self.method != "POST" || self.idempotency_key.is_some()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The address without a trailing slash, once it is known to be usable.
fn check_url(url: &str) -> Result<String, Error> {
    let shown: String = url.chars().take(200).collect();
    let uri: Uri = url
        .parse()
        .map_err(|reason| Error::Config(format!("{shown:?} is not an address: {reason}")))?;
    let host = uri.host().filter(|h| !h.is_empty());
    let host = host.ok_or_else(|| {
        Error::Config(format!(
            "{shown:?} is not an address: write it like http://127.0.0.1:9000"
        ))
    })?;
    match uri.scheme_str() {
        Some("https") => {}
        // An API key must not cross a network in the clear.
        Some("http") if is_loopback(host) => {}
        Some("http") => {
            return Err(Error::Config(format!(
                "{shown}: plain http is for this machine only; use https"
            )));
        }
        _ => {
            return Err(Error::Config(format!(
                "{shown:?} must begin with https:// or http://"
            )));
        }
    }
    if uri.query().is_some() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(Error::Config(
            "the address of a node has no query and no user name".to_owned(),
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

impl Client {
    /// Prepares to talk to a node; nothing is sent yet.
    pub fn new(options: Options) -> Result<Self, Error> {
        let base = check_url(&options.url)?;
        let authorization = match options.key.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(key) if key.len() <= 512 && key.bytes().all(|b| b.is_ascii_graphic()) => {
                Some(format!("Bearer {key}"))
            }
            Some(_) => {
                return Err(Error::Config(
                    "the API key has characters that no key has".to_owned(),
                ));
            }
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(options.user_agent)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)))
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            base,
            authorization,
            timeout: options.timeout,
        })
    }

    /// The address, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends once. An answer of any status is an answer.
    fn once(&self, call: &Call<'_>) -> Result<Response<Body>, Error> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path));
        request = request.header("accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let result = match call.body {
            None => request
                .body(())
                .map_err(|e| Error::Config(e.to_string()))
                .map(|r| {
                    self.agent
                        .configure_request(r)
                        .timeout_global(Some(self.timeout))
                        .build()
                })
                .map(|r| self.agent.run(r)),
            Some(body) => request
                .header("content-type", "application/json")
                .body(body)
                .map_err(|e| Error::Config(e.to_string()))
                .map(|r| {
                    self.agent
                        .configure_request(r)
                        .timeout_global(Some(self.timeout))
                        .build()
                })
                .map(|r| self.agent.run(r)),
        }?;
        result.map_err(|reason| self.failed(&reason))
    }

    /// Opens a stream of server-sent events: no limit on the whole, one on silence.
    pub(crate) fn open_stream(
        &self,
        path: &str,
        last: Option<&str>,
        silence: Duration,
    ) -> Result<Response<Body>, Error> {
        let mut request = Request::builder()
            .method("GET")
            .uri(format!("{}{path}", self.base));
        request = request.header("accept", "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(()).map_err(|e| Error::Config(e.to_string()))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(silence))
            .build();
        let response = self.agent.run(request).map_err(|reason| self.failed(&reason))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(response))
        }
    }

    fn failed(&self, reason: &ureq::Error) -> Error {
        let url = self.base.clone();
        match reason {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Error::Unreachable {
                url,
                reason: "no connection in time".to_owned(),
            },
            ureq::Error::Timeout(_) => Error::timed_out(&url, self.timeout),
            ureq::Error::Io(io) => Error::Unreachable {
                url,
                reason: io.to_string(),
            },
            ureq::Error::HostNotFound => Error::Unreachable {
                url,
                reason: "no such host".to_owned(),
            },
            ureq::Error::ConnectionFailed => Error::Unreachable {
                url,
                reason: "connection failed".to_owned(),
            },
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Error::Unreachable {
                url,
                reason: reason.to_string(),
            },
            other => Error::BadAnswer {
                url,
                reason: other.to_string(),
            },
        }
    }

    /// The problem document of an answer that is not a success.
    fn refused(&self, mut response: Response<Body>) -> Error {
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string();
        match text.ok().and_then(|t| serde_json::from_str::<Problem>(&t).ok()) {
            Some(problem) if !problem.code.is_empty() => Error::Problem(Box::new(problem)),
            _ => Error::BadAnswer {
                url: self.base.clone(),
                reason: format!("status {status} without a problem document"),
            },
        }
    }

    /// Sends, repeats when that is safe and the node asks for it, and decodes the answer.
    pub(crate) fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        let text = self.call_text(call)?;
        serde_json::from_str(&text).map_err(|reason| Error::BadAnswer {
            url: self.base.clone(),
            reason: reason.to_string(),
        })
    }

    /// As [`Client::call`], but the text itself.
    pub(crate) fn call_text(&self, call: &Call<'_>) -> Result<String, Error> {
        for tried in 1.. {
            let mut response = self.once(call)?;
            if response.status().is_success() {
                return response
                    .body_mut()
                    .with_config()
                    .limit(ANSWER_BYTES_MAX)
                    .read_to_string()
                    .map_err(|reason| self.failed(&reason));
            }
            let after = retry_after(&response);
            let error = self.refused(response);
            match after {
                Some(wait) if call.repeatable() && tried < TRIES_MAX && worth_repeating(&error) => {
                    std::thread::sleep(wait);
                }
                _ => return Err(error),
            }
        }
        Err(Error::NotFound)
    }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds: u64 = response
        .headers()
        .get("retry-after")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Overload and busy keys pass; whatever else carries Retry-After is for the caller to decide.
fn worth_repeating(error: &Error) -> bool {
    let Error::Problem(problem) = error else {
        return false;
    };
    matches!(problem.status, 429 | 503) || error.code() == Code::IdempotencyBusy
}

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in [
            "http://127.0.0.1:9000/",
            "http://localhost:1",
            "http://[::1]:9000",
            "https://node.example",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://node.example",
            "http://10.0.0.1:9000",
            "ftp://localhost",
            "127.0.0.1:9000",
            "",
            "http://",
            "https://a@b.example",
            "http://localhost?x",
            "https://user:pw@localhost",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check_url("http://127.0.0.1:9000//").ok().as_deref(),
            Some("http://127.0.0.1:9000")
        );
    }
}
