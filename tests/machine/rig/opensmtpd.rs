//! OpenSMTPD: its port and table, how its log tells of a delivery, its queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::agent::{Agent, Answer, Event, first_words};
use super::{HOST, Machine, text};

/// OpenSMTPD with one type of table.
#[derive(Debug)]
pub(crate) struct OpenSmtpd {
    /// `file` or `db`.
    pub(crate) table: &'static str,
}

impl Agent for OpenSmtpd {
    fn name(&self) -> &'static str {
        "opensmtpd"
    }

    fn user(&self) -> &'static str {
        "opensmtpd"
    }

    fn configure(&self, run: &Path, port: u16) {
        let file = run.join("etc/smtpd.conf");
        let table = match self.table {
            "db" => "db:/etc/aliases.db",
            _ => "file:/etc/aliases",
        };
        let settings = fs::read_to_string(&file).unwrap();
        let with_port = settings.replace("port 25", &format!("port {port}"));
        assert_ne!(settings, with_port, "no port in smtpd.conf");
        fs::write(&file, with_port.replace("file:/etc/aliases", table)).unwrap();
    }

    fn start(&self, machine: &Machine) {
        self.build(machine);
        // In the foreground, or it logs to syslog alone; -v: why a delivery failed.
        machine.start_daemon("smtpd -d -v");
    }

    fn rebuild(&self, machine: &Machine) {
        self.build(machine);
        machine.expect("smtpctl update table aliases");
    }

    fn log(&self) -> &'static str {
        "/var/log/smtpd.out"
    }

    fn queue_id(&self, reply: &str) -> Option<String> {
        let (before, _) = reply.split_once(" Message accepted for delivery")?;
        before.rsplit(' ').next().map(str::to_owned)
    }

    fn event(&self, line: &str, id: &str) -> Option<Event> {
        // An envelope's id begins with its message's.
        let (_, rest) = line.split_once(&format!(" evpid={id}"))?;
        let (_, result) = rest.split_once(" result=")?;
        match result.split(' ').next()? {
            "Ok" => Some(Event::Delivered(None)),
            "TempFail" => Some(Event::Deferred),
            _ => Some(Event::Bounced),
        }
    }

    fn bounce(&self) -> &'static str {
        "result=PermFail"
    }

    fn retry(&self, machine: &Machine, id: Option<&str>) {
        let line = format!("smtpctl schedule {}", id.unwrap_or("all"));
        let _ = machine.command(&line).output().unwrap();
    }

    fn queue(&self, machine: &Machine) -> String {
        let output = machine.command("smtpctl show queue").output().unwrap();
        match output.status.success() {
            true => text(&output.stdout),
            false => text(&output.stderr),
        }
    }

    /// It has no tool for this: its daemon is asked.
    fn look_up(&self, machine: &Machine, name: &str) -> Answer {
        let asked = machine.connect().ask(&format!("{name}@{HOST}")).unwrap();
        let said = format!("{} {}", asked.code, asked.text);
        match asked.code {
            250 => Answer::Found(said),
            550 => Answer::Missing(said),
            _ => Answer::Trouble(said),
        }
    }

    fn idle_tool(&self) -> Option<&'static str> {
        None
    }

    fn names(&self, machine: &Machine) -> Option<BTreeSet<String>> {
        if self.table != "db" {
            return None;
        }
        let line = "makemap -U /etc/aliases.db";
        let output = machine.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        Some(first_words(&text(&output.stdout)))
    }

    fn has_from_line(&self) -> bool {
        false
    }

    fn fields(&self) -> &'static [&'static str] {
        &["Return-Path:", "Delivered-To:", "Received:"]
    }
}

impl OpenSmtpd {
    fn build(&self, machine: &Machine) {
        if self.table == "db" {
            machine.expect("makemap -t aliases -o /etc/aliases.db /etc/aliases");
        }
    }
}
