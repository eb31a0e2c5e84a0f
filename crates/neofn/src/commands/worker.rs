//! `neofn worker`: start, say which one, wait for a signal, drain.

use crate::cli::Worker;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_node::{
    ClientCertificate, NatsLogin, NatsOptions, NodeOptions, Termination, WorkerNode, WorkerNodeOptions,
    Workers,
};
use neofn_wire::WorkerReady;
use std::time::Duration;

/// The longest run that an operator can allow, and what it takes to answer.
const DRAIN: Duration = Duration::from_secs(3_605);
/// How long the threads of a worker that was told twice may take to notice.
const ABANDON: Duration = Duration::from_millis(200);

/// Runs functions until a signal comes. What goes wrong is said on standard error, as by `neofn up`.
pub fn run(ui: &Ui, args: &Worker) -> Result<Exit, Failure> {
    worker(ui, args).or_else(|failure| {
        render::problem(ui, &failure.problem);
        Ok(failure.exit)
    })
}

fn worker(ui: &Ui, args: &Worker) -> Result<Exit, Failure> {
    let filter = args.log.as_deref().unwrap_or("info");
    neofn_node::log_to_stderr(args.log_format.unwrap_or_default(), filter)?;
    // the defaults of a node, of which a worker has the binary and the cache
    let node = NodeOptions::new("")?;
    let login = match (&args.creds, &args.nkey) {
        (Some(file), _) => NatsLogin::CredsFile(file.clone()),
        (None, Some(file)) => NatsLogin::NkeyFile(file.clone()),
        (None, None) => NatsLogin::None,
    };
    let certificate = args.cert_file.clone().zip(args.key_file.clone());
    let certificate = certificate.map(|(cert_file, key_file)| ClientCertificate { cert_file, key_file });
    let options = WorkerNodeOptions {
        nats: NatsOptions {
            urls: args.nats.clone(),
            login,
            ca_file: args.ca_file.clone(),
            certificate,
            workers: Workers::Embedded,
            replicas: None,
        },
        exe: node.exe,
        cache_dir: node.cache_dir,
        insecure_no_jail: args.insecure_no_jail,
        children: args.children.unwrap_or(0),
        name: args.name.clone(),
    };
    neofn_node::keep_memory_private()?;
    let runtime = neofn_node::runtime()?;
    let exit = runtime.block_on(serve(ui, options));
    runtime.shutdown_timeout(ABANDON);
    exit
}

async fn serve(ui: &Ui, options: WorkerNodeOptions) -> Result<Exit, Failure> {
    let mut termination = Termination::listen()?;
    // what it waits for may be away for long
    let worker = tokio::select! {
        worker = WorkerNode::start(options) => worker?,
        () = termination.asked() => {
            ui.note("stopped before it was ready");
            return Ok(Exit::Done);
        }
    };
    let (id, nats) = (worker.id(), worker.nats().to_owned());
    if ui.json {
        ui.document(&WorkerReady { id, nats });
    } else {
        ui.out(&format!("worker {id} ready at {nats}"));
        ui.say(Tone::Dim, "Ctrl-C drains and stops");
    }
    termination.asked().await;
    ui.note("draining: running calls may end; a second signal stops at once");
    tokio::select! {
        in_time = worker.drain(DRAIN) => Ok(if in_time { Exit::Done } else { Exit::Failed }),
        () = termination.asked() => Ok(Exit::Failed),
    }
}
