//! One request and its answer, without regard to what the answer asks for.

use crate::broker::Broker;
use crate::connect::Lookup;
use crate::decode::decode;
use crate::handles::{Handle, Place, fill};
use crate::headers::Outgoing;
use crate::request::Redirects;
use crate::room::Room;
use crate::target::Target;
use crate::{body, connect, headers};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use neofn_types::{Code, Error};

/// What is sent to where a target leads.
pub(crate) struct Hop<'r> {
    pub(crate) target: &'r Target,
    pub(crate) lookup: Lookup,
    pub(crate) room: Room<'r>,
    pub(crate) method: &'r Method,
    pub(crate) headers: &'r Outgoing,
    pub(crate) body: Option<&'r Bytes>,
    pub(crate) handles: &'r [Handle],
    pub(crate) redirects: Redirects,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) location: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// Ends the connection with the request.
struct Ends(tokio::task::AbortHandle);
impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn protocol(error: hyper::Error) -> Error {
    let (code, message) = if error.is_parse_too_large() {
        (Code::EgressTooLarge, "fetch: the answer's headers are too large")
    } else if error.is_parse() {
        (Code::EgressProtocol, "fetch: the answer is not HTTP")
    } else {
        (
            Code::EgressProtocol,
            "fetch: the host closed the connection before its answer",
        )
    };
    Error::new(code, message).because(error)
}

impl Broker {
    /// Resolves, checks, connects, sends, reads.
    pub(crate) async fn hop(&self, mut hop: Hop<'_>) -> Result<Answer, Error> {
        let options = &self.options;
        let limits = &options.limits;
        // all that can be refused is, before anything is connected to
        let request = self.request(&hop)?;
        let addresses = connect::addresses(hop.target, hop.lookup, &options.reach, limits).await?;
        let stream = connect::connect(hop.target, &addresses, &self.tls, limits).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(limits.headers)
            .max_buf_size(limits.header_bytes.max(8 << 10))
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(protocol)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection of the broker ended");
            }
        });
        let _ends = Ends(driver.abort_handle());
        let response = sender.send_request(request).await.map_err(protocol)?;
        let (parts, incoming) = response.into_parts();
        let mut headers = headers::incoming(&parts.headers, limits)?;
        let location = text(&parts.headers, &header::LOCATION);
        let redirect = matches!(parts.status.as_u16(), 301 | 302 | 303 | 307 | 308) && location.is_some();
        // what follows a redirect's head is nobody's answer, unless the function wants to see it
        let mut body = if redirect && hop.redirects != Redirects::Manual {
            Vec::new()
        } else {
            body::incoming(incoming, &mut hop.room, limits).await?
        };
        if *hop.method != Method::HEAD {
            let encoding = text(&parts.headers, &header::CONTENT_ENCODING);
            let (received, most) = (body.len(), limits.response_bytes);
            let mut more = |bytes: usize| hop.room.try_hold(received.saturating_add(bytes));
            if let Some(decoded) = decode(&body, encoding.as_deref(), most, &mut more)? {
                body = decoded;
                headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
            }
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            reason: parts.status.canonical_reason().unwrap_or_default().to_owned(),
            location,
            headers,
            body: hop.room.around(body),
        })
    }

    fn request(&self, hop: &Hop<'_>) -> Result<Request<Full<Bytes>>, Error> {
        let target = hop.target;
        let path = fill(target.path().as_bytes(), Place::Percent, hop.handles, target)?;
        let body = body::outgoing(hop.body, hop.headers, hop.handles, target, &self.options.limits)?;
        let path = http::Uri::try_from(path.as_slice())
            .map_err(|_| Error::new(Code::EgressUrl, "fetch: the URL's path cannot be sent"))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = path;
        *request.headers_mut() = hop.headers.filled(hop.handles, target, &self.agent)?;
        if hop.body.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(hop.method) {
            let none = header::HeaderValue::from_static("0");
            request.headers_mut().insert(header::CONTENT_LENGTH, none);
        }
        Ok(request)
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
}
