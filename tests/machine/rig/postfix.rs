//! Postfix: its listener, how its log tells of a delivery, its queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::agent::{Agent, Answer, Event, first_words};
use super::{Machine, text};

/// Postfix with one type of map.
#[derive(Debug)]
pub(crate) struct Postfix {
    /// `hash`, `btree`, `lmdb` or `cdb`.
    pub(crate) kind: &'static str,
}

impl Agent for Postfix {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn user(&self) -> &'static str {
        "nobody"
    }

    fn configure(&self, run: &Path, port: u16) {
        let master = run.join("etc/postfix/master.cf");
        let mut services = fs::read_to_string(&master).unwrap();
        services += &format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        fs::write(&master, services).unwrap();
        let main = run.join("etc/postfix/main.cf");
        let settings = fs::read_to_string(&main).unwrap();
        let of_this_kind = format!("{}:/etc/aliases", self.kind);
        fs::write(&main, settings.replace("hash:/etc/aliases", &of_this_kind)).unwrap();
    }

    fn start(&self, machine: &Machine) {
        machine.expect("newaliases");
        machine.expect("postfix start");
    }

    fn rebuild(&self, machine: &Machine) {
        machine.expect("newaliases");
    }

    fn queue_id(&self, reply: &str) -> Option<String> {
        let (_, id) = reply.rsplit_once("queued as ")?;
        Some(id.to_owned())
    }

    fn event(&self, line: &str, id: &str) -> Option<Event> {
        let (_, rest) = line.split_once(&format!("{id}: to="))?;
        let (_, status) = rest.split_once("status=")?;
        match status.split(' ').next()? {
            "sent" => {
                let command = status.split_once("(delivered to command: ");
                let program = command.and_then(|(_, command)| command.split(' ').next());
                Some(Event::Delivered(program.map(str::to_owned)))
            }
            "deferred" => Some(Event::Deferred),
            "bounced" => Some(Event::Bounced),
            _ => None,
        }
    }

    fn bounce(&self) -> &'static str {
        "status=bounced"
    }

    /// One `postqueue -f` may not be enough: it passes over a message that is being tried, or
    /// that was logged as deferred and does not lie in that queue yet.
    fn retry(&self, machine: &Machine, id: Option<&str>) {
        let line = match id {
            Some(id) => format!("postqueue -i {id}"),
            None => "postqueue -f".to_owned(),
        };
        let _ = machine.command(&line).output().unwrap();
    }

    fn queue(&self, machine: &Machine) -> String {
        let output = machine.command("postqueue -j").output().unwrap();
        match output.status.success() {
            true => text(&output.stdout),
            false => text(&output.stderr),
        }
    }

    fn look_up(&self, machine: &Machine, name: &str) -> Answer {
        let line = format!("postalias -q {name} {}:/etc/aliases", self.kind);
        let output = machine.command(&line).output().unwrap();
        let said = text(&output.stderr);
        match output.status.code() {
            Some(0) => Answer::Found(text(&output.stdout).trim_end().to_owned()),
            Some(1) if said.is_empty() => Answer::Missing(String::new()),
            _ => Answer::Trouble(said),
        }
    }

    fn idle_tool(&self) -> Option<&'static str> {
        Some("postalias -q nothing static:nothing")
    }

    fn names(&self, machine: &Machine) -> Option<BTreeSet<String>> {
        // "sequence operation is not supported".
        if self.kind == "cdb" {
            return None;
        }
        let line = format!("postalias -s {}:/etc/aliases", self.kind);
        let output = machine.command(&line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        let mut names = first_words(&text(&output.stdout));
        // When and where the map was made, and the mark that it is whole.
        names.retain(|name| !name.starts_with("YP_") && name != "@");
        Some(names)
    }

    fn fields(&self) -> &'static [&'static str] {
        &[
            "Return-Path:",
            "X-Original-To:",
            "Delivered-To:",
            "Received:",
        ]
    }
}
