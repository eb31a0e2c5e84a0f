//! The client against a server that says exactly what each test wants.
#![cfg(test)]

use neofn_client::{Client, Error, Options};
use neofn_types::{Code, FunctionKey};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Answers each connection with the next of `answers` and tells what it was asked.
fn serve(answers: Vec<String>) -> (String, mpsc::Receiver<String>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut reader = BufReader::new(stream.try_clone().expect("clones"));
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("reads");
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().expect("length");
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("body");
            let _ = sender.send(format!("{head}\n{}", String::from_utf8_lossy(&body)));
            stream.write_all(answer.as_bytes()).expect("answers");
        }
    });
    (url, receiver, thread)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn client(url: &str) -> Client {
    Client::new(Options {
        url: url.to_owned(),
        key: Some("nfk_x".to_owned()),
        timeout: Duration::from_secs(5),
        tls: neofn_client::TlsFiles::default(),
        user_agent: "test/1".to_owned(),
    })
    .expect("client")
}

fn hello() -> FunctionKey {
    FunctionKey::new("demo".parse().expect("name"), "hello".parse().expect("name"))
}

const DONE: &str = r#"{"success":true,"result":{"n": 1},"duration":1.5,"logs":["[LOG] hi"],"invocationId":"x","version":2,
    "units":{"total":1,"base":1,"compute":0,"memory":0,"host":0,"schedule":1}}"#;
const BUSY: &str =
    r#"{"type":"","title":"t","status":503,"detail":"d","code":"NF0305","error":"e","message":"busy"}"#;

#[test]
fn an_invocation_carries_key_agent_and_event_and_keeps_the_result_as_written() {
    let (url, asked, thread) = serve(vec![answer("200 OK", "", DONE)]);
    let done = client(&url)
        .invoke(&hello(), b"{\"a\":1}", Some("k1"))
        .expect("answers");
    assert_eq!((done.result.get(), done.version), ("{\"n\": 1}", 2));
    let asked = asked.recv().expect("was asked").to_ascii_lowercase();
    for part in [
        "post /api/v1/functions/demo/hello ",
        "authorization: bearer nfk_x",
        "user-agent: test/1",
        "idempotency-key: k1",
        "\n{\"a\":1}",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    thread.join().expect("ends");
}

#[test]
fn only_what_is_safe_to_repeat_is_repeated() {
    let busy = || answer("503 Service Unavailable", "retry-after: 0\r\n", BUSY);
    let (url, asked, thread) = serve(vec![busy(), busy(), answer("200 OK", "", DONE)]);
    client(&url)
        .invoke(&hello(), b"1", Some("k"))
        .expect("third time");
    assert_eq!(asked.iter().count(), 3);
    thread.join().expect("ends");

    let (url, asked, thread) = serve(vec![busy()]);
    let error = client(&url).invoke(&hello(), b"1", None).expect_err("is refused");
    assert_eq!(error.code(), Code::Overloaded);
    assert_eq!(asked.iter().count(), 1);
    thread.join().expect("ends");
}

#[test]
fn nobody_there_is_said_with_a_cure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let error = client(&url).health().expect_err("nobody");
    assert!(matches!(error, Error::Unreachable { .. }));
    let problem = error.into_problem();
    assert_eq!(problem.code, "NF0602");
    assert!(problem.hint.contains("neofn up"));
}

#[test]
fn answers_that_are_no_answers_are_named() {
    for body in ["<html>", "{}", "[1", ""] {
        let (url, _asked, thread) = serve(vec![
            answer("200 OK", "", body),
            answer("502 Bad Gateway", "", body),
        ]);
        let client = client(&url);
        assert!(
            matches!(client.function(&hello()), Err(Error::BadAnswer { .. })),
            "{body}"
        );
        assert!(
            matches!(client.function(&hello()), Err(Error::BadAnswer { .. })),
            "{body}"
        );
        thread.join().expect("ends");
    }
}

#[test]
fn a_silent_node_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let client = Client::new(Options {
        url: format!("http://{}", listener.local_addr().expect("address")),
        key: None,
        timeout: Duration::from_millis(50),
        tls: neofn_client::TlsFiles::default(),
        user_agent: "test/1".to_owned(),
    })
    .expect("client");
    assert!(matches!(client.health(), Err(Error::TimedOut { .. })));
}

#[test]
fn a_followed_log_comes_back_where_it_broke() {
    let event = |id: &str| {
        format!(
            ": ping\n\nid: {id}\ndata: {{\"invocationId\":\"{id}\",\"time\":\"t\",\"version\":1,\"status\":\"succeeded\",\
             \"logs\":[],\"duration\":1,\"units\":1}}\n\n"
        )
    };
    let stream = |text: String| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n{text}")
    };
    let broken = format!("{}id: b\ndata: {{\"invocat", event("a"));
    let (url, asked, thread) = serve(vec![stream(broken), stream(event("b"))]);
    let ids: Vec<String> = client(&url)
        .follow(&hello(), None)
        .take(2)
        .map(|e| e.expect("event").invocation_id)
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(!asked.recv().expect("first").contains("last-event-id"));
    assert!(asked.recv().expect("second").contains("last-event-id: a"));
    thread.join().expect("ends");
}
