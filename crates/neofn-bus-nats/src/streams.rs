//! The streams and buckets: what they must be, how they are made, and what is refused.
//!
//! Every setting here guards against a loss or a repetition that was seen: see docs/guides/cluster.md.

use async_nats::jetstream::consumer::{self, AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{Context, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType};
use neofn_bus::port::LETTERS_MAX;
use neofn_types::{Code, Error};
use rand::RngExt as _;
use std::fmt::Debug;
use std::time::Duration;

pub(crate) const JOBS: &str = "JOBS";
pub(crate) const RESULTS: &str = "RESULTS";
pub(crate) const EVENTS: &str = "EVENTS";
pub(crate) const LETTERS: &str = "LETTERS";
pub(crate) const LEASES: &str = "leases";
pub(crate) const ARTIFACTS: &str = "artifacts";
/// The consumer that all gateways share.
pub(crate) const CONSUMER: &str = "gateways";
/// How long a gateway may work on a message without saying so.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);

/// Letters are kept below this and a secret: JetStream acknowledges a publication wherever its sender says, so whoever may
/// publish anything to a stream could fill a subject that he knows, and push out what is there. Who may not see the settings
/// of the stream, which are the gateways' alone, does not know it.
const LETTERS_ROOT: &str = "neofn.dead";
const SECRET_HEX: usize = 32;

/// Most messages of a queue, unless set otherwise.
pub const MESSAGES_MAX: u32 = 1_000_000;
/// Of them one function, or one project's events, may have so many.
pub const SHARE_MAX: u32 = MESSAGES_MAX / 10;
/// Largest message of a queue: an event of 1 MiB, and as many headers as any stream takes.
const MESSAGE_BYTES_MAX: i32 = (1 << 20) + (64 << 10);
/// Most letters of all projects together.
const LETTERS_TOTAL: i64 = 100_000;
const DAY: Duration = Duration::from_secs(86_400);
/// A node whose lease is older than this is gone.
const LEASE: Duration = Duration::from_secs(15);
/// The same message id is taken once within this time.
const DUPLICATES: Duration = Duration::from_secs(600);
/// While a cluster starts or elects it creates nothing.
pub(crate) const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(750);

/// What an operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Copies of each message; none: three in a cluster of servers, else one.
    pub replicas: Option<u8>,
    /// Most messages that wait in a queue; beyond it senders are refused.
    pub messages_max: u32,
    /// Most of them on one subject, so that one sender does not take the place of all.
    pub share_max: u32,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: None,
            messages_max: MESSAGES_MAX,
            share_max: SHARE_MAX,
        }
    }
}

/// Makes what is not there, and compares what is; answers what was made. Asks so many times before it gives up.
pub(crate) async fn ensure(
    context: &Context,
    settings: &StreamSettings,
    replicas: u8,
    tries_max: u32,
) -> Result<Vec<String>, Error> {
    let mut made = Vec::new();
    for config in wanted(settings, usize::from(replicas)) {
        let name = config.name.clone();
        if stream(context, config, tries_max).await? {
            made.push(name);
        }
    }
    for queue in [JOBS, EVENTS] {
        if consumer(context, queue, settings, tries_max).await? {
            made.push(format!("the consumer {CONSUMER} of {queue}"));
        }
    }
    Ok(made)
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
        max_messages_per_subject: i64::from(settings.share_max),
        discard_new_per_subject: true,
        max_message_size: MESSAGE_BYTES_MAX,
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
                &["function.result.>"],
                "ends of invocations: the first one said stays",
            )
        },
        Config {
            // of letters the oldest may go, but one project's do not push out another's
            discard: DiscardPolicy::Old,
            max_messages: LETTERS_TOTAL,
            max_messages_per_subject: i64::try_from(LETTERS_MAX).unwrap_or(i64::MAX),
            max_age: DAY * 14,
            duplicate_window: DUPLICATES,
            allow_direct: true,
            ..base(
                LETTERS,
                &[&format!(
                    "{LETTERS_ROOT}.{:032x}.*.*",
                    rand::rng().random::<u128>()
                )],
                "messages that could never work",
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

/// Whether it had to be made.
async fn stream(context: &Context, wanted: Config, tries_max: u32) -> Result<bool, Error> {
    let name = wanted.name.clone();
    let mut tries = 0;
    let last = loop {
        let failed = match context.get_stream(&name).await {
            Ok(stream) => return same(&wanted, &stream.cached_info().config).map(|()| false),
            Err(e) if is_missing(&e.kind()) => match context.create_stream(wanted.clone()).await {
                Ok(_) => {
                    tracing::info!(stream = name, replicas = wanted.num_replicas, "made");
                    return Ok(true);
                }
                Err(e) => {
                    // somebody else made it meanwhile, with another secret perhaps
                    if let Ok(stream) = context.get_stream(&name).await {
                        return same(&wanted, &stream.cached_info().config).map(|()| false);
                    }
                    match e.kind() {
                        CreateStreamErrorKind::JetStream(error) => error.to_string(),
                        _ => e.to_string(),
                    }
                }
            },
            Err(e) => e.to_string(),
        };
        tries += 1;
        if tries >= tries_max {
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

/// Below which subject letters are kept, if the stream is ours: the secret is made with the stream, and every gateway reads
/// it there.
pub(crate) fn letters_root(config: &Config) -> Option<&str> {
    let [subject] = config.subjects.as_slice() else {
        return None;
    };
    let root = subject.strip_suffix(".*.*")?;
    let secret = root.strip_prefix(LETTERS_ROOT)?.strip_prefix('.')?;
    (secret.len() == SECRET_HEX && secret.bytes().all(|b| b.is_ascii_hexdigit())).then_some(root)
}

/// The subjects, to be compared and shown: a secret is any secret, and nobody's to see.
fn shown_subjects(config: &Config) -> String {
    if config.name == LETTERS && letters_root(config).is_some() {
        return format!("{LETTERS_ROOT}.SECRET.*.*");
    }
    let mut subjects = config.subjects.clone();
    subjects.sort_unstable();
    subjects.join(" ")
}

/// What would lose or repeat work if it were otherwise. Sizes are the operator's, but for a queue that grows for ever.
fn same(wanted: &Config, found: &Config) -> Result<(), Error> {
    let mut differences = Vec::new();
    let mut compare = |setting: &str, wanted: &dyn Debug, found: &dyn Debug| {
        let (wanted, found) = (format!("{wanted:?}"), format!("{found:?}"));
        if wanted != found {
            differences.push(format!("{setting} is {found}, must be {wanted}"));
        }
    };
    let (ours, theirs) = (shown_subjects(wanted), shown_subjects(found));
    compare("subjects", &format_args!("{ours}"), &format_args!("{theirs}"));
    compare("retention", &wanted.retention, &found.retention);
    compare("storage", &wanted.storage, &found.storage);
    compare("replicas", &wanted.num_replicas, &found.num_replicas);
    compare("discard", &wanted.discard, &found.discard);
    compare(
        "discard_new_per_subject",
        &wanted.discard_new_per_subject,
        &found.discard_new_per_subject,
    );
    compare(
        "max_msgs_per_subject",
        &wanted.max_messages_per_subject,
        &found.max_messages_per_subject,
    );
    compare("max_age", &wanted.max_age, &found.max_age);
    compare("no_ack", &wanted.no_ack, &found.no_ack);
    // shorter, and a message that is sent again is run again
    if !wanted.duplicate_window.is_zero() {
        compare(
            "duplicate_window",
            &wanted.duplicate_window,
            &found.duplicate_window,
        );
    }
    let (ours, theirs) = (limit(wanted.max_message_size), limit(found.max_message_size));
    compare("max_msg_size", &format_args!("{ours}"), &format_args!("{theirs}"));
    // whoever may send could take out what others sent
    for (setting, wanted, found) in [
        ("allow_rollup_hdrs", wanted.allow_rollup, found.allow_rollup),
        ("deny_delete", wanted.deny_delete, found.deny_delete),
        ("deny_purge", wanted.deny_purge, found.deny_purge),
        ("sealed", wanted.sealed, found.sealed),
        // the server turns it on by itself where it thinks fit
        (
            "allow_direct",
            wanted.allow_direct,
            wanted.allow_direct && found.allow_direct,
        ),
        // what flows in from elsewhere, or out
        ("mirror", false, found.mirror.is_some()),
        (
            "sources",
            false,
            found.sources.as_ref().is_some_and(|s| !s.is_empty()),
        ),
        ("republish", false, found.republish.is_some()),
        ("subject_transform", false, found.subject_transform.is_some()),
    ] {
        compare(setting, &wanted, &found);
    }
    if wanted.retention == RetentionPolicy::WorkQueue {
        compare("max_msgs", &wanted.max_messages, &found.max_messages);
    }
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the stream {} on this NATS server is another one: {}",
        wanted.name,
        differences.join("; ")
    );
    let error = Error::new(Code::BusMismatch, text);
    Err(match wanted.retention == RetentionPolicy::WorkQueue && found.max_messages_per_subject <= 0 {
        true => error.hint(format!(
            "An earlier version made it, without a share for each subject. Let its gateways empty it and end them, then give it one: \
             nats stream edit {} --max-msgs-per-subject={} --discard-per-subject --max-msg-size={}",
            wanted.name, wanted.max_messages_per_subject, wanted.max_message_size
        )),
        false => error,
    })
}

/// Servers and clients write "none" as 0 or as -1.
fn limit(n: i32) -> String {
    if n <= 0 {
        "unlimited".to_owned()
    } else {
        n.to_string()
    }
}

/// Whether it had to be made.
async fn consumer(
    context: &Context,
    queue: &str,
    settings: &StreamSettings,
    tries_max: u32,
) -> Result<bool, Error> {
    let wanted = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // what was put off counts as taken: with less, the messages of one function that takes no more would keep everybody
        // else's from being delivered
        max_ack_pending: i64::from(settings.messages_max),
        // a limit would leave the message in the queue for ever, delivered to nobody
        max_deliver: -1,
        ..pull::Config::default()
    };
    let mut tries = 0;
    let last = loop {
        // looked at before anything is made: making one that is there already would change it
        let found: Result<PullConsumer, _> = context.get_consumer_from_stream(CONSUMER, queue).await;
        let failed = match found {
            Ok(found) => {
                return same_consumer(queue, &wanted, &found.cached_info().config).map(|()| false);
            }
            Err(e) if is_absent(&e.kind()) => {
                match context
                    .create_consumer_strict_on_stream(wanted.clone(), queue)
                    .await
                {
                    Ok(_) => return Ok(true),
                    // somebody else made it meanwhile: looked at in the next round
                    Err(e) => e.to_string(),
                }
            }
            Err(e) if e.kind() == ConsumerErrorKind::InvalidConsumerType => {
                let text =
                    format!("the consumer {CONSUMER} of {queue} is another one: it pushes, must be pulled");
                return Err(Error::new(Code::BusMismatch, text));
            }
            Err(e) => e.to_string(),
        };
        tries += 1;
        if tries >= tries_max {
            break failed;
        }
        tokio::time::sleep(PAUSE).await;
    };
    Err(Error::new(
        Code::BusUnavailable,
        format!("the consumer of {queue} cannot be made: {last}"),
    ))
}

fn is_absent(kind: &ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(e)
        if e.error_code() == async_nats::jetstream::ErrorCode::CONSUMER_NOT_FOUND)
}

fn same_consumer(queue: &str, wanted: &pull::Config, found: &consumer::Config) -> Result<(), Error> {
    let mut differences = Vec::new();
    for (setting, wanted, found) in [
        (
            "ack_policy",
            format!("{:?}", wanted.ack_policy),
            format!("{:?}", found.ack_policy),
        ),
        (
            "ack_wait",
            format!("{:?}", wanted.ack_wait),
            format!("{:?}", found.ack_wait),
        ),
        (
            "max_deliver",
            wanted.max_deliver.to_string(),
            found.max_deliver.to_string(),
        ),
        (
            "max_ack_pending",
            wanted.max_ack_pending.to_string(),
            found.max_ack_pending.to_string(),
        ),
        (
            "deliver_policy",
            format!("{:?}", wanted.deliver_policy),
            format!("{:?}", found.deliver_policy),
        ),
        (
            "filter_subjects",
            String::new(),
            [found.filter_subject.clone()]
                .into_iter()
                .chain(found.filter_subjects.clone())
                .filter(|s| !s.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        ),
        ("headers_only", false.to_string(), found.headers_only.to_string()),
        ("backoff", "[]".to_owned(), format!("{:?}", found.backoff)),
        (
            "paused",
            false.to_string(),
            found.pause_until.is_some().to_string(),
        ),
    ] {
        if wanted != found {
            differences.push(format!("{setting} is {found:?}, must be {wanted:?}"));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the consumer {CONSUMER} of {queue} is another one: {}",
        differences.join("; ")
    );
    Err(Error::new(Code::BusMismatch, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::jetstream::stream::{Republish, Source, SubjectTransform};

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
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 8] = [
            ("duplicate_window", |c| {
                c.duplicate_window = Duration::from_secs(120)
            }),
            ("max_msg_size", |c| c.max_message_size = 64),
            ("republish", |c| {
                c.republish = Some(Republish {
                    source: ">".to_owned(),
                    destination: "spy.>".to_owned(),
                    headers_only: false,
                });
            }),
            ("mirror", |c| c.mirror = Some(Source::default())),
            ("sources", |c| c.sources = Some(vec![Source::default()])),
            ("subject_transform", |c| {
                c.subject_transform = Some(SubjectTransform {
                    source: ">".to_owned(),
                    destination: "other.>".to_owned(),
                });
            }),
            ("allow_rollup_hdrs", |c| c.allow_rollup = true),
            ("deny_delete", |c| c.deny_delete = true),
        ];
        for (setting, change) in changes {
            let mut found = wanted.clone();
            change(&mut found);
            let error = same(wanted, &found).unwrap_err();
            assert!(error.message.contains(&format!("{setting} is ")), "{error}");
        }
    }

    #[test]
    fn the_subject_of_letters_is_another_one_each_time_and_not_shown() {
        let letters = || {
            let mut all = wanted(&StreamSettings::default(), 1).into_iter();
            all.find(|config| config.name == LETTERS).unwrap()
        };
        let (one, other) = (letters(), letters());
        assert_ne!(one.subjects, other.subjects);
        assert!(same(&one, &other).is_ok());
        let root = letters_root(&one).unwrap();
        assert_eq!(one.subjects, [format!("{root}.*.*")]);
        for subjects in [
            vec!["dead.*.*".to_owned()],
            vec!["neofn.dead.*.*.*".to_owned()],
            vec!["neofn.dead.>".to_owned()],
            [one.subjects.clone(), vec!["x".to_owned()]].concat(),
        ] {
            let found = Config {
                subjects,
                ..one.clone()
            };
            let error = same(&one, &found).unwrap_err();
            assert!(
                error.message.ends_with(", must be neofn.dead.SECRET.*.*"),
                "{error}"
            );
        }
    }
}
