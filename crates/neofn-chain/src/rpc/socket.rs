//! Where a node announces its blocks: the WebSocket of neo-go. A wake-up and nothing more, so what is read is the head
//! alone; nodes that have no socket (neo-cli) are asked instead.

use super::node::Node;
use super::wire::WireHeader;
use crate::model::Head;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The largest announcement: a full block with its transactions.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How long the handshake and the answer to the subscription may take.
const HELLO: Duration = Duration::from_secs(5);
/// Headers are smaller than blocks; older nodes announce only the latter.
const FEEDS: [&str; 2] = ["header_of_added_block", "block_added"];

#[derive(Deserialize)]
struct Announcement {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Vec<WireHeader>,
}
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    result: Option<String>,
}

/// Calls `heard` for each announced block until the socket ends, or nothing was heard for `silence`. `Err` when the
/// node has no such socket.
pub(crate) async fn announcements(
    node: &Node,
    silence: Duration,
    mut subscribed: impl FnMut(),
    mut heard: impl FnMut(Head),
) -> Result<(), String> {
    let hello = tokio::time::timeout(HELLO, subscribe(node)).await;
    let mut socket = hello.map_err(|_| "no answer in time".to_owned())??;
    subscribed();
    loop {
        let message = match tokio::time::timeout(silence, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            // a socket that says nothing may be dead without either side knowing
            _ => return Ok(()),
        };
        match message {
            Message::Text(text) => {
                let Ok(announcement) = serde_json::from_str::<Announcement>(&text) else {
                    continue;
                };
                if announcement.method.as_deref() == Some("event_missed") {
                    // the poll finds what was missed; a new socket starts in order
                    return Ok(());
                }
                for header in announcement.params {
                    heard(header.head());
                }
            }
            Message::Close(_) => return Ok(()),
            _ => {}
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<Box<dyn super::endpoint::Io>>;

async fn subscribe(node: &Node) -> Result<Socket, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let stream = node.endpoint().connect().await.map_err(|e| text(&e))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let url = node.endpoint().socket_url();
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config))
        .await
        .map_err(|e| text(&e))?;
    for feed in FEEDS {
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["{feed}"]}}"#);
        socket.send(Message::text(request)).await.map_err(|e| text(&e))?;
        while let Some(message) = socket.next().await {
            let Message::Text(answer) = message.map_err(|e| text(&e))? else {
                continue;
            };
            let reply: Reply = serde_json::from_str(&answer).map_err(|e| text(&e))?;
            if reply.result.is_some() {
                return Ok(socket);
            }
            break;
        }
    }
    Err("it announces no blocks".to_owned())
}
