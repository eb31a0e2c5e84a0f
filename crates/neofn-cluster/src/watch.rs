//! Listening to the other nodes, and saying that we are there.

use crate::beat::{Beat, EVERY};
use crate::wire::{self, BEATS, WHO};
use neofn_bus::port::Rpc;
use neofn_bus::{BusError, Message};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Says every second what `beat` answers, and at once when somebody asks.
pub(crate) async fn say(rpc: Arc<dyn Rpc>, stop: CancellationToken, beat: impl Fn() -> Beat + Send + Sync) {
    let mut who = None;
    while !stop.is_cancelled() {
        if who.is_none() {
            who = rpc.serve(WHO, None).await.ok();
        }
        say_once(&*rpc, &beat()).await;
        let asked = async {
            match who.as_mut() {
                Some(who) => who.next().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => false,
            asked = asked => asked.is_none(),
        };
        if ended {
            who = None;
        }
    }
}

pub(crate) async fn say_once(rpc: &dyn Rpc, beat: &Beat) {
    let Ok(text) = serde_json::to_vec(beat) else {
        return;
    };
    if let Err(error) = rpc
        .publish(&wire::beat(beat.seat.role, &beat.seat.id), Message::new(text))
        .await
    {
        tracing::debug!(%error, "not said that we are there");
    }
}

/// Hears what others say, until `stop`.
pub(crate) async fn hear(rpc: Arc<dyn Rpc>, stop: CancellationToken, heard: impl Fn(Beat) + Send + Sync) {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = listen(&*rpc, &heard) => ended,
        };
        let why = ended.err();
        tracing::error!(?why, "other nodes are not heard; it is tried again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn listen(rpc: &dyn Rpc, heard: &(impl Fn(Beat) + Send + Sync)) -> Result<(), BusError> {
    let mut beats = rpc.serve(BEATS, None).await?;
    rpc.publish(WHO, Message::default()).await?;
    while let Some(received) = beats.next().await {
        match Beat::read(&received.message.payload) {
            // NATS permissions bind a node to its subject, and so to its role and name
            Ok(beat) if wire::beat(beat.seat.role, &beat.seat.id) == received.subject => heard(beat),
            Ok(_) => {
                tracing::warn!(subject = ?received.subject, "a node that gives another's name or role is not heard")
            }
            Err(error) => {
                tracing::warn!(%error, subject = ?received.subject, "a node that says nothing that we understand")
            }
        }
    }
    Ok(())
}
