//! Which nodes are used: pure decisions over what was seen of them. No clock, no network.

use crate::model::{Head, NetworkId, NodeStatus};
use neofn_types::{Hash256, UnixMillis};
use std::collections::BTreeMap;
use std::time::Duration;

/// Failures in a row after which a node is put aside until it answers again.
const FAILURES_MAX: u32 = 3;
/// Heights whose hashes are remembered of each node.
const WITNESSED_MAX: usize = 64;
/// Blocks that nobody calls lagging, however slow the chain is.
const LAG_BLOCKS_MIN: u64 = 3;
/// How far a block's own time may lie ahead of ours.
const AHEAD: Duration = Duration::from_secs(60);

/// What is known of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) agent: Option<String>,
    pub(super) network: Option<NetworkId>,
    pub(super) head: Option<Head>,
    /// Smoothed, in microseconds.
    latency_us: u64,
    /// Smoothed share of failures, in thousandths.
    errors_per_mille: u32,
    failures: u32,
    last_failure: String,
    pub(super) subscribed: bool,
    /// Its own words for some heights.
    witnessed: BTreeMap<u64, Hash256>,
    pub(super) ejected: Option<String>,
}

impl Seen {
    pub(super) fn answered(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_us = if self.latency_us == 0 {
            took
        } else {
            smooth(self.latency_us, took)
        };
        self.errors_per_mille = self.errors_per_mille.saturating_mul(7) / 8;
        self.failures = 0;
    }
    pub(super) fn failed(&mut self, why: &str) {
        self.errors_per_mille = (self.errors_per_mille.saturating_mul(7) + 1_000) / 8;
        self.failures = self.failures.saturating_add(1);
        why.clone_into(&mut self.last_failure);
    }
    /// It took so long that nobody should wait for it again.
    pub(super) fn hung(&mut self, why: &str) {
        self.failed(why);
        self.failures = self.failures.max(FAILURES_MAX);
    }
    pub(super) fn witness(&mut self, height: u64, hash: Hash256) {
        self.witnessed.insert(height, hash);
        while self.witnessed.len() > WITNESSED_MAX {
            self.witnessed.pop_first();
        }
    }
    pub(super) fn has_witnessed(&self, height: u64) -> bool {
        self.witnessed.contains_key(&height)
    }
    pub(super) fn height(&self) -> u64 {
        self.head.map_or(0, |h| h.height)
    }
    /// Smaller is better.
    pub(super) fn cost(&self) -> u64 {
        self.latency_us
            .saturating_add(u64::from(self.errors_per_mille).saturating_mul(1_000))
    }
    pub(super) fn status(&self, url: &str, best: u64) -> NodeStatus {
        NodeStatus {
            url: url.to_owned(),
            agent: self.agent.clone(),
            height: self.head.map(|h| h.height),
            lag: self.head.map_or(0, |h| best.saturating_sub(h.height)),
            latency_ms: self.latency_us.div_ceil(1_000),
            errors_per_mille: self.errors_per_mille,
            subscribed: self.subscribed,
            ejected: self.ejected.clone(),
        }
    }
}

fn smooth(old: u64, new: u64) -> u64 {
    old.saturating_mul(7).saturating_add(new) / 8
}

/// What all nodes are measured by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    pub(super) network: NetworkId,
    /// A node further behind the best one than this much time is put aside.
    pub(super) lag_max: Duration,
    pub(super) block_ms: u64,
}

impl Measure {
    fn lag_blocks_max(&self) -> u64 {
        let lag = u64::try_from(self.lag_max.as_millis()).unwrap_or(u64::MAX);
        LAG_BLOCKS_MIN.max(lag / self.block_ms.max(1))
    }
    /// Whether a head can be true: nodes that make a height up would otherwise let all others look late. A block is
    /// not from the future, and blocks do not come many times faster than the chain makes them.
    pub(super) fn plausible(&self, known: Option<Head>, head: Head, now: UnixMillis) -> bool {
        if head.time > now.plus(AHEAD) {
            return false;
        }
        let Some(known) = known else { return true };
        let blocks = head.height.saturating_sub(known.height);
        let time = u64::try_from(head.time.since(known.time).as_millis()).unwrap_or(u64::MAX);
        // eight times as fast as today's pace, which a vote may have changed meanwhile, and a handful on top
        blocks <= time.saturating_mul(8) / self.block_ms.max(1) + 16
    }
}

/// Forgets heads that cannot be, before any is known: a head must be plausible beside the one that half of the nodes
/// have reached. One node alone is believed. Answers the nodes whose head was forgotten.
pub(super) fn agree(measure: &Measure, nodes: &mut [Seen], now: UnixMillis) -> Vec<usize> {
    let mut heads: Vec<Head> = nodes
        .iter()
        .filter(|n| n.network == Some(measure.network))
        .filter_map(|n| n.head)
        .collect();
    heads.sort_by_key(|head| head.height);
    // the lower one of two: a node that is late says nothing false
    let Some(common) = heads.get(heads.len().saturating_sub(1) / 2).copied() else {
        return Vec::new();
    };
    let mut forgotten = Vec::new();
    for (i, node) in nodes.iter_mut().enumerate() {
        if node
            .head
            .is_some_and(|head| !measure.plausible(Some(common), head, now))
        {
            node.head = None;
            node.witnessed.clear();
            node.hung("told of a block that cannot be");
            forgotten.push(i);
        }
    }
    forgotten
}

/// Decides for each node whether it is used; answers the nodes whose state changed, with the reason.
pub(super) fn judge(measure: &Measure, nodes: &mut [Seen]) -> Vec<(usize, Option<String>)> {
    let fork = disagreement(measure, nodes);
    let best = nodes
        .iter()
        .enumerate()
        .filter(|(i, n)| {
            n.network == Some(measure.network) && n.failures < FAILURES_MAX && !fork.contains_key(i)
        })
        .map(|(_, n)| n.height())
        .max()
        .unwrap_or(0);
    let mut changed = Vec::new();
    for (i, node) in nodes.iter_mut().enumerate() {
        let verdict = verdict(measure, node, best).or_else(|| fork.get(&i).cloned());
        // a node that is out stays out for the same kind of reason, whatever its numbers are now
        if verdict.is_some() != node.ejected.is_some() {
            changed.push((i, verdict.clone()));
        }
        node.ejected = verdict;
    }
    changed
}

fn verdict(measure: &Measure, node: &Seen, best: u64) -> Option<String> {
    if node.failures >= FAILURES_MAX || (node.failures > 0 && node.head.is_none()) {
        return Some(format!("does not answer: {}", node.last_failure));
    }
    match node.network {
        None => return Some("not asked yet".to_owned()),
        Some(other) if other != measure.network => {
            return Some(format!("is on network {other}, not {}", measure.network));
        }
        Some(_) => {}
    }
    let lag = best.saturating_sub(node.height());
    (lag > measure.lag_blocks_max()).then(|| format!("is {lag} blocks behind"))
}

/// Nodes that name another block than the others at the newest height of which two or more have spoken. The larger
/// party is right; of two equal ones, the one with the node that was configured first.
fn disagreement(measure: &Measure, nodes: &[Seen]) -> BTreeMap<usize, String> {
    let ours = |n: &Seen| n.network == Some(measure.network);
    let mut heights: BTreeMap<u64, Vec<(usize, Hash256)>> = BTreeMap::new();
    for (i, node) in nodes.iter().enumerate().filter(|(_, n)| ours(n)) {
        for (height, hash) in &node.witnessed {
            heights.entry(*height).or_default().push((i, *hash));
        }
    }
    let mut out = BTreeMap::new();
    for (height, words) in heights.into_iter().rev().filter(|(_, words)| words.len() > 1) {
        let party = |hash: Hash256| words.iter().filter(|(_, h)| *h == hash).count();
        // `max_by_key` takes the last of equals, so the order is turned round
        let right = words
            .iter()
            .rev()
            .max_by_key(|(_, hash)| party(*hash))
            .map(|(_, hash)| *hash);
        for (i, hash) in words {
            if Some(hash) != right {
                out.entry(i)
                    .or_insert_with(|| format!("is on another chain: its block {height} is {hash}"));
            }
        }
        if out.is_empty() {
            // older heights say nothing new once the newest agrees
            break;
        }
    }
    out
}

/// The newest height at which somebody else has spoken and `node` could.
pub(super) fn height_to_compare(nodes: &[Seen], node: usize) -> Option<u64> {
    let own = nodes.get(node)?;
    nodes
        .iter()
        .enumerate()
        .filter(|(i, n)| *i != node && n.network == own.network)
        .filter_map(|(_, n)| n.witnessed.range(..=own.height()).next_back().map(|(h, _)| *h))
        .max()
        .filter(|height| !own.has_witnessed(*height))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure = Measure {
        network: NetworkId(42),
        lag_max: Duration::from_secs(15),
        block_ms: 3_000,
    };
    fn head(height: u64, hash: u8) -> Head {
        Head {
            height,
            hash: Hash256([hash; 32]),
            time: UnixMillis(i64::try_from(height).unwrap() * 3_000),
        }
    }
    fn node(height: u64) -> Seen {
        let mut seen = Seen {
            network: Some(NetworkId(42)),
            head: Some(head(height, 1)),
            ..Seen::default()
        };
        seen.answered(Duration::from_millis(5));
        seen
    }
    fn reasons(nodes: &[Seen]) -> Vec<Option<&str>> {
        nodes.iter().map(|n| n.ejected.as_deref()).collect()
    }

    #[test]
    fn lagging_and_foreign_nodes_are_put_aside_and_come_back() {
        let mut nodes = vec![node(100), node(96), node(94), node(100)];
        nodes[3].network = Some(NetworkId(7));
        let changed = judge(&MEASURE, &mut nodes);
        assert_eq!(changed.len(), 2);
        assert_eq!(
            reasons(&nodes),
            [
                None,
                None,
                Some("is 6 blocks behind"),
                Some("is on network 7, not 42")
            ]
        );
        nodes[2].head = Some(head(99, 1));
        assert_eq!(judge(&MEASURE, &mut nodes), [(2, None)]);
        assert!(judge(&MEASURE, &mut nodes).is_empty());
    }

    #[test]
    fn a_node_that_fails_is_out_until_it_answers() {
        let mut nodes = vec![node(100), node(100)];
        for _ in 0..3 {
            nodes[0].failed("connection refused");
        }
        judge(&MEASURE, &mut nodes);
        assert_eq!(
            reasons(&nodes),
            [Some("does not answer: connection refused"), None]
        );
        nodes[0].answered(Duration::from_millis(1));
        judge(&MEASURE, &mut nodes);
        assert_eq!(reasons(&nodes), [None, None]);
        assert!(nodes[0].cost() > nodes[1].cost(), "it is not forgotten at once");
    }

    #[test]
    fn the_larger_party_is_right_and_of_equals_the_first() {
        let mut nodes = vec![node(100), node(100), node(100)];
        for (n, hash) in nodes.iter_mut().zip([9, 1, 1]) {
            n.witness(50, Hash256([hash; 32]));
        }
        judge(&MEASURE, &mut nodes);
        let said = reasons(&nodes);
        assert!(
            said[0].unwrap().starts_with("is on another chain: its block 50"),
            "{said:?}"
        );
        assert_eq!(said[1..], [None, None]);
        // it comes back to the others' chain
        for n in &mut nodes {
            n.witness(60, Hash256([1; 32]));
        }
        judge(&MEASURE, &mut nodes);
        assert_eq!(reasons(&nodes), [None, None, None]);

        let mut two = vec![node(100), node(100)];
        for (n, hash) in two.iter_mut().zip([9, 1]) {
            n.witness(50, Hash256([hash; 32]));
        }
        judge(&MEASURE, &mut two);
        assert!(two[0].ejected.is_none() && two[1].ejected.is_some());
    }

    #[test]
    fn heights_that_are_made_up_are_not_believed() {
        let now = head(100, 1).time;
        let known = Some(head(100, 1));
        assert!(MEASURE.plausible(known, head(101, 1), now));
        assert!(MEASURE.plausible(known, head(50, 1), now));
        assert!(MEASURE.plausible(None, head(100, 1), now));
        assert!(
            !MEASURE.plausible(known, head(1_000_000, 1), now),
            "its time is in the future"
        );
        let hurried = Head {
            time: now,
            ..head(200, 1)
        };
        assert!(
            !MEASURE.plausible(known, hurried, now),
            "a hundred blocks at once"
        );
        // a node that slept finds many blocks with honest times
        assert!(MEASURE.plausible(known, head(10_000, 1), head(10_000, 1).time));
    }

    #[test]
    fn the_first_head_is_one_that_the_others_make_likely() {
        let now = head(101, 1).time;
        let boast = |height: u64| {
            let mut seen = node(100);
            seen.head = Some(Head {
                time: now,
                ..head(height, 1)
            });
            seen
        };
        for mut nodes in [
            vec![boast(1_000_000), node(100)],
            vec![boast(1_000_000), node(98), node(100)],
        ] {
            assert_eq!(agree(&MEASURE, &mut nodes, now), [0]);
            judge(&MEASURE, &mut nodes);
            assert!(nodes[0].ejected.is_some());
            assert!(nodes[1..].iter().all(|n| n.ejected.is_none()));
        }
        // late by honest times is no reason, and one alone is all there is
        let mut late = vec![node(10_000), node(100)];
        assert!(agree(&MEASURE, &mut late, head(10_000, 1).time).is_empty());
        assert!(agree(&MEASURE, &mut [boast(1_000_000)], now).is_empty());
        assert!(agree(&MEASURE, &mut [], now).is_empty());
    }

    #[test]
    fn finds_what_to_compare() {
        let mut nodes = vec![node(100), node(90)];
        assert_eq!(height_to_compare(&nodes, 1), None);
        nodes[0].witness(80, Hash256([1; 32]));
        nodes[0].witness(100, Hash256([1; 32]));
        assert_eq!(height_to_compare(&nodes, 1), Some(80));
        nodes[1].witness(80, Hash256([1; 32]));
        assert_eq!(height_to_compare(&nodes, 1), None);
    }
}
