//! A server that answers by path what each test gives it, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub struct Mock {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mock {
    /// `answers`: `METHOD /path` to status and body.
    pub fn start(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let answers: BTreeMap<String, (u16, String)> = answers
            .iter()
            .map(|(request, status, body)| ((*request).to_owned(), (*status, (*body).to_owned())))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopping) = (asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.expect("accepts");
                let mut reader = BufReader::new(stream.try_clone().expect("clones"));
                let (mut request, mut length) = (String::new(), 0);
                reader.read_line(&mut request).expect("reads");
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("reads");
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().expect("length");
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("body");
                let request = request.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
                log.lock().expect("lock").push(
                    format!("{request} {}", String::from_utf8_lossy(&body))
                        .trim_end()
                        .to_owned(),
                );
                let missing = (404, r#"{"type":"","title":"","status":404,"detail":"","code":"NF0314","error":"no such path","message":"no such path"}"#.to_owned());
                let (status, body) = answers.get(&request).unwrap_or(&missing);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream
                    .write_all(format!("{head}{body}").as_bytes())
                    .expect("answers");
            }
        });
        Self {
            url,
            asked,
            stop,
            thread: Some(thread),
        }
    }
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // One more connection wakes the accepting thread, which then sees the flag.
        let _ = std::net::TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server ran to its end");
            }
        }
    }
}
