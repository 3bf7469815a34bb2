//! A machine with a real MTA: a root of its own, one loopback port, no systemd.
//!
//! The root itself is made once per MTA (`root/make.sh`) and never changed. Each [`Machine`]
//! sees it through a mount namespace of its own with fresh copies of /etc, /run, /var and
//! /srv, and has a PID namespace of its own: when the machine is dropped, or the test is
//! killed, whatever ran in it ends and no mount is left behind.
//!
//! What differs between MTAs is told by an [`Agent`]; nothing else here knows which one runs.

/// What an MTA must tell of itself.
mod agent;
/// What the tree's program wrote down.
mod delivery;
/// Programs, trees, lists and aliases of a machine.
mod furniture;
/// The root, and what runs in it.
mod host;
/// The MTA's log.
mod log;
/// Sending, waiting, trying again.
mod mail;
/// The root, the copies of it, the namespaces.
mod namespace;

mod exim;
mod opensmtpd;
mod postfix;
mod sendmail;

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

pub(crate) use agent::{Agent, Answer, Event};
pub(crate) use delivery::Delivery;
pub(crate) use exim::Exim;
pub(crate) use furniture::{VERBS, account, deliver_program, programs, put};
pub(crate) use host::Host;
pub(crate) use namespace::{base, free_port, manager, source};
pub(crate) use opensmtpd::OpenSmtpd;
pub(crate) use postfix::Postfix;
pub(crate) use sendmail::Sendmail;

/// What every MTA calls itself.
pub(crate) const HOST: &str = "mx.lists.example";
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a test that fails prints of the machine's log: more would bury why it failed.
const LOG_LINES: usize = 40;

/// A running machine.
pub(crate) struct Machine {
    pub(crate) agent: &'static dyn Agent,
    host: Host,
    pub(crate) port: u16,
}

impl Machine {
    /// A machine whose aliases pipe straight into tree `a`, for these lists; Postfix runs,
    /// with Debian's type of map.
    pub(crate) fn new(lists: &[&str]) -> Machine {
        Machine::with(&Postfix { kind: "hash" }, lists)
    }

    /// As [`Machine::new`], with this MTA.
    pub(crate) fn with(agent: &'static dyn Agent, lists: &[&str]) -> Machine {
        Machine::on(agent, lists, None)
    }

    /// As [`Machine::with`], with a file system for /etc that can be filled: `size` as in
    /// mount's tmpfs. Its files are reached by [`Machine::inside`] alone.
    pub(crate) fn with_small_etc(agent: &'static dyn Agent, lists: &[&str], size: &str) -> Machine {
        Machine::on(agent, lists, Some(size))
    }

    fn on(agent: &'static dyn Agent, lists: &[&str], size: Option<&str>) -> Machine {
        let base = namespace::base(agent.name());
        Machine::furnished(agent, &base, size, |run| {
            furniture::install(run, agent, lists);
        })
    }

    /// A machine of this root, in which `furnish` puts what it has besides the MTA: it gets the
    /// directory that has the machine's own etc, run, var, srv and programs.
    pub(crate) fn furnished(
        agent: &'static dyn Agent,
        base: &Path,
        size: Option<&str>,
        furnish: impl FnOnce(&Path),
    ) -> Machine {
        let port = namespace::free_port();
        let host = Host::furnished(base, size, |run| {
            furnish(run);
            agent.configure(run, port);
        });
        let machine = Machine { agent, host, port };
        agent.start(&machine);
        machine
    }
}

impl Deref for Machine {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            println!("the machine's mail log ends so:\n{}", last.join("\n"));
        }
    }
}

/// The envelope sender of every message; a local user, so a bounce would be seen.
pub(crate) fn sender() -> String {
    format!("sender@{HOST}")
}

/// What a program said, as text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
