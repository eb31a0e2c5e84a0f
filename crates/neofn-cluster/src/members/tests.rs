//! Who gets a run, who is gone, and who has the name.

use super::*;
use crate::beat::Seat;
use neofn_runtime::port::RuntimeStatus;
use std::collections::{HashMap, HashSet};

fn engine() -> Digest {
    Digest::of(b"engine")
}
fn beat(id: &str) -> Beat {
    Beat {
        seat: Seat {
            id: id.to_owned(),
            role: Role::Worker,
            host: "h".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            protocol: PROTOCOL,
            started_at: UnixMillis(0),
            jail: "landlock".to_owned(),
            insecure: false,
            enclave: None,
            engines: vec![(RuntimeKind::Js, engine())],
            cores: 2,
            memory_bytes: 1 << 30,
            runs_max: 4,
        },
        running: 0,
        runs: 0,
        draining: false,
        sandboxes: RuntimeStatus {
            children: 1,
            ..RuntimeStatus::default()
        },
        warm: Vec::new(),
    }
}
fn three() -> Members {
    let mut members = Members::default();
    for id in ["a", "b", "c"] {
        assert!(members.hear(beat(id), Duration::ZERO).room);
    }
    members
}

#[test]
fn a_function_has_a_home_and_overflows_in_its_order() {
    let mut members = three();
    let home = members.choose("p/f", &engine(), &[]).unwrap().0;
    assert_eq!(members.home("p/f", &engine()), Some(home.clone()));
    assert_eq!(members.home("p/f", &Digest::of(b"another")), None);
    assert_eq!(
        members.choose("p/f", &engine(), &[]).unwrap().0,
        home,
        "a core is free"
    );
    let mut next = || members.choose("p/f", &engine(), &[]).unwrap().0;
    let (second, again, fifth) = (next(), next(), next());
    assert_ne!(second, home);
    assert_eq!(again, second, "warm in two places rather than in three");
    assert_eq!(fifth, home, "within a quarter of its share");
    let there = CancellationToken::new();
    for id in [&home, &home, &second, &again, &fifth] {
        members.ended(id, &there);
    }
    assert_eq!(
        members.choose("p/f", &engine(), &[]).unwrap().0,
        home,
        "home again"
    );
    // twelve places in all, one of them taken
    let mut seen = HashMap::<String, u32>::new();
    while let Some((id, _)) = members.choose("p/f", &engine(), &[]) {
        *seen.entry(id).or_default() += 1;
    }
    assert_eq!(seen.values().sum::<u32>(), 11);
}

#[test]
fn functions_spread_and_stay() {
    let mut members = three();
    let mut homes = HashMap::new();
    for n in 0..300 {
        let name = format!("p/f{n}");
        let (id, gone) = members.choose(&name, &engine(), &[]).unwrap();
        members.ended(&id, &gone);
        homes.insert(name, id);
    }
    for id in ["a", "b", "c"] {
        let n = homes.values().filter(|h| *h == id).count();
        assert!((60..140).contains(&n), "{id} is the home of {n}");
    }
    members.lose("b");
    for (name, home) in homes.iter().filter(|(_, h)| *h != "b") {
        let (id, gone) = members.choose(name, &engine(), &[]).unwrap();
        members.ended(&id, &gone);
        assert_eq!(id, *home, "the others stay at home");
    }
}

#[test]
fn nobody_gets_what_he_cannot_do() {
    let mut members = Members::default();
    for (id, change) in [
        ("draining", (|b| b.draining = true) as fn(&mut Beat)),
        ("other engine", |b| b.seat.engines.clear()),
        ("other protocol", |b| b.seat.protocol += 1),
        ("gateway", |b| b.seat.role = Role::Gateway),
        ("full", |b| b.running = 4),
    ] {
        let mut one = beat(id);
        change(&mut one);
        members.hear(one, Duration::ZERO);
    }
    assert!(members.choose("p/f", &engine(), &[]).is_none());
    members.hear(beat("fit"), Duration::ZERO);
    assert_eq!(members.choose("p/f", &engine(), &[]).unwrap().0, "fit");
    assert!(members.choose("p/f", &engine(), &["fit".to_owned()]).is_none());
}

#[test]
fn who_never_gets_a_run_is_told_why() {
    let mut members = Members::default();
    let js = (RuntimeKind::Js, engine());
    assert_eq!(members.misfits(js), None, "there is none at all");
    let mut newer = beat("newer");
    newer.seat.protocol += 1;
    newer.seat.version = "9.0.0".to_owned();
    let mut other = beat("other");
    other.seat.engines = vec![(RuntimeKind::Js, Digest::of(b"another"))];
    let mut gateway = newer.clone();
    (gateway.seat.id, gateway.seat.role) = ("gateway".to_owned(), Role::Gateway);
    for one in [newer, other, gateway] {
        members.hear(one, Duration::ZERO);
    }
    let said: Vec<_> = members.list().iter().map(|m| m.misfit(&[js])).collect();
    let next = PROTOCOL + 1;
    assert_eq!(
        said,
        [
            None,
            Some(format!(
                "it speaks protocol {next} (neofn 9.0.0), this gateway {PROTOCOL}"
            )),
            Some("it has another engine for js (neofn 0)".to_owned()),
        ]
    );
    assert!(members.misfits(js).is_some());
    // one that is merely busy is worth waiting for
    let mut full = beat("full");
    full.running = 4;
    members.hear(full, Duration::ZERO);
    assert_eq!(members.misfits(js), None);
}

#[test]
fn a_worker_that_comes_back_under_its_name_has_lost_its_runs() {
    let mut members = Members::default();
    members.hear(beat("w1"), Duration::ZERO);
    let (id, gone) = members.choose("p/f", &engine(), &[]).unwrap();
    members.hear(beat("w1"), Duration::ZERO);
    assert!(!gone.is_cancelled(), "the same one says that it is still there");
    let mut anew = beat("w1");
    anew.seat.started_at = UnixMillis(1);
    assert!(
        members.hear(anew, Duration::ZERO).room,
        "there is a place for work again"
    );
    assert!(gone.is_cancelled(), "{id} is another process now");
    assert_eq!(members.list()[0].ours, 0);
}

#[test]
fn of_two_under_one_name_the_older_one_stays() {
    for older_first in [true, false] {
        let (old, mut new) = (beat("w1"), beat("w1"));
        new.seat.started_at = UnixMillis(5);
        new.seat.pid = 2;
        let order = match older_first {
            true => [&old, &new],
            false => [&new, &old],
        };
        let mut members = Members::default();
        let mut said = Vec::new();
        let second = Duration::from_secs(1);
        for n in 0..4 {
            for one in order {
                said.extend(members.hear(one.clone(), second * n).doubled);
            }
        }
        assert_eq!(said.len(), 1, "it is said once: {said:?}");
        assert!(
            said[0].contains("h pid 1 and, started later, h pid 2"),
            "{said:?}"
        );
        let (_, gone) = members.choose("p/f", &engine(), &[]).unwrap();
        members.hear(new.clone(), second * 4);
        assert!(!gone.is_cancelled(), "the newer one takes nothing away");
        assert_eq!(members.list()[0].beat.seat.pid, 1);
        assert_eq!(members.list()[0].doubled(), Some(said[0].clone()));
        // the newer one ends, and it is over
        members.hear(old.clone(), second * 8);
        members.sweep(second * 8);
        assert_eq!(members.list()[0].doubled(), None);
        assert!(!gone.is_cancelled());
    }
}

#[test]
fn the_silent_are_gone() {
    let mut members = three();
    let held: HashMap<_, _> = members
        .list()
        .into_iter()
        .map(|m| (m.beat.seat.id, m.gone))
        .collect();
    members.hear(beat("b"), Duration::from_secs(3));
    let gone: HashSet<_> = members.sweep(Duration::from_secs(4)).silent.into_iter().collect();
    assert_eq!(gone, HashSet::from(["a".to_owned(), "c".to_owned()]));
    assert!(held["a"].is_cancelled() && !held["b"].is_cancelled());
    assert!(!members.lose("a"), "it was gone already");
}

#[test]
fn who_has_no_sandbox_or_gives_no_answers_gets_nothing() {
    let mut members = Members::default();
    let bare = Beat {
        sandboxes: RuntimeStatus::default(),
        ..beat("a")
    };
    members.hear(bare, Duration::ZERO);
    assert!(members.choose("p/f", &engine(), &[]).is_none());
    assert_eq!(
        members.get("a").unwrap().idle(),
        Some("no sandbox process is there")
    );
    assert!(members.hear(beat("a"), Duration::ZERO).room);
    assert!(members.choose("p/f", &engine(), &[]).is_some());
    for n in 1..=FAULTS_MAX {
        assert_eq!(members.ran("a", false, Duration::ZERO), n == FAULTS_MAX);
    }
    assert!(members.choose("p/f", &engine(), &[]).is_none());
    members.hear(beat("a"), REST);
    assert!(members.sweep(REST).rested);
    assert!(members.choose("p/f", &engine(), &[]).is_some());
    assert!(members.ran("a", false, REST), "one more decides");
    members.ran("a", true, REST);
    for _ in 0..FAULTS_MAX {
        members.ran("a", false, REST);
    }
    members.listen(REST);
    assert!(members.choose("p/f", &engine(), &[]).is_some());
}

#[test]
fn who_is_not_listened_for_is_gone_after_a_while_unless_it_is_heard() {
    let mut members = three();
    let at = |ms| Duration::from_millis(ms);
    assert!(!members.unheeded("a", at(0)) && !members.unheeded("a", at(1_900)));
    assert!(members.answered("a") && !members.answered("a"));
    assert!(!members.unheeded("a", at(2_100)));
    assert_eq!(members.in_use(), ["a"], "it is asked after");
    assert!(members.hear(beat("a"), at(2_200)).room);
    assert!(!members.unheeded("a", at(2_300)));
    assert!(members.unheeded("a", at(4_300)) && members.get("a").is_none());
}
