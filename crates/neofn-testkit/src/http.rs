//! Plain HTTP for tests: any method, any body, any header; every status is an answer.

use serde_json::{Value, json};
use std::io::Read as _;
use std::time::Duration;

/// A client with or without credentials.
#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
    url: String,
    key: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As text; invalid UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
    /// Asserts the status.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
    /// The `code` of a problem document.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

impl Http {
    /// A client of the node at `url`.
    #[must_use]
    pub fn new(url: &str, key: Option<&str>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        Self {
            agent,
            url: url.to_owned(),
            key: key.map(str::to_owned),
        }
    }

    /// Sends a request. A connection that the node closes early is status 0 with the error as body.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a well-formed request");
        match self.agent.run(request) {
            Ok(response) => {
                let status = response.status().as_u16();
                let headers = response
                    .headers()
                    .iter()
                    .map(|(n, v)| {
                        (
                            n.as_str().to_owned(),
                            String::from_utf8_lossy(v.as_bytes()).into_owned(),
                        )
                    })
                    .collect();
                let mut bytes = Vec::new();
                let _ = response
                    .into_body()
                    .into_reader()
                    .take(64 << 20)
                    .read_to_end(&mut bytes);
                Answer {
                    status,
                    headers,
                    body: String::from_utf8_lossy(&bytes).into_owned(),
                }
            }
            Err(error) => Answer {
                status: 0,
                headers: Vec::new(),
                body: error.to_string(),
            },
        }
    }
    /// DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, b"", &[])
    }
    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"", &[])
    }
    /// POST with a JSON body.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            body.to_string().as_bytes(),
            &[("content-type", "application/json")],
        )
    }
    /// Deploys one file as `project/function`.
    #[must_use]
    pub fn deploy(&self, project: &str, function: &str, source: &str) -> Answer {
        self.deploy_with(project, json!({"function_name": function, "source": source}))
    }
    /// Deploys a whole request.
    #[must_use]
    pub fn deploy_with(&self, project: &str, request: Value) -> Answer {
        self.post(&format!("/api/functions/projects/{project}"), &request)
    }
    /// Invokes and waits.
    #[must_use]
    pub fn invoke(&self, project: &str, function: &str, event: &Value) -> Answer {
        self.post(&format!("/api/v1/functions/{project}/{function}"), event)
    }
}
