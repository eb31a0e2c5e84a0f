//! A NATS client that sends what no library would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Headers that no message may have, each with a name for whoever reads the failure. Servers take them all.
pub const MALFORMED_HEADERS: [(&str, &[u8]); 7] = [
    ("a name with a space", b"NATS/1.0\r\nX y: a\r\n\r\n"),
    ("no colon", b"NATS/1.0\r\nno colon here\r\n\r\n"),
    ("a value that is no text", b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n"),
    ("no version", b"BLAH\r\nX: a\r\n\r\n"),
    ("another version", b"NATS/2\r\nX: a\r\n\r\n"),
    ("a status that is none", b"NATS/1.0 9999 x\r\nX: a\r\n\r\n"),
    ("nothing at all", b"\r\n"),
];

/// What may stand in a subject for the server and is no subject to anybody else.
pub const MALFORMED_SUBJECTS: [&[u8]; 4] = [b"\xff", b"a\xe2\x80\x83b", b"a\x0bb", b"\xc2\xa0"];

/// A connection.
pub struct RawNats(BufReader<TcpStream>);

impl RawNats {
    /// To the server at `nats://HOST:PORT`, without any login.
    #[must_use]
    pub fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("nats://")).expect("connect to NATS");
        stream.set_nodelay(true).expect("no delay");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a deadline");
        let mut raw = Self(BufReader::new(stream));
        raw.write(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n");
        raw.settle();
        raw
    }
    /// Publishes; headers as they are. The server has it when this returns.
    pub fn publish(&mut self, subject: &[u8], reply: &str, headers: Option<&[u8]>, content: &[u8]) {
        let all = headers.unwrap_or_default().len() + content.len();
        let sizes = match headers {
            Some(headers) => format!(" {reply} {} {all}\r\n", headers.len()),
            None => format!(" {reply} {all}\r\n"),
        };
        let verb: &[u8] = if headers.is_some() { b"HPUB " } else { b"PUB " };
        let parts = [
            verb,
            subject,
            sizes.as_bytes(),
            headers.unwrap_or_default(),
            content,
            b"\r\n",
        ];
        self.write(&parts.concat());
        self.settle();
    }
    /// Publishes without waiting.
    pub fn send(&mut self, subject: &str, reply: &str, content: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", content.len());
        self.write(&[head.as_bytes(), content, b"\r\n"].concat());
    }
    /// From here on [`RawNats::hear`] answers what is sent there.
    pub fn subscribe(&mut self, subject: &str) {
        self.write(format!("SUB {subject} 1\r\n").as_bytes());
        self.settle();
    }
    /// Waits for a message; answers where its own answer goes, or none when the server has gone.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["MSG", _, _, ref rest @ .., bytes] => {
                    let mut content = vec![0; bytes.parse::<usize>().ok()? + b"\r\n".len()];
                    self.0.read_exact(&mut content).ok()?;
                    return Some(rest.first().copied().unwrap_or_default().to_owned());
                }
                ["PING"] => self.write(b"PONG\r\n"),
                _ => {}
            }
        }
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("write to NATS");
    }
    /// Waits until the server has read all of it.
    fn settle(&mut self) {
        self.write(b"PING\r\n");
        loop {
            let mut line = Vec::new();
            let read = self.0.read_until(b'\n', &mut line).expect("NATS answers");
            assert!(read > 0, "the server closed the connection");
            assert!(!line.starts_with(b"-ERR"), "{}", String::from_utf8_lossy(&line));
            if line.starts_with(b"PONG") {
                return;
            }
        }
    }
}
