//! One child process seen from the node: started, asked once, waited for.

use crate::compiler::CompilerOptions;
use crate::wire::{self, Answer};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const READY_WITHIN: Duration = Duration::from_secs(20);
const END_WITHIN: Duration = Duration::from_secs(5);
const STDERR_BYTES_KEPT: usize = 4096;

/// A child that has confined itself and waits.
pub(crate) struct ChildProcess {
    process: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: JoinHandle<String>,
}

/// How a child ended without an answer.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The file it was parsing last.
    pub parsing: Option<String>,
    /// From the request on.
    pub elapsed: Duration,
    /// We ended it, because it took too long.
    pub timed_out: bool,
    /// Whether it had taken the request at all.
    pub took_request: bool,
    pub status: Option<ExitStatus>,
    pub stderr: String,
}

impl ChildProcess {
    /// Starts a child and waits until it is confined.
    pub async fn start(options: &CompilerOptions) -> Result<Self, String> {
        let mut command = Command::new(&options.exe);
        command.args(&options.args);
        if options.insecure_no_jail {
            command.arg("--insecure-no-jail");
        }
        command
            .env_clear()
            // Ctrl-C in a terminal reaches the node's whole group; what is compiled then may end first
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command
            .spawn()
            .map_err(|e| format!("start {}: {e}", options.exe.display()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err("the child has no pipes".to_owned());
        };
        let stderr = tokio::spawn(read_some(stderr));
        let mut child = Self {
            process,
            stdin,
            stdout,
            stderr,
        };
        match timeout(READY_WITHIN, child.answer()).await {
            Ok(Ok(Answer::Ready)) => Ok(child),
            Ok(Ok(Answer::Failed(why))) => Err(why),
            Ok(Ok(_)) => Err("the child spoke out of turn".to_owned()),
            Ok(Err(why)) => {
                let (status, stderr) = child.end().await;
                Err(format!(
                    "the child ended before it was ready ({}): {why}; {stderr}",
                    show(status)
                ))
            }
            Err(_) => Err("the child was not ready in time".to_owned()),
        }
    }

    /// Whether it is still there; a warm child may have been killed while it waited.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Sends the request and waits for the answer.
    pub async fn ask(mut self, request: &[u8], within: Duration) -> Result<Answer, Lost> {
        let started = Instant::now();
        let mut parsing = None;
        let mut took_request = false;
        let exchange = async {
            self.stdin.write_all(request).await.map_err(|e| e.to_string())?;
            self.stdin.flush().await.map_err(|e| e.to_string())?;
            took_request = true;
            loop {
                match self.answer().await? {
                    Answer::Parsing(file) => parsing = Some(file),
                    Answer::Ready => {}
                    answer => return Ok::<Answer, String>(answer),
                }
            }
        };
        let outcome = timeout(within, exchange).await;
        if let Ok(Ok(answer)) = outcome {
            // Its memory is gone before the next one starts.
            let _ = self.end().await;
            return Ok(answer);
        }
        let elapsed = started.elapsed();
        let timed_out = outcome.is_err();
        let (status, stderr) = if timed_out {
            self.kill().await
        } else {
            self.end().await
        };
        Err(Lost {
            parsing,
            elapsed,
            timed_out,
            took_request,
            status,
            stderr,
        })
    }

    async fn answer(&mut self) -> Result<Answer, String> {
        let mut header = [0u8; 4];
        self.stdout
            .read_exact(&mut header)
            .await
            .map_err(|e| e.to_string())?;
        let mut body = vec![0; wire::length(header, wire::ANSWER_BYTES_MAX)?];
        self.stdout
            .read_exact(&mut body)
            .await
            .map_err(|e| e.to_string())?;
        wire::decode(&body)
    }

    async fn kill(mut self) -> (Option<ExitStatus>, String) {
        let _ = self.process.start_kill();
        self.end().await
    }

    /// Waits for the end, which a child that has answered or died is about to reach; else makes it.
    async fn end(self) -> (Option<ExitStatus>, String) {
        let Self {
            mut process,
            stdin,
            stdout,
            stderr,
        } = self;
        drop((stdin, stdout));
        let status = match timeout(END_WITHIN, process.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = process.start_kill();
                process.wait().await.ok()
            }
        };
        let text = timeout(END_WITHIN, stderr)
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default();
        (status, text)
    }
}

fn show(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "not waited for".to_owned(), |s| s.to_string())
}

/// The first few kilobytes; the rest is read and dropped, so that nobody waits for a full pipe.
async fn read_some(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0u8; 1024];
    while let Ok(n) = stderr.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        let room = STDERR_BYTES_KEPT.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(n.min(room)));
    }
    String::from_utf8_lossy(&kept).into_owned()
}
