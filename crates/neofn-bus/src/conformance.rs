//! What every bus has to do, as one suite over the ports. Panics with what does not hold.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite that does not hold stops loudly; it is compiled for tests alone"
)]

use crate::port::{Bus, DeadLetter, Delivery, Depth, Kv, LETTER_BYTES_MAX};
use crate::{BusError, Message};
use bytes::Bytes;
use neofn_types::Digest;
use std::time::Duration;
use tokio::time::Instant;

/// How many messages the queue of jobs must be made to hold before the suite runs on it.
pub const QUEUE_MAX: usize = 40;
/// And how many of them on one subject.
pub const SHARE_MAX: usize = 30;
const SOON: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

/// The whole suite, on a bus that nobody else uses.
pub async fn run(bus: &Bus) {
    requests(bus).await;
    groups(bus).await;
    queue_delivers_until_done(bus).await;
    queue_takes_an_id_once(bus).await;
    queue_refuses_when_full(bus).await;
    results_are_said_once(bus).await;
    letters_are_kept(bus).await;
    buckets_compare_and_set(&*bus.leases).await;
    blobs_are_what_their_name_says(bus).await;
}

async fn requests(bus: &Bus) {
    let nobody = bus.rpc.request("suite.nobody", Message::new("x"), SOON).await;
    assert!(matches!(nobody, Err(BusError::NoResponders(_))), "{nobody:?}");
    let mut incoming = bus.rpc.serve("suite.echo.*", None).await.unwrap();
    let served = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(received) = incoming.next().await {
            seen.push(received.subject.clone());
            let Some(reply) = received.reply else { break };
            if received.message.payload == "silence" {
                // kept until the asker has given up
                tokio::time::sleep(SHORT * 2).await;
                continue;
            }
            let back = Message::new(received.message.payload.clone())
                .header("Two-Words", received.message.get("two-words").unwrap_or("none"));
            reply.send(back).await.unwrap();
        }
        seen
    });
    let asked = Message::new("hello").header("Two-Words", "a value");
    let answer = bus.rpc.request("suite.echo.one", asked, SOON).await.unwrap();
    assert_eq!(answer.payload, "hello");
    assert_eq!(
        answer.get("TWO-words"),
        Some("a value"),
        "headers come back, whatever their case"
    );
    let large = vec![0; bus.rpc.bytes_max() + 1];
    let refused = bus.rpc.request("suite.echo.one", Message::new(large), SOON).await;
    assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");
    let late = bus
        .rpc
        .request("suite.echo.two", Message::new("silence"), SHORT)
        .await;
    assert!(matches!(late, Err(BusError::TimedOut(_))), "{late:?}");
    bus.rpc
        .publish("suite.echo.three", Message::new(""))
        .await
        .unwrap();
    let seen = tokio::time::timeout(SOON, served).await.unwrap().unwrap();
    assert_eq!(seen, ["suite.echo.one", "suite.echo.two", "suite.echo.three"]);
}

async fn groups(bus: &Bus) {
    let count = |mut incoming: Box<dyn crate::port::Incoming>| {
        tokio::spawn(async move {
            let mut n = 0;
            while let Some(received) = incoming.next().await {
                n += 1;
                if let Some(reply) = received.reply {
                    reply.send(Message::default()).await.unwrap();
                }
                if received.message.payload == "end" {
                    break;
                }
            }
            n
        })
    };
    let a = count(bus.rpc.serve("suite.group", Some("g")).await.unwrap());
    let b = count(bus.rpc.serve("suite.group", Some("g")).await.unwrap());
    for _ in 0..20 {
        bus.rpc
            .request("suite.group", Message::new("x"), SOON)
            .await
            .unwrap();
    }
    // each takes one end
    for _ in 0..2 {
        bus.rpc
            .request("suite.group", Message::new("end"), SOON)
            .await
            .unwrap();
    }
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert_eq!(a + b, 22, "each message reaches one member: {a} and {b}");
}

async fn one(bus: &Bus) -> Box<dyn Delivery> {
    let until = Instant::now() + SOON;
    loop {
        match bus.jobs.pull(1, SHORT).await.map(|mut taken| taken.pop()) {
            Ok(Some(delivery)) => return delivery,
            // a queue that was just made may not be known everywhere
            Ok(None) | Err(BusError::Unavailable(_)) if Instant::now() < until => {}
            other => panic!(
                "the queue delivers nothing: {:?}",
                other.map(|taken| taken.is_some())
            ),
        }
    }
}

async fn queue_delivers_until_done(bus: &Bus) {
    let message = Message::new("work").header("Kept", "yes");
    let pushed = bus
        .jobs
        .push("jobs.js.demo.suite", "suite-1", message)
        .await
        .unwrap();
    assert!(!pushed.duplicate);
    let first = one(bus).await;
    assert_eq!(
        (first.subject(), first.id(), first.attempt()),
        ("jobs.js.demo.suite", "suite-1", 1)
    );
    assert_eq!(first.message().get("kept"), Some("yes"));
    first.working().await.unwrap();
    assert_eq!(bus.jobs.depth().await.unwrap().taken, 1);
    assert!(
        bus.jobs.pull(1, SHORT).await.unwrap().is_empty(),
        "what is taken is not delivered twice"
    );
    first.later(Duration::from_millis(1)).await.unwrap();
    let second = one(bus).await;
    assert_eq!(
        (second.id(), second.attempt(), &second.message().payload[..]),
        ("suite-1", 2, &b"work"[..])
    );
    drop(second);
    let third = one(bus).await;
    assert_eq!(
        (third.id(), third.attempt()),
        ("suite-1", 3),
        "what is dropped comes again"
    );
    third.done().await.unwrap();
    let depth = bus.jobs.depth().await.unwrap();
    assert_eq!(depth, Depth::default(), "done is gone");
}

async fn queue_takes_an_id_once(bus: &Bus) {
    for duplicate in [false, true] {
        let pushed = bus
            .jobs
            .push("jobs.js.demo.suite", "suite-2", Message::new("a"))
            .await
            .unwrap();
        assert_eq!(pushed.duplicate, duplicate);
    }
    one(bus).await.give_up("a reason").await.unwrap();
    let depth = bus.jobs.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.taken), (0, 0), "what was given up is gone");
}

/// Pushes so many, and then there is no more room. What is done may leave a moment after it was said.
async fn fill(bus: &Bus, subject: &str, most: usize) {
    let until = Instant::now() + SOON;
    let mut taken = 0;
    loop {
        let id = format!("{subject}-{taken}");
        match bus.jobs.push(subject, &id, Message::new("a")).await {
            Ok(_) => taken += 1,
            Err(BusError::Full(_)) if taken == most => break,
            Err(BusError::Full(_)) if Instant::now() < until => tokio::time::sleep(SHORT / 10).await,
            Err(error) => panic!("after {taken} of {most}: {error:?}"),
        }
        assert!(taken <= most, "{subject} takes more than {most}");
    }
}

async fn queue_refuses_when_full(bus: &Bus) {
    // one subject does not take the place of all, and nothing is pushed out
    fill(bus, "jobs.js.demo.suite", SHARE_MAX).await;
    fill(bus, "jobs.js.other.suite", QUEUE_MAX - SHARE_MAX).await;
    let mut got = 0;
    while got < QUEUE_MAX {
        for delivery in bus.jobs.pull(16, SOON).await.unwrap() {
            delivery.done().await.unwrap();
            got += 1;
        }
    }
    bus.jobs
        .push("jobs.js.demo.suite", "suite-room", Message::new("a"))
        .await
        .unwrap();
    one(bus).await.done().await.unwrap();
}

async fn results_are_said_once(bus: &Bus) {
    let subject = "function.result.suite";
    assert_eq!(bus.results.settled(subject).await.unwrap(), None);
    assert!(
        bus.results
            .settle(subject, Message::new("first").header("A", "1"))
            .await
            .unwrap()
    );
    assert!(!bus.results.settle(subject, Message::new("second")).await.unwrap());
    let kept = bus.results.settled(subject).await.unwrap().unwrap();
    assert_eq!((&kept.payload[..], kept.get("a")), (&b"first"[..], Some("1")));
}

async fn letters_are_kept(bus: &Bus) {
    assert_eq!(bus.dead.list("demo", 10).await.unwrap(), []);
    let letter = |id: &str, project: Option<&str>, bytes: usize| DeadLetter {
        subject: "events.demo".to_owned(),
        id: id.to_owned(),
        reason: "NF0707: no type\nat all".to_owned(),
        project: project.map(str::to_owned),
        at_ms: 0,
        message: Message::new(vec![b'x'; bytes]).header("Kept", "yes"),
    };
    for (id, project, bytes) in [
        ("demo._events.1", Some("demo"), 3),
        ("demo._events.1", Some("demo"), 3),
        ("other._events.1", Some("other"), 3),
        ("unnamed", None, 3),
        ("demo._events.2", Some("demo"), LETTER_BYTES_MAX + 1),
    ] {
        bus.dead.keep(letter(id, project, bytes)).await.unwrap();
    }
    let found = bus.dead.list("demo", 10).await.unwrap();
    let shown: Vec<_> = found.iter().map(|l| (&*l.id, l.message.payload.len())).collect();
    assert_eq!(
        shown,
        [("demo._events.2", LETTER_BYTES_MAX), ("demo._events.1", 3)]
    );
    assert_eq!(
        (&*found[0].subject, found[0].message.get("kept")),
        ("events.demo", Some("yes"))
    );
    assert!(found[0].reason.starts_with("NF0707"), "{}", found[0].reason);
    assert_eq!(bus.dead.list("demo", 1).await.unwrap().len(), 1);
    assert_eq!(bus.dead.list("other", 10).await.unwrap().len(), 1);
}

async fn buckets_compare_and_set(kv: &dyn Kv) {
    let value = Bytes::from_static;
    assert_eq!(kv.get("suite.a").await.unwrap(), None);
    let first = kv.create("suite.a", value(b"1")).await.unwrap();
    assert!(matches!(
        kv.create("suite.a", value(b"2")).await,
        Err(BusError::Conflict(_))
    ));
    let second = kv.update("suite.a", value(b"2"), first).await.unwrap();
    assert!(second > first);
    assert!(matches!(
        kv.update("suite.a", value(b"3"), first).await,
        Err(BusError::Conflict(_))
    ));
    kv.put("suite.b", value(b"4")).await.unwrap();
    let entries = kv.entries().await.unwrap();
    let mut shown: Vec<_> = entries.iter().map(|e| (e.key.as_str(), &e.value[..])).collect();
    shown.sort_unstable();
    assert_eq!(shown, [("suite.a", &b"2"[..]), ("suite.b", &b"4"[..])]);
    for key in ["suite.a", "suite.b", "suite.never"] {
        kv.delete(key).await.unwrap();
    }
    assert!(kv.entries().await.unwrap().is_empty());
    kv.create("suite.a", value(b"5")).await.unwrap();
    kv.delete("suite.a").await.unwrap();
}

/// Whichever of several servers is asked: one may be behind for a moment.
async fn shows(bus: &Bus, digest: Digest, there: bool) {
    let shown = async {
        let mut in_a_row = 0;
        while in_a_row < 8 {
            match bus.artifacts.has(digest).await.unwrap() == there {
                true => in_a_row += 1,
                false => in_a_row = 0,
            }
        }
    };
    tokio::time::timeout(SOON, shown).await.unwrap();
}

async fn blobs_are_what_their_name_says(bus: &Bus) {
    // longer than one message
    let bytes = Bytes::from(vec![7u8; bus.rpc.bytes_max() * 2 + 1]);
    let digest = Digest::of(&bytes);
    assert!(!bus.artifacts.has(digest).await.unwrap());
    assert_eq!(bus.artifacts.get(digest).await.unwrap(), None);
    for _ in 0..2 {
        bus.artifacts.put(digest, bytes.clone()).await.unwrap();
    }
    shows(bus, digest, true).await;
    assert_eq!(bus.artifacts.get(digest).await.unwrap(), Some(bytes));
    let wrong = Digest::of(b"another");
    bus.artifacts
        .put(wrong, Bytes::from_static(b"not that"))
        .await
        .unwrap();
    shows(bus, wrong, true).await;
    assert!(matches!(
        bus.artifacts.get(wrong).await,
        Err(BusError::Damaged(_))
    ));
    bus.artifacts.discard(wrong).await.unwrap();
    shows(bus, wrong, false).await;
    let right = Bytes::from_static(b"another");
    bus.artifacts.put(wrong, right.clone()).await.unwrap();
    shows(bus, wrong, true).await;
    assert_eq!(bus.artifacts.get(wrong).await.unwrap(), Some(right));
    bus.artifacts.discard(Digest::of(b"never")).await.unwrap();
}
