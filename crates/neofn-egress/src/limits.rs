//! How much a request may take.

use std::time::Duration;

/// Bounds of requests; an operator may change them.
#[derive(Debug, Clone, Copy)]
pub struct EgressLimits {
    /// The whole of a request, redirects included; one may ask for less.
    pub time: Duration,
    /// Making one connection, encryption included.
    pub connect_time: Duration,
    /// Bytes of a request's body.
    pub request_bytes: usize,
    /// Bytes of an answer's body, as it comes and after decompression.
    pub response_bytes: usize,
    /// Headers of a request, and of an answer.
    pub headers: usize,
    /// Bytes of a request's headers, and of an answer's.
    pub header_bytes: usize,
    /// Redirects that are followed.
    pub redirects: u32,
    /// Requests of a function under way.
    pub per_function: usize,
    /// Requests of a project under way.
    pub per_project: usize,
    /// Requests of the node under way.
    pub per_node: usize,
    /// Names of a project that are being resolved. Each has a thread that nobody can stop.
    pub lookups_per_project: usize,
    /// Names of the node that are being resolved; a part of the threads that its store reads with, too.
    pub lookups_per_node: usize,
    /// Bytes of answers that a project holds, each as it came and decompressed: at least twice `response_bytes`.
    pub answer_bytes_per_project: usize,
    /// Bytes of answers that the node holds.
    pub answer_bytes_per_node: usize,
    /// Bytes of an answer that need no share of these.
    pub answer_bytes_free: usize,
    /// How long an answer waits for its share.
    pub answer_wait: Duration,
    /// Addresses of a host that are tried.
    pub addresses: usize,
    /// Failures in a row after which a host is left alone.
    pub failures: u32,
    /// For how long at first; each time twice as long.
    pub pause: Duration,
    /// At the most.
    pub pause_max: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            connect_time: Duration::from_secs(5),
            request_bytes: 1 << 20,
            response_bytes: 4 << 20,
            headers: 64,
            header_bytes: 16 << 10,
            redirects: 3,
            per_function: 8,
            per_project: 64,
            per_node: 512,
            lookups_per_project: 8,
            lookups_per_node: 128,
            answer_bytes_per_project: 64 << 20,
            answer_bytes_per_node: 256 << 20,
            answer_bytes_free: 64 << 10,
            answer_wait: Duration::from_secs(1),
            addresses: 8,
            failures: 5,
            pause: Duration::from_secs(5),
            pause_max: Duration::from_secs(300),
        }
    }
}
