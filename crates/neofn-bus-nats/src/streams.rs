//! The streams and buckets: what they must be, how they are made, and what is refused.
//!
//! Every setting here guards against a loss or a repetition that was seen: see docs/guides/cluster.md.

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{Context, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use neofn_types::{Code, Error};
use std::time::Duration;

pub(crate) const JOBS: &str = "JOBS";
pub(crate) const RESULTS: &str = "RESULTS";
pub(crate) const EVENTS: &str = "EVENTS";
pub(crate) const LEASES: &str = "leases";
pub(crate) const ARTIFACTS: &str = "artifacts";
/// The consumer that all gateways share.
pub(crate) const CONSUMER: &str = "gateways";
/// How long a gateway may work on a message without saying so.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);

/// Most messages of a queue, unless set otherwise.
pub const MESSAGES_MAX: u32 = 1_000_000;
/// Most messages that gateways work on at once.
const TAKEN_MAX: i64 = 8_192;
const DAY: Duration = Duration::from_secs(86_400);
/// A node whose lease is older than this is gone.
const LEASE: Duration = Duration::from_secs(15);
/// The same message id is taken once within this time.
const DUPLICATES: Duration = Duration::from_secs(600);
/// While a cluster starts or elects it creates nothing.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(750);

/// What an operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Copies of each message; none: three in a cluster of servers, else one.
    pub replicas: Option<u8>,
    /// Most messages that wait in a queue; beyond it senders are refused.
    pub messages_max: u32,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: None,
            messages_max: MESSAGES_MAX,
        }
    }
}

/// Makes what is not there, and compares what is.
pub(crate) async fn ensure(context: &Context, settings: &StreamSettings, replicas: u8) -> Result<(), Error> {
    for config in wanted(settings, usize::from(replicas)) {
        stream(context, config).await?;
    }
    for queue in [JOBS, EVENTS] {
        consumer(context, queue).await?;
    }
    Ok(())
}

fn wanted(settings: &StreamSettings, replicas: usize) -> Vec<Config> {
    let base = |name: &str, subjects: &[&str], description: &str| Config {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
        storage: StorageType::File,
        num_replicas: replicas,
        // the default pushes out the oldest work without a word
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    };
    let queue = |name, subject, description| Config {
        retention: RetentionPolicy::WorkQueue,
        max_messages: i64::from(settings.messages_max),
        duplicate_window: DUPLICATES,
        ..base(name, &[subject], description)
    };
    let bucket = |name: &str, max_age: Duration, description| Config {
        max_messages_per_subject: 1,
        max_age,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..base(&format!("KV_{name}"), &[&format!("$KV.{name}.>")], description)
    };
    vec![
        queue(JOBS, "jobs.>", "invocations on their way to a gateway's store"),
        queue(
            EVENTS,
            "events.>",
            "CloudEvents on their way to a gateway's store",
        ),
        Config {
            max_messages_per_subject: 1,
            discard_new_per_subject: true,
            max_age: DAY,
            allow_direct: true,
            ..base(
                RESULTS,
                &["function.result.*"],
                "ends of invocations: the first one said stays",
            )
        },
        bucket(LEASES, LEASE, "gateways that are there"),
        Config {
            allow_rollup: true,
            allow_direct: true,
            ..base(
                &format!("OBJ_{ARTIFACTS}"),
                &[&format!("$O.{ARTIFACTS}.C.>"), &format!("$O.{ARTIFACTS}.M.>")],
                "compiled forms by sha256",
            )
        },
    ]
}

async fn stream(context: &Context, wanted: Config) -> Result<(), Error> {
    let name = wanted.name.clone();
    let mut tries = 0;
    let last = loop {
        let failed = match context.get_stream(&name).await {
            Ok(stream) => return same(&wanted, &stream.cached_info().config),
            Err(e) if is_missing(&e.kind()) => match context.create_stream(wanted.clone()).await {
                Ok(_) => {
                    tracing::info!(stream = name, replicas = wanted.num_replicas, "made");
                    return Ok(());
                }
                Err(e) => match e.kind() {
                    // somebody else made it meanwhile: looked at in the next round
                    CreateStreamErrorKind::JetStream(error) => error.to_string(),
                    _ => e.to_string(),
                },
            },
            Err(e) => e.to_string(),
        };
        tries += 1;
        if tries >= TRIES {
            break failed;
        }
        tracing::debug!(stream = name, failed, "not yet");
        tokio::time::sleep(PAUSE).await;
    };
    let hint =
        "Is JetStream enabled (`jetstream {}` in its configuration), and do these credentials reach it?";
    Err(Error::new(
        Code::BusUnavailable,
        format!("the stream {name} cannot be made: {last}"),
    )
    .hint(hint))
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(e)
        if e.error_code() == async_nats::jetstream::ErrorCode::STREAM_NOT_FOUND)
}

/// What would lose or repeat work if it were otherwise. Sizes are the operator's, but for a queue that grows for ever.
fn same(wanted: &Config, found: &Config) -> Result<(), Error> {
    let mut differences = Vec::new();
    let mut compare = |setting: &str, wanted: String, found: String| {
        if wanted != found {
            differences.push(format!("{setting} is {found}, must be {wanted}"));
        }
    };
    let (mut ours, mut theirs) = (wanted.subjects.clone(), found.subjects.clone());
    ours.sort_unstable();
    theirs.sort_unstable();
    compare("subjects", ours.join(" "), theirs.join(" "));
    compare(
        "retention",
        format!("{:?}", wanted.retention),
        format!("{:?}", found.retention),
    );
    compare(
        "storage",
        format!("{:?}", wanted.storage),
        format!("{:?}", found.storage),
    );
    compare(
        "replicas",
        wanted.num_replicas.to_string(),
        found.num_replicas.to_string(),
    );
    compare(
        "discard",
        format!("{:?}", wanted.discard),
        format!("{:?}", found.discard),
    );
    compare(
        "discard_new_per_subject",
        wanted.discard_new_per_subject.to_string(),
        found.discard_new_per_subject.to_string(),
    );
    compare(
        "max_msgs_per_subject",
        wanted.max_messages_per_subject.to_string(),
        found.max_messages_per_subject.to_string(),
    );
    compare(
        "max_age",
        format!("{:?}", wanted.max_age),
        format!("{:?}", found.max_age),
    );
    compare("no_ack", wanted.no_ack.to_string(), found.no_ack.to_string());
    if wanted.retention == RetentionPolicy::WorkQueue {
        compare(
            "max_msgs",
            wanted.max_messages.to_string(),
            found.max_messages.to_string(),
        );
    }
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the stream {} on this NATS server is another one: {}",
        wanted.name,
        differences.join("; ")
    );
    Err(Error::new(Code::BusMismatch, text))
}

async fn consumer(context: &Context, queue: &str) -> Result<(), Error> {
    let wanted = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: TAKEN_MAX,
        // a limit would leave the message in the queue for ever, delivered to nobody
        max_deliver: -1,
        ..pull::Config::default()
    };
    let fail = |e: String| {
        Error::new(
            Code::BusUnavailable,
            format!("the consumer of {queue} cannot be made: {e}"),
        )
    };
    let mut tries = 0;
    let found = loop {
        let made = context.create_consumer_on_stream(wanted.clone(), queue).await;
        match made {
            Ok(made) => break made,
            Err(e) => {
                tries += 1;
                if tries >= TRIES {
                    return Err(fail(e.to_string()));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let config = &found.cached_info().config;
    if config.ack_wait != ACK_WAIT || config.max_deliver > 0 || config.ack_policy != AckPolicy::Explicit {
        return Err(Error::new(
            Code::BusMismatch,
            format!(
                "the consumer {CONSUMER} of {queue} is another one: ack_wait {:?}, max_deliver {}, ack {:?}; must be \
                 {ACK_WAIT:?}, -1, Explicit",
                config.ack_wait, config.max_deliver, config.ack_policy
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let wanted = &wanted(&StreamSettings::default(), 1)[0];
        assert!(same(wanted, wanted).is_ok());
        let found = Config {
            discard: DiscardPolicy::Old,
            num_replicas: 3,
            ..wanted.clone()
        };
        let error = same(wanted, &found).unwrap_err();
        assert_eq!(error.code, Code::BusMismatch);
        assert_eq!(
            error.message,
            "the stream JOBS on this NATS server is another one: replicas is 3, must be 1; discard is Old, must be New"
        );
    }
}
