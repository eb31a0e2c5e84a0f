//! What `neofn dev` knows while it runs: what was sent, what ran last, and how to show it.

use super::{Embedded, Event};
use crate::cli::Global;
use crate::cli::chain::{SendHow, Transfer};
use crate::commands::chain::{send, show};
use crate::commands::{deploy, invoke, logs, replay, report};
use crate::context;
use crate::failure::Failure;
use crate::plan::{Plan, Sent};
use crate::project::Project;
use crate::render;
use crate::ui::{Tone, Ui};
use neofn_client::Client;
use neofn_node::SystemClock;
use neofn_types::{Clock as _, Code, FunctionKey, FunctionName, InvocationId, ProjectName, Version};
use neofn_wire::LogEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// How long the next block may take: longer than the longest time between blocks.
const BLOCK: Duration = Duration::from_secs(65);
/// How often the height is asked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// A project that runs.
pub struct Session {
    ui: Ui,
    root: PathBuf,
    project: Option<ProjectName>,
    client: Client,
    events: Sender<Event>,
    clock: SystemClock,
    sent: BTreeMap<FunctionKey, Sent>,
    /// Those whose newest files did not deploy.
    refused: BTreeSet<FunctionKey>,
    live: BTreeMap<FunctionKey, u32>,
    /// The function that was deployed or run last: what the keys mean.
    current: Option<FunctionKey>,
    /// The run that `r` replays.
    last: Option<(FunctionKey, InvocationId)>,
    /// Whether there is a chain.
    chain: bool,
}

impl Session {
    /// A session on an embedded node.
    pub fn new(
        global: &Global,
        ui: Ui,
        root: PathBuf,
        node: &Embedded,
        events: Sender<Event>,
    ) -> Result<Self, Failure> {
        let key = std::fs::read_to_string(&node.admin_key_file)
            .map_err(|e| Failure::file(&node.admin_key_file, "read", &e))?;
        Ok(Self {
            ui: ui.for_people(),
            root,
            project: global.project.clone(),
            client: context::client_of(global, node.url.clone(), Some(key.trim().to_owned()))?,
            events,
            clock: SystemClock::new(),
            sent: BTreeMap::new(),
            refused: BTreeSet::new(),
            live: BTreeMap::new(),
            current: None,
            last: None,
            chain: node.chain.is_some(),
        })
    }

    /// Puts an event back into the queue.
    pub fn later(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Deploys what differs from what was sent last; a mistake is shown, and what was live stays.
    pub fn deploy_changed(&mut self) {
        let project = match Project::read(&self.root) {
            Ok(project) => project,
            Err(failure) => return self.show(&failure),
        };
        if project.wants_chain() && !self.chain {
            self.ui.say(
                Tone::Warn,
                "this project asks for a chain: start `neofn dev` again to have one",
            );
        }
        let name = self
            .project
            .clone()
            .unwrap_or_else(|| project.manifest.project.clone());
        for function in project.manifest.functions.keys() {
            if let Err(failure) = self.deploy(&project, &name, function) {
                self.show(&failure);
            }
        }
    }

    fn show(&self, failure: &Failure) {
        report(&self.ui, failure);
    }

    fn deploy(
        &mut self,
        project: &Project,
        name: &ProjectName,
        function: &FunctionName,
    ) -> Result<(), Failure> {
        let began = self.clock.monotonic();
        let key = FunctionKey::new(name.clone(), function.clone());
        let request = deploy::request(project, function)?;
        let now = Sent::of(&request, 0);
        if self.sent.get(&key) == Some(&now) {
            return Ok(());
        }
        let changes = self
            .sent
            .get(&key)
            .map(|before| Plan::between(before, &now))
            .unwrap_or_default();
        // Remembered even when it is refused: the same mistake is not sent again until a file changes.
        self.sent.insert(key.clone(), now);
        self.refused.insert(key.clone());
        let answer = self.client.deploy(name, &request)?;
        self.refused.remove(&key);
        for warning in &answer.warnings {
            render::finding(&self.ui, warning);
        }
        let took = render::millis((self.clock.monotonic() - began).as_secs_f64() * 1_000.0);
        let version = answer.function.version;
        let url = format!("{}{}", self.client.url(), answer.function.url);
        // before it is said that the function is there: who invokes it then sees its log
        if self.live.insert(key.clone(), version).is_none() {
            self.follow(&key);
        }
        self.ui
            .say(Tone::Good, &format!("{key} version {version} in {took} {url}"));
        for change in changes {
            self.ui.say(Tone::Dim, &format!("  {change}"));
        }
        self.current = Some(key);
        Ok(())
    }

    /// Streams the log of a function into the queue of events, from what ran before we came: that one `r` replays.
    fn follow(&mut self, key: &FunctionKey) {
        let before = self.client.logs(key, 1).ok();
        let newest = before.as_ref().and_then(|list| list.logs.last());
        if let Some(id) = newest.and_then(|entry| entry.invocation_id.parse().ok()) {
            self.last = Some((key.clone(), id));
        }
        let mut follow = self.client.follow(key, before.and_then(|list| list.last));
        let (events, name) = (self.events.clone(), key.to_string());
        // Connected before anything can be invoked, so that nothing is missed.
        let connected = follow.connect();
        if let Err(error) = connected {
            return self.show(&error.into());
        }
        std::thread::spawn(move || {
            for entry in follow {
                // The node went away: so does this process.
                let Ok(entry) = entry else { return };
                if events
                    .send(Event::Logged(Box::new((name.clone(), entry))))
                    .is_err()
                {
                    return;
                }
            }
        });
    }

    /// Shows a run that ended.
    pub fn logged(&mut self, (name, entry): &(String, LogEvent)) {
        let tone = if entry.status == "succeeded" {
            Tone::Plain
        } else {
            Tone::Bad
        };
        self.ui.block(tone, &format!("{name} {}", logs::entry(entry)));
        let key = self.live.keys().find(|key| key.to_string() == *name).cloned();
        if let (Some(key), Ok(id)) = (key, entry.invocation_id.parse()) {
            self.current = Some(key.clone());
            self.last = Some((key, id));
        }
    }

    /// Replays the last run on the version that is live now.
    pub fn replay(&mut self) {
        let Some((key, id)) = &self.last else {
            return self.ui.note("nothing has run yet: i invokes");
        };
        if self.refused.contains(key)
            && let Some(version) = self.live.get(key)
        {
            let text = format!("the edited code of {key} did not deploy; this is version {version}");
            self.ui.say(Tone::Warn, &text);
        }
        match self.client.replay(id, self.live.get(key).map(|v| Version(*v))) {
            Ok(answer) => self.ui.block(Tone::Plain, &replay::difference(&answer)),
            Err(error) => self.show(&error.into()),
        }
    }

    /// Invokes the current function with its test event.
    pub fn invoke(&mut self) {
        let Some(key) = self.current.clone() else {
            return self.ui.note("nothing is deployed yet");
        };
        let project = Project::read(&self.root).ok();
        let test = project.and_then(|p| p.manifest.functions.get(&key.function)?.test.clone());
        let event = test.map_or_else(|| "null".to_owned(), |test| test.event.to_string());
        self.ui.say(Tone::Dim, &format!("{key} {event}"));
        match self.client.invoke(&key, event.as_bytes(), None) {
            // Its log lines come with the followed log.
            Ok(answer) => {
                self.ui.out(answer.result.get());
                self.ui
                    .say(Tone::Dim, &invoke::summary(&key.to_string(), &answer));
            }
            Err(error) => self.show(&error.into()),
        }
    }

    /// Sends 1 GAS from the first development account to the second, and waits until it has landed. What fires on it
    /// comes with the followed logs.
    pub fn transfer(&self) {
        if !self.chain {
            return self
                .ui
                .note("there is no chain: no function asks for one, and --dev-chain was not given");
        }
        if let Err(failure) = self.send_gas() {
            self.show(&failure);
        }
    }

    fn send_gas(&self) -> Result<(), Failure> {
        let project = Project::read(&self.root)?.manifest.project;
        let project = self.project.clone().unwrap_or(project);
        let to = second_account(&self.client)?;
        let sent = send::pay(&self.client, &project, &one_gas(&to))?;
        let Some(transaction) = sent.transaction else {
            return Ok(());
        };
        let ended = send::wait(&self.client, &transaction.id)?;
        self.ui.out(ended.hash.as_ref().unwrap_or(&ended.id));
        send::describe(&self.ui, &ended);
        Ok(())
    }

    /// Waits for the next block and shows it.
    pub fn next_block(&self) {
        if !self.chain {
            return self
                .ui
                .note("there is no chain: no function asks for one, and --dev-chain was not given");
        }
        let next = || -> Result<String, Failure> {
            let height = self.client.chain()?.height + 1;
            let deadline = self.clock.monotonic() + BLOCK;
            while self.client.chain()?.height < height {
                if self.clock.monotonic() > deadline {
                    return Ok(format!("block {height} has not come within a minute"));
                }
                std::thread::sleep(LOOK);
            }
            Ok(show::block(&self.client.block(height)?))
        };
        match next() {
            Ok(text) => self.ui.block(Tone::Plain, &text),
            Err(failure) => self.show(&failure),
        }
    }
}

/// Who gets the transfers: the second account of the development wallet.
fn second_account(client: &Client) -> Result<String, Failure> {
    let none = || {
        Failure::new(
            Code::DevChainFailed,
            "the development chain has no second account",
            "",
        )
    };
    let wallet = PathBuf::from(client.chain()?.wallet.ok_or_else(none)?);
    let text = std::fs::read_to_string(&wallet).map_err(|e| Failure::file(&wallet, "read", &e))?;
    let wallet: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let address = wallet.pointer("/accounts/1/address").and_then(|a| a.as_str());
    address.map(str::to_owned).ok_or_else(none)
}

fn one_gas(to: &str) -> Transfer {
    Transfer {
        how: SendHow {
            account: None,
            gas: None,
            dry_run: false,
            operator: false,
            no_wait: false,
            cosigners: Vec::new(),
            idempotency_key: None,
        },
        to: to.to_owned(),
        amount: "1".to_owned(),
        token: "GAS".to_owned(),
    }
}
