//! Counters as OpenMetrics text. The engine counts; here it is only written down.

use http::StatusCode;
use neofn_api::{HistogramData, NodeMetrics};
use neofn_event::TriggerKind;
use neofn_types::Error;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What the edge itself counts.
#[derive(Debug, Default)]
pub(crate) struct HttpCounters {
    classes: [AtomicU64; 5],
    connections: AtomicI64,
}

impl HttpCounters {
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All counters as text.
pub(crate) fn render(node: &NodeMetrics, http: &HttpCounters) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("neofn");
    registry.register_collector(Box::new(Reading {
        node: node.clone(),
        classes: std::array::from_fn(|i| http.classes.get(i).map_or(0, |c| c.load(Ordering::Relaxed))),
        connections: http.connections.load(Ordering::Relaxed),
    }));
    let mut text = String::with_capacity(8 << 10);
    prometheus_client::encoding::text::encode(&mut text, &registry).map_err(Error::internal)?;
    Ok(text)
}

/// All values at one moment.
#[derive(Debug)]
struct Reading {
    node: NodeMetrics,
    classes: [u64; 5],
    connections: i64,
}

impl Collector for Reading {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        self.runs(&mut out)?;
        self.queue(&mut out)?;
        self.triggers(&mut out)?;
        self.sandboxes(&mut out)?;
        self.edge(&mut out)
    }
}

impl Reading {
    fn runs(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let s = &self.node.engine;
        family(
            out,
            "invocations",
            "Ended runs by outcome",
            "code",
            s.outcomes
                .iter()
                .map(|(code, n)| (code.map_or("ok", neofn_types::Code::as_str), *n)),
        )?;
        family(
            out,
            "refusals",
            "Requests that were not taken, by code",
            "code",
            s.refusals.iter().map(|(code, n)| (code.as_str(), *n)),
        )?;
        histogram(
            out,
            "invocation_duration_seconds",
            "From admission to the end",
            &s.duration_us,
            1e6,
        )?;
        histogram(out, "invocation_units", "Units charged to a run", &s.units, 1.0)?;
        counter(out, "units", "Units charged", s.units_total)?;
        counter(out, "retries", "Retries scheduled", s.retries)?;
        counter(out, "deployments", "Deployments that went live", s.deploys)?;
        counter(
            out,
            "deployments_refused",
            "Deployments that a stage refused",
            s.deploys_refused,
        )?;
        gauge(out, "in_flight", "Runs going on", s.in_flight)
    }

    fn queue(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let s = &self.node.engine;
        gauge(
            out,
            "queue_depth",
            "Asynchronous invocations that wait",
            self.node.totals.queued,
        )?;
        gauge(
            out,
            "queue_running",
            "Claimed invocations",
            self.node.totals.running,
        )?;
        gauge(
            out,
            "functions_paused",
            "Functions whose queued work is held back because they fail every time",
            s.paused,
        )?;
        gauge(
            out,
            "runs_wanted",
            "Runs at once that the load asks for: what comes, and what waits within ten seconds",
            u64::from(self.node.runs_wanted),
        )?;
        if let Some(datoshi) = self.node.unreconciled {
            gauge(
                out,
                "gas_unreconciled_datoshi",
                "GAS that ledger and chain do not agree on, and GAS that left by no payment of this node",
                datoshi,
            )?;
        }
        gauge(
            out,
            "records_pending",
            "Ended calls whose history row is on its way to the disk",
            s.records_pending,
        )?;
        counter(
            out,
            "records_lost",
            "History rows that could not be written",
            s.records_lost,
        )?;
        counter(
            out,
            "cache_hits",
            "Calls that found their version in memory",
            s.cache_hits,
        )?;
        counter(
            out,
            "cache_misses",
            "Calls that had to load their version",
            s.cache_misses,
        )?;
        gauge(out, "cache_entries", "Versions in memory", s.cache_entries)
    }

    fn triggers(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (t, chain) = &self.node.triggers;
        let by_kind = |rows: &BTreeMap<TriggerKind, u64>| -> Vec<(&'static str, u64)> {
            rows.iter().map(|(kind, n)| (kind.as_str(), *n)).collect()
        };
        let kinds = by_kind(&t.matches).into_iter();
        family(
            out,
            "trigger_matches",
            "Events that matched, by kind of trigger",
            "kind",
            kinds,
        )?;
        let kinds = by_kind(&t.deliveries).into_iter();
        family(
            out,
            "trigger_deliveries",
            "Deliveries written down, by kind of trigger",
            "kind",
            kinds,
        )?;
        counter(
            out,
            "trigger_duplicates",
            "Events that had come before",
            t.duplicates,
        )?;
        counter(out, "chain_blocks", "Blocks that were matched", t.blocks)?;
        gauge(
            out,
            "triggers_running",
            "Triggers that deliver",
            t.triggers.values().sum(),
        )?;
        if let Some(chain) = chain {
            gauge(out, "chain_height", "The newest block", chain.head.height)?;
            gauge(out, "chain_lag", "Blocks that are not matched yet", chain.lag)?;
            let usable = chain.nodes.iter().filter(|n| n.ejected.is_none()).count();
            let usable = u64::try_from(usable).unwrap_or(u64::MAX);
            gauge(out, "chain_nodes_usable", "Chain nodes that are asked", usable)?;
            gauge(
                out,
                "chain_error",
                "Whether blocks are not read at the moment",
                u64::from(chain.error.is_some()),
            )?;
        }
        Ok(())
    }

    fn sandboxes(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let r = &self.node.runtime;
        gauge(
            out,
            "sandbox_children",
            "Sandbox processes alive",
            u64::from(r.children),
        )?;
        counter(
            out,
            "sandbox_restarts",
            "Sandbox processes replaced after they died",
            r.restarts,
        )?;
        counter(
            out,
            "sandbox_calls_hot",
            "Runs served by a live instance",
            r.hot_calls,
        )?;
        counter(
            out,
            "sandbox_calls_cold",
            "Runs served by a pooled instance",
            r.cold_calls,
        )?;
        gauge(
            out,
            "sandbox_versions_hot",
            "Versions that have live instances",
            u64::from(r.hot_versions),
        )?;
        gauge(
            out,
            "sandbox_resident_bytes",
            "Resident memory of the sandbox processes",
            r.resident_bytes,
        )
    }

    fn edge(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        family(
            out,
            "http_answers",
            "Answers by class of status",
            "class",
            classes.into_iter().zip(self.classes),
        )?;
        let encoder =
            out.encode_descriptor("http_connections", "Open connections", None, MetricType::Gauge)?;
        ConstGauge::new(self.connections).encode(encoder)
    }
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(out.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn family<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    rows: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut encoder = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in rows {
        let labels = [(label, value)];
        ConstCounter::new(count).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

fn histogram(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    data: &HistogramData,
    per: f64,
) -> fmt::Result {
    // counts up to 2^53 are exact, which is more than will ever run
    let number =
        |n: u64| u32::try_from(n).map_or_else(|_| n.to_string().parse().unwrap_or(f64::MAX), f64::from);
    let mut buckets: Vec<(f64, u64)> = data
        .bounds
        .iter()
        .map(|b| number(*b) / per)
        .zip(data.counts.iter().copied())
        .collect();
    buckets.push((f64::INFINITY, data.counts.last().copied().unwrap_or(0)));
    let total = data.counts.iter().sum();
    out.encode_descriptor(name, help, None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(number(data.sum) / per, total, &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_api::{EngineStats, RuntimeStatus, Totals, TriggerMetrics};
    use neofn_types::Code;

    #[test]
    fn everything_the_operator_needs_is_there() {
        let stats = EngineStats {
            outcomes: BTreeMap::from([(None, 3), (Some(Code::UnitLimit), 1)]),
            refusals: BTreeMap::from([(Code::FunctionDisabled, 2)]),
            duration_us: HistogramData {
                bounds: &[250, 500],
                counts: vec![3, 0, 1],
                sum: 1_000_300,
            },
            units: HistogramData {
                bounds: &[10_000],
                counts: vec![0, 4],
                sum: 48_000,
            },
            units_total: 48_000,
            in_flight: 1,
            paused: 1,
            cache_entries: 2,
            cache_hits: 9,
            cache_misses: 2,
            retries: 0,
            deploys: 2,
            deploys_refused: 1,
            records_pending: 0,
            records_lost: 0,
            draining: false,
        };
        let http = HttpCounters::default();
        http.answered(StatusCode::OK);
        http.answered(StatusCode::NOT_FOUND);
        http.opened();
        let text = render(
            &NodeMetrics {
                engine: stats,
                runtime: RuntimeStatus::default(),
                totals: Totals::default(),
                triggers: TriggerMetrics::default(),
                runs_wanted: 7,
                unreconciled: Some(512_977_750),
            },
            &http,
        )
        .unwrap();
        insta::assert_snapshot!(text);
    }
}
