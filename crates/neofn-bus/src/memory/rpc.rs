//! Requests and announcements inside a process.

use crate::port::{Incoming, Received, Reply, Rpc};
use crate::subject::matches;
use crate::{BusError, Message};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// As a NATS server has it by default.
const BYTES_MAX: usize = 1 << 20;
/// Messages that wait for a listener.
const WAITING_MAX: usize = 1_024;

struct Listener {
    pattern: String,
    group: Option<String>,
    sender: mpsc::Sender<Received>,
}

#[derive(Default)]
struct Table {
    listeners: Vec<Listener>,
    turn: usize,
}

/// See [`Rpc`]. Clones share their listeners.
#[derive(Clone, Default)]
pub struct MemoryRpc(Arc<Mutex<Table>>);

impl MemoryRpc {
    /// Everybody who gets a message: all without a group, and of each group one, by turns.
    fn reached(&self, subject: &str) -> Vec<mpsc::Sender<Received>> {
        let mut table = self.0.lock();
        table.listeners.retain(|l| !l.sender.is_closed());
        table.turn = table.turn.wrapping_add(1);
        let turn = table.turn;
        let fit: Vec<&Listener> = table
            .listeners
            .iter()
            .filter(|l| matches(&l.pattern, subject))
            .collect();
        let mut reached: Vec<_> = fit
            .iter()
            .filter(|l| l.group.is_none())
            .map(|l| l.sender.clone())
            .collect();
        let groups: HashSet<&str> = fit.iter().filter_map(|l| l.group.as_deref()).collect();
        for group in groups {
            let members: Vec<_> = fit.iter().filter(|l| l.group.as_deref() == Some(group)).collect();
            reached.extend(members.get(turn % members.len().max(1)).map(|l| l.sender.clone()));
        }
        reached
    }
}

fn checked(message: &Message) -> Result<(), BusError> {
    let headers: usize = message.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    let bytes = message.payload.len() + headers;
    if bytes > BYTES_MAX {
        return Err(BusError::TooLarge {
            bytes,
            bytes_max: BYTES_MAX,
        });
    }
    Ok(())
}

struct Answer(oneshot::Sender<Message>);

#[async_trait]
impl Reply for Answer {
    async fn send(self: Box<Self>, message: Message) -> Result<(), BusError> {
        checked(&message)?;
        // nobody waits any more: as over a network, that is not for us to know
        let _ = self.0.send(message);
        Ok(())
    }
}

#[async_trait]
impl Rpc for MemoryRpc {
    async fn request(&self, subject: &str, message: Message, within: Duration) -> Result<Message, BusError> {
        checked(&message)?;
        let mut answers = Vec::new();
        for listener in self.reached(subject) {
            let (sender, answer) = oneshot::channel();
            let received = Received {
                subject: subject.to_owned(),
                message: message.clone(),
                reply: Some(Box::new(Answer(sender))),
            };
            if listener.try_send(received).is_ok() {
                answers.push(answer);
            }
        }
        // one listener answers in all uses; with several the first one asked is as good as any
        let Some(answer) = answers.into_iter().next() else {
            return Err(BusError::NoResponders(subject.to_owned()));
        };
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(message)) => Ok(message),
            _ => Err(BusError::TimedOut(subject.to_owned())),
        }
    }
    async fn publish(&self, subject: &str, message: Message) -> Result<(), BusError> {
        checked(&message)?;
        for listener in self.reached(subject) {
            let _ = listener.try_send(Received {
                subject: subject.to_owned(),
                message: message.clone(),
                reply: None,
            });
        }
        Ok(())
    }
    async fn serve(&self, subject: &str, group: Option<&str>) -> Result<Box<dyn Incoming>, BusError> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.0.lock().listeners.push(Listener {
            pattern: subject.to_owned(),
            group: group.map(str::to_owned),
            sender,
        });
        Ok(Box::new(Subscription(receiver)))
    }
    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
    fn is_connected(&self) -> bool {
        true
    }
}

struct Subscription(mpsc::Receiver<Received>);

#[async_trait]
impl Incoming for Subscription {
    async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }
    async fn stop(&mut self) {
        self.0.close();
    }
}
