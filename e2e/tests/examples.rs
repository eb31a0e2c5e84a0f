//! Examples do what they say, on a real chain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use neofn_testkit::{Cli, NodeProcess, eventually};
use std::path::Path;
use std::time::Duration;

#[test]
fn auto_compound_claims_when_it_is_worth_the_fee_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/auto-compound");
    let project = dir.path().join("project");
    std::fs::create_dir_all(project.join("src")).unwrap();
    let manifest = std::fs::read_to_string(example.join("neofn.toml")).unwrap();
    let every_block = manifest.replace("every = 20", "every = 1");
    assert_ne!(every_block, manifest);
    std::fs::write(project.join("neofn.toml"), every_block).unwrap();
    for file in std::fs::read_dir(example.join("src")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), project.join("src").join(file.file_name())).unwrap();
    }
    let arguments = ["--dev-chain=memory", "--dev-block-time", "200ms"];
    let node = NodeProcess::start_in(&dir.path().join("data"), &arguments);
    let cli = Cli::new(&project, &node);
    let _ = cli.run(&["deploy"]).expect(0);
    let path = "/api/v1/functions/demo/compound/invocations?limit=500&status=succeeded";
    let runs = eventually("it claims", Duration::from_secs(180), || {
        std::thread::sleep(Duration::from_millis(500));
        let list = node.http().get(path).expect(200).json();
        let runs = list["invocations"].as_array().unwrap().clone();
        let claimed = runs.iter().any(|run| run["result"]["claimed"] == true);
        claimed.then_some(runs)
    });
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let claim = runs.iter().find(|run| run["result"]["claimed"] == true).unwrap();
    let (accrued, fee) = (
        number(&claim["result"]["accrued"]),
        number(&claim["result"]["fee"]),
    );
    assert!(accrued >= 2 * fee, "{claim}");
    let waited = runs
        .iter()
        .filter(|run| run["result"]["why"] == "not worth the fee yet")
        .inspect(|run| assert!(number(&run["result"]["accrued"]) < 2 * fee, "{run}"))
        .count();
    assert!(waited > 0, "it was not worth it at first");
}
