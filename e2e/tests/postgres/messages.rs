//! The same work by message: half of it into the stream of jobs and as NATS requests, with a client that we did not write.
//! What the stream acknowledged must have one invocation, and one result that is said once.

use crate::client::Client;
use crate::kills::{ALL_ENDED, History};
use neofn_testkit::{NatsServer, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const WORK: &str = "function.result.demo.work.";

/// Numbers whose message the stream acknowledged.
pub type Sent = Mutex<Vec<usize>>;

/// Sends numbers as messages until there are `least` of all and `stop` is set; each under its own id until it is
/// acknowledged.
pub fn send(nats: &str, key: &str, history: &History, sent: &Sent, stop: &AtomicBool, least: usize) {
    let mut client = Client::connect_to(nats);
    loop {
        let n = history.next.fetch_add(1, Ordering::Relaxed);
        if n >= least && stop.load(Ordering::Relaxed) {
            return;
        }
        let (authorization, data) = (format!("Bearer {key}"), json!({"n": n}).to_string());
        let headers = json!({"Nats-Msg-Id": format!("demo.work.m{n}"), "Authorization": authorization});
        let later =
            json!({"Nats-Msg-Id": format!("m{n}"), "Authorization": authorization, "Neofn-Mode": "async"});
        eventually("it is acknowledged", ALL_ENDED, || {
            // straight into the stream, and by way of a gateway
            let taken = if n % 4 < 2 {
                let job =
                    json!({"do": "js", "subject": "jobs.js.demo.work", "data": data, "headers": headers});
                client.send(job)["stream"] == "JOBS"
            } else {
                let answer = request(&mut client, "function.js.demo.work", &data, &later);
                answer["body"]["status"] == "queued"
            };
            taken.then_some(())
        });
        sent.lock().unwrap().push(n);
        std::thread::sleep(history.pause);
    }
}

/// Calls by request until `stop`; what is no answer says that it may be tried again.
pub fn call(nats: &str, key: &str, history: &History, stop: &AtomicBool) {
    let mut client = Client::connect_to(nats);
    let headers = json!({"Authorization": format!("Bearer {key}")});
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let data = json!({"n": n}).to_string();
        let answer = request(&mut client, "function.js.demo.plain", &data, &headers);
        let count = if answer["body"]["success"] == true {
            assert_eq!(answer["body"]["result"], n, "{answer}");
            &history.good
        } else {
            // nobody was there, it was cut off, or it was told to come again
            let refused = answer["body"]["status"] == 503 && answer["headers"]["Retry-After"].is_string();
            assert!(answer["error"].is_string() || refused, "{answer}");
            &history.again
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A gateway that was killed answers nothing.
fn request(client: &mut Client, subject: &str, data: &str, headers: &Value) -> Value {
    client.send(json!({"do": "request", "subject": subject, "data": data, "headers": headers, "timeout": 10}))
}

/// Which server leads the stream of jobs, by its number.
pub fn stream_leader(client: &mut Client) -> usize {
    eventually("the stream has a leader", ALL_ENDED, || {
        let info = client.request("$JS.API.STREAM.INFO.JOBS", "", json!({}));
        let name = info["body"]["cluster"]["leader"].as_str()?;
        name.strip_prefix('n')?.parse().ok()
    })
}

/// Each message has had its result said, once; adds their invocations to those that were accepted.
pub fn check(nats: &NatsServer, history: &History, sent: &Sent) {
    let mut client = Client::connect(nats);
    let sent = sent.lock().unwrap();
    let filter = json!({"subjects_filter": format!("{WORK}*")}).to_string();
    let said: BTreeMap<String, u64> = eventually("all results are said", ALL_ENDED, || {
        let info = client.request("$JS.API.STREAM.INFO.RESULTS", &filter, json!({}));
        let said: BTreeMap<String, u64> =
            serde_json::from_value(info["body"]["state"]["subjects"].clone()).ok()?;
        (said.len() >= sent.len()).then_some(said)
    });
    assert_eq!(said.len(), sent.len(), "results of what nobody sent");
    let mut accepted = history.accepted.lock().unwrap();
    for n in sent.iter() {
        let subject = format!("{WORK}m{n}");
        assert_eq!(said.get(&subject), Some(&1), "{subject}");
        let kept: Value = eventually("a result is read", ALL_ENDED, || {
            let kept = client.send(json!({"do": "last", "stream": "RESULTS", "subject": subject}));
            kept["body"].is_object().then(|| kept["body"].clone())
        });
        assert_eq!(
            (&kept["status"], &kept["result"]),
            (&json!("succeeded"), &json!(n)),
            "{kept}"
        );
        accepted.insert(*n, kept["id"].as_str().unwrap().to_owned());
    }
    println!("{} by message, each result said once", sent.len());
}
