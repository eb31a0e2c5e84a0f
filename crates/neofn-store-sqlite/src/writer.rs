//! The one thread that writes: takes whatever waits, commits it in one transaction, then answers everybody.
//!
//! It never lingers to fill a group, and it outlives every failure: a command, a full disk, a panic.

use crate::error::Fault;
use crate::lock::DirLock;
use crate::memory::Memory;
use crate::prune;
use neofn_engine::port::Totals;
use neofn_types::{Error, UnixMillis};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// Commands in one transaction at the most: bounds how long the first of them waits for the last.
const GROUP_MAX: usize = 1024;
/// Poisoned commands taken out of one group before the rest is refused with them.
const CULPRITS_MAX: usize = 8;

/// What a command works with.
pub(crate) struct Work<'a> {
    pub conn: &'a Connection,
    pub memory: &'a mut Memory,
}

/// A command. `run` may be called again after a rollback, so it must not consume what it carries.
pub(crate) trait Command: Send {
    /// Does the work within the group's transaction.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Fault>;
    /// Answers, after the commit or the failure.
    fn answer(self: Box<Self>, verdict: Result<(), Fault>);
}

/// What reaches the thread.
pub(crate) enum Message {
    Run(Box<dyn Command>),
    /// Finish what came before, then end.
    Stop(oneshot::Sender<Result<(), Error>>),
}

/// What the writer tells the rest, as of the last commit.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub totals: Totals,
    pub next_due: Option<UnixMillis>,
}

/// The thread's state.
pub(crate) struct Writer {
    conn: Connection,
    memory: Memory,
    /// After a rollback the mirror must be read again before the next command.
    stale: bool,
    board: Arc<Mutex<Board>>,
    done: watch::Sender<u64>,
    _lock: DirLock,
}

impl Writer {
    pub(crate) fn new(
        conn: Connection,
        memory: Memory,
        board: Arc<Mutex<Board>>,
        done: watch::Sender<u64>,
        lock: DirLock,
    ) -> Self {
        let mut writer = Self {
            conn,
            memory,
            stale: false,
            board,
            done,
            _lock: lock,
        };
        writer.publish();
        writer
    }

    /// Runs until told to stop or until nobody can send any more.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let Some(first) = self.next(inbox) else { return };
            let mut group = Vec::new();
            let mut stop = None;
            let mut message = Some(first);
            while let Some(m) = message.take() {
                match m {
                    Message::Run(command) => group.push(command),
                    Message::Stop(reply) => stop = Some(reply),
                }
                if stop.is_none() && group.len() < GROUP_MAX {
                    message = inbox.try_recv().ok();
                }
            }
            self.carry_out(group);
            if let Some(reply) = stop {
                let verdict = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                drop(self); // closes the database and gives up the directory before the answer
                let _ = reply.send(verdict.map_err(|e| Fault::from(e).into()));
                return;
            }
        }
    }

    /// The next message; while none waits, removes what deleted functions left behind.
    fn next(&mut self, inbox: &Receiver<Message>) -> Option<Message> {
        while !self.memory.tombs.is_empty() {
            match inbox.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            if let Err(fault) = self.transaction(prune::bury) {
                tracing::warn!(error = %fault, "rows of a deleted function stay for now");
                break;
            }
        }
        inbox.recv().ok()
    }

    /// Commits a group and answers each of its commands.
    fn carry_out(&mut self, mut group: Vec<Box<dyn Command>>) {
        if group.is_empty() {
            return;
        }
        let count = group.len();
        let mut refused = Vec::new();
        let verdict = loop {
            let mut culprit = 0;
            let attempt = self.transaction(|work| {
                for (n, command) in group.iter_mut().enumerate() {
                    culprit = n;
                    command.run(work)?;
                }
                culprit = usize::MAX; // past this point a failure is everybody's
                Ok(())
            });
            match attempt {
                // one command's own fault must not cost the others of its group
                Err(fault)
                    if culprit < group.len()
                        && fault.is_the_commands_own()
                        && refused.len() < CULPRITS_MAX =>
                {
                    refused.push((group.remove(culprit), fault));
                }
                verdict => break verdict,
            }
        };
        if let Err(fault) = &verdict {
            tracing::error!(error = %fault, commands = group.len(), "commands not written");
        }
        self.publish();
        self.done
            .send_modify(|done| *done += u64::try_from(count).unwrap_or(0));
        for command in group {
            command.answer(verdict.clone());
        }
        for (command, fault) in refused {
            tracing::error!(error = %fault, "command not written");
            command.answer(Err(fault));
        }
    }

    /// All of `body` and the counters it changed, on disk, or nothing of it.
    fn transaction(&mut self, body: impl FnOnce(&mut Work<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.stale {
            self.memory = Memory::load(&self.conn)?;
            self.stale = false;
        }
        let Self { conn, memory, .. } = self;
        let verdict = catch_unwind(AssertUnwindSafe(|| {
            conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let mut work = Work {
                conn: &*conn,
                memory: &mut *memory,
            };
            body(&mut work)?;
            memory.flush(conn)?;
            conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        }))
        .unwrap_or(Err(Fault::Panicked));
        if verdict.is_err() {
            self.stale = true;
            // some failures have rolled back by themselves already
            if !self.conn.is_autocommit()
                && let Err(e) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(error = %e, "rollback failed");
            }
        }
        verdict
    }

    fn publish(&mut self) {
        if self.stale {
            return; // the board still shows the last commit
        }
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.totals = self.memory.totals;
        board.next_due = self.memory.next_due();
    }
}
