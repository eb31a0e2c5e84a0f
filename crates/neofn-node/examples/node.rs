//! A node and nothing else: `node DIR [ADDR]`. The smallest program that embeds one.

use neofn_node::{LogFormat, Node, NodeOptions};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    if let Some(exit) = neofn_node::child_role(std::env::args_os()) {
        return exit;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "{e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), neofn_types::Error> {
    let filter = std::env::var("NEOFN_LOG").unwrap_or_else(|_| "info".to_owned());
    neofn_node::log_to_stderr(LogFormat::Text, &filter)?;
    let mut args = std::env::args().skip(1);
    let mut options = NodeOptions::new(args.next().unwrap_or_else(|| "data".to_owned()))?;
    if let Some(listen) = args.next().and_then(|a| a.parse().ok()) {
        options.listen = listen;
    }
    neofn_node::runtime()?.block_on(async {
        let node = Node::start(options).await?;
        let _ = writeln!(
            std::io::stdout(),
            "{} {}",
            node.url(),
            node.admin_key_file().display()
        );
        neofn_node::terminated().await?;
        node.drain(Duration::from_secs(20)).await;
        Ok(())
    })
}
