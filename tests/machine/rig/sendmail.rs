//! Sendmail: its port, its syslogd, how its log tells of a delivery, its queue.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::agent::{Agent, Answer, Event, first_words};
use super::{HOST, Machine, PATIENCE, text};

/// The program itself: `/usr/sbin/sendmail` is Debian's choice of an MTA.
const SENDMAIL: &str = "/usr/libexec/sendmail/sendmail";

/// Sendmail, with Debian's map.
#[derive(Debug)]
pub(crate) struct Sendmail;

impl Agent for Sendmail {
    fn name(&self) -> &'static str {
        "sendmail"
    }

    fn user(&self) -> &'static str {
        "mail"
    }

    fn configure(&self, run: &Path, port: u16) {
        for file in ["sendmail.cf", "smrsh.cf"] {
            let path = run.join("etc/mail").join(file);
            let settings = fs::read_to_string(&path).unwrap();
            let with_port = settings.replace("Port=PORT", &format!("Port={port}"));
            assert_ne!(settings, with_port, "no port in {file}");
            fs::write(&path, with_port).unwrap();
        }
    }

    fn start(&self, machine: &Machine) {
        // It can log nowhere else, and what is logged before is lost.
        machine.start_daemon("busybox syslogd -n -O /var/log/mail.log");
        let start = Instant::now();
        while !machine.path("/dev/log").exists() {
            assert!(start.elapsed() < PATIENCE, "no syslogd");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.rebuild(machine);
        machine.expect(&format!("{SENDMAIL} -Am -L sm-mta -bd"));
    }

    fn rebuild(&self, machine: &Machine) {
        machine.expect("newaliases");
    }

    fn queue_id(&self, reply: &str) -> Option<String> {
        let (before, _) = reply.split_once(" Message accepted for delivery")?;
        before.rsplit(' ').next().map(str::to_owned)
    }

    fn event(&self, line: &str, id: &str) -> Option<Event> {
        let (_, rest) = line.split_once(&format!(" {id}: to="))?;
        let (code, status) = rest.split_once(" stat=")?;
        if status.starts_with("Sent") {
            let command = rest.strip_prefix("\"|").or_else(|| rest.strip_prefix('|'));
            let program = command.and_then(|command| command.split([' ', '"', ',']).next());
            Some(Event::Delivered(program.map(str::to_owned)))
        } else if status.starts_with("queued") || code.contains(" dsn=4.") {
            // Not always in so many words: "Operating system error" waits, too.
            Some(Event::Deferred)
        } else {
            Some(Event::Bounced)
        }
    }

    fn bounce(&self) -> &'static str {
        ": DSN: "
    }

    fn retry(&self, machine: &Machine, id: Option<&str>) {
        let line = match id {
            Some(id) => format!("{SENDMAIL} -Am -qI{id}"),
            None => format!("{SENDMAIL} -Am -q"),
        };
        let _ = machine.command(&line).output().unwrap();
    }

    fn queue(&self, machine: &Machine) -> String {
        let line = format!("{SENDMAIL} -Am -bp");
        let said = text(&machine.command(&line).output().unwrap().stdout);
        match said.contains("Total requests: 0") {
            true => String::new(),
            false => said,
        }
    }

    fn look_up(&self, machine: &Machine, name: &str) -> Answer {
        let line = format!("{SENDMAIL} -Am -bv {name}@{HOST}");
        let output = machine.command(&line).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let said = said.trim_end().to_owned();
        // A map that is renamed between its open and its fstat is opened once more: the answer is
        // right, and the status tells of the first open.
        let is_twice = said.contains("file changed after open");
        if said.contains("User unknown") {
            Answer::Missing(said)
        } else if (output.status.success() || is_twice) && said.contains("deliverable") {
            Answer::Found(said)
        } else {
            Answer::Trouble(said)
        }
    }

    /// Its standard input has nothing to be tested.
    fn idle_tool(&self) -> Option<&'static str> {
        Some("/usr/libexec/sendmail/sendmail -Am -bt")
    }

    fn names(&self, machine: &Machine) -> Option<BTreeSet<String>> {
        let line = "makemap -u hash /etc/mail/aliases";
        let output = machine.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        let mut names = first_words(&text(&output.stdout));
        // The mark that it is whole.
        names.remove("@");
        Some(names)
    }

    fn fields(&self) -> &'static [&'static str] {
        &["Received:"]
    }
}
