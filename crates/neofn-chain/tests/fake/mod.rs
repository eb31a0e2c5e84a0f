//! A node that misbehaves: it passes what a real one answers on, changed as it is told to. It has no socket.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop loudly")]

use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use neofn_testkit::Http;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Honest,
    /// Says that it is on network 7.
    Foreign,
    /// Hides the newest blocks.
    Late(u64),
    /// Other hashes than everybody.
    Forked,
    /// Claims a height that nobody can have.
    Boasting,
    /// Something that is no JSON.
    Html,
    /// JSON that is no JSON-RPC.
    Nonsense,
    /// Answers to calls that were not made.
    WrongIds,
    /// Half an answer, then the connection is gone.
    HangUp,
    /// No answer at all.
    Silent,
    /// An answer without end.
    Endless,
    /// An error to every batch.
    NoBatches,
    /// Says that no transaction is valid for any block.
    Useless,
    /// Has no log of any transaction.
    NoLogs,
    /// Says of each transaction that it is already known.
    Known,
    /// Says of each transaction that it ended the other way.
    Faulting,
}

#[derive(Clone)]
pub struct Fake {
    mood: Arc<Mutex<Mood>>,
    upstream: String,
    url: String,
}

type Body = BoxBody<Bytes, std::io::Error>;

impl Fake {
    pub async fn start(upstream: &str, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            mood: Arc::new(Mutex::new(mood)),
            upstream: upstream.to_owned(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let fake = fake.clone();
                        async move { Ok::<_, Infallible>(fake.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        fake
    }
    pub fn url(&self) -> String {
        self.url.clone()
    }
    pub fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.method() != hyper::Method::POST {
            let mut response = Response::new(whole(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let mood = *self.mood.lock().unwrap();
        let body = match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Html => whole("<html>502 Bad Gateway</html>".into()),
            Mood::Nonsense => whole(r#"{"hello":{"world":[1,2,3]},"id":0,"result":{"protocol":5}}"#.into()),
            Mood::HangUp => part(r#"{"jsonrpc":"2.0","id":0,"resu"#.into()),
            Mood::Endless => endless(),
            _ => whole(self.pass_on(&asked, mood).await.to_string().into()),
        };
        Response::new(body)
    }

    async fn pass_on(&self, asked: &Bytes, mood: Mood) -> Value {
        let question: Value = serde_json::from_slice(asked).unwrap();
        if mood == Mood::NoBatches && question.is_array() {
            return json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no batches here"}});
        }
        if mood == Mood::Known && question["method"] == "sendrawtransaction" {
            return json!({"jsonrpc": "2.0", "id": 0, "error": {"code": -503, "message": "Already in pool"}});
        }
        let http = Http::new(&self.upstream, None);
        let body = asked.to_vec();
        let answer = tokio::task::spawn_blocking(move || http.send("POST", "/", &body, &[]))
            .await
            .unwrap();
        let mut answer = answer.json();
        match (&question, &mut answer) {
            (Value::Array(questions), Value::Array(answers)) => {
                for (question, answer) in questions.iter().zip(answers) {
                    change(mood, question, answer);
                }
            }
            (question, answer) => change(mood, question, answer),
        }
        answer
    }
}

fn change(mood: Mood, question: &Value, answer: &mut Value) {
    let method = question["method"].as_str().unwrap_or_default().to_owned();
    let params = question["params"].clone();
    if mood == Mood::WrongIds {
        answer["id"] = json!(77);
    }
    if mood == Mood::NoLogs && method == "getapplicationlog" {
        *answer = json!({"jsonrpc": "2.0", "id": question["id"],
            "error": {"code": -105, "message": "Unknown script container"}});
        return;
    }
    let result = &mut answer["result"];
    match (mood, method.as_str()) {
        (Mood::Foreign, "getversion") => result["protocol"]["network"] = json!(7),
        (Mood::Useless, "getversion") => result["protocol"]["maxvaliduntilblockincrement"] = json!(0),
        (Mood::Late(by), "getblockcount") => {
            *result = json!(result.as_u64().unwrap().saturating_sub(by).max(1))
        }
        (Mood::Forked, "getblockheader") => result["hash"] = json!(format!("0x{}", "ab".repeat(32))),
        (Mood::Forked, "getblock") => result["previousblockhash"] = json!(format!("0x{}", "cd".repeat(32))),
        (Mood::Faulting, "getapplicationlog") => {
            for run in result["executions"].as_array_mut().unwrap() {
                if run["trigger"] == "Application" {
                    run["vmstate"] = json!("FAULT");
                }
            }
        }
        (Mood::Boasting, "getblockcount") => *result = json!(1_000_000_000u64),
        (Mood::Boasting, "getblockheader") if params[0] == json!(999_999_999u64) => {
            *answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {
                "hash": format!("0x{}", "ee".repeat(32)), "previousblockhash": format!("0x{}", "ef".repeat(32)),
                "index": 999_999_999u64, "time": 1_900_000_000_000u64,
            }});
        }
        _ => {}
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
fn part(bytes: Bytes) -> Body {
    let frames = [Ok(Frame::data(bytes)), Err(std::io::Error::other("hung up"))];
    StreamBody::new(futures_util::stream::iter(frames)).boxed()
}
fn endless() -> Body {
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let frames = futures_util::stream::repeat_with(move || Ok(Frame::data(chunk.clone())));
    StreamBody::new(frames).boxed()
}
