//! The node inside this process, on a thread of its own.

use super::Event;
use crate::failure::Failure;
use neofn_node::{ChainFacts, Node, NodeOptions, Termination};
use neofn_types::Code;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Nobody waits long for a development node.
const DRAIN: Duration = Duration::from_secs(2);
const ABANDON: Duration = Duration::from_millis(200);

/// A node that answers until it is told to stop.
pub struct Embedded {
    /// Its address.
    pub url: String,
    /// Where it listens for gRPC.
    pub grpc: Option<String>,
    /// The file that holds its admin key alone.
    pub admin_key_file: PathBuf,
    /// Its chain, when it has one.
    pub chain: Option<ChainFacts>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What is known of a node that answers.
struct Facts {
    url: String,
    grpc: Option<String>,
    admin_key_file: PathBuf,
    chain: Option<ChainFacts>,
}

type Started = Result<Facts, Failure>;

impl Embedded {
    /// Starts a node; a signal becomes an event.
    pub fn start(options: NodeOptions, events: mpsc::Sender<Event>) -> Result<Self, Failure> {
        neofn_node::keep_memory_private()?;
        let runtime = neofn_node::runtime()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(serve(options, &ready, stopped, &events));
            runtime.shutdown_timeout(ABANDON);
        });
        let ended = || Failure::new(Code::Internal, "the embedded node ended before it was ready", "");
        let facts = started.recv().map_err(|_| ended())??;
        Ok(Self {
            url: facts.url,
            grpc: facts.grpc,
            admin_key_file: facts.admin_key_file,
            chain: facts.chain,
            stop,
            thread,
        })
    }

    /// Stops it in order.
    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn serve(
    options: NodeOptions,
    ready: &mpsc::Sender<Started>,
    mut stopped: oneshot::Receiver<()>,
    events: &mpsc::Sender<Event>,
) {
    let started = match Termination::listen() {
        Ok(termination) => Node::start(options).await.map(|node| (node, termination)),
        Err(error) => Err(error),
    };
    let (node, mut termination) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let _ = ready.send(Ok(Facts {
        url: node.url().to_owned(),
        grpc: node.grpc().map(|address| address.to_string()),
        admin_key_file: node.admin_key_file().to_owned(),
        chain: node.chain().cloned(),
    }));
    tokio::select! {
        _ = &mut stopped => {}
        () = termination.asked() => {
            let _ = events.send(Event::Stop);
            let _ = stopped.await;
        }
    }
    node.drain(DRAIN).await;
}
