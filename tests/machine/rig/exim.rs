//! Exim: its port, how its log tells of a delivery, its queue. It reads the alias text itself.

use std::collections::BTreeSet;
use std::path::Path;

use super::agent::{Agent, Answer, Event};
use super::{HOST, Machine, text};

/// Exim, with Debian's configuration.
#[derive(Debug)]
pub(crate) struct Exim;

impl Agent for Exim {
    fn name(&self) -> &'static str {
        "exim"
    }

    /// What the root's `SYSTEM_ALIASES_USER` says.
    fn user(&self) -> &'static str {
        "list"
    }

    fn log(&self) -> &'static str {
        "/var/log/exim4/mainlog"
    }

    /// The port is an argument.
    fn configure(&self, _: &Path, _: u16) {}

    fn start(&self, machine: &Machine) {
        let port = machine.port;
        machine.start_daemon(&format!("exim4 -bdf -oX 127.0.0.1:{port}"));
    }

    fn rebuild(&self, _: &Machine) {}

    fn queue_id(&self, reply: &str) -> Option<String> {
        let (_, id) = reply.rsplit_once("OK id=")?;
        Some(id.to_owned())
    }

    fn event(&self, line: &str, id: &str) -> Option<Event> {
        let (_, rest) = line.split_once(&format!(" {id} "))?;
        let (mark, rest) = rest.split_once(' ')?;
        match mark {
            "=>" => {
                let command = rest.strip_prefix('|');
                let program = command.and_then(|command| command.split(' ').next());
                Some(Event::Delivered(program.map(str::to_owned)))
            }
            "==" => Some(Event::Deferred),
            "**" => Some(Event::Bounced),
            _ => None,
        }
    }

    fn bounce(&self) -> &'static str {
        " ** "
    }

    fn retry(&self, machine: &Machine, id: Option<&str>) {
        let line = match id {
            Some(id) => format!("exim4 -M {id}"),
            None => "exim4 -qff".to_owned(),
        };
        let _ = machine.command(&line).output().unwrap();
    }

    fn queue(&self, machine: &Machine) -> String {
        text(&machine.command("exim4 -bp").output().unwrap().stdout)
    }

    fn look_up(&self, machine: &Machine, name: &str) -> Answer {
        let line = format!("exim4 -bt {name}@{HOST}");
        let output = machine.command(&line).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let said = said.trim_end().to_owned();
        match output.status.code() {
            Some(0) => Answer::Found(said),
            Some(2) => Answer::Missing(said),
            _ => Answer::Trouble(said),
        }
    }

    fn idle_tool(&self) -> Option<&'static str> {
        Some("exim4 -bV")
    }

    /// The text is all it has.
    fn names(&self, _: &Machine) -> Option<BTreeSet<String>> {
        None
    }

    fn fields(&self) -> &'static [&'static str] {
        &["Received:"]
    }

    fn tail(&self) -> &'static [u8] {
        b"\n"
    }
}
