//! What arrived: one message as a tree's program got it, and the spools of both trees.

use std::collections::BTreeMap;
use std::fs;

use super::{Agent, Machine, sender};

/// The PATH that mm-deliver gives to a tree's program (src/handover.rs).
const OWN_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// One message as a tree's program got it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    agent: &'static dyn Agent,
    pub(crate) tree: &'static str,
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) user: (u32, u32),
    pub(crate) stdin: Vec<u8>,
}

impl Machine {
    /// Everything that arrived since the last call, oldest first; then it is gone.
    pub(crate) fn take(&self) -> Vec<Delivery> {
        let mut found = Vec::new();
        for tree in ["a", "b"] {
            let Ok(spool) = fs::read_dir(self.path(&format!("/srv/mailman/{tree}/spool"))) else {
                continue;
            };
            for entry in spool {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_owned();
                let partial = name.as_encoded_bytes().starts_with(b".");
                assert!(!partial, "half a message arrived: {path:?}");
                found.push((
                    name,
                    Delivery::parse(self.agent, tree, &fs::read(&path).unwrap()),
                ));
                fs::remove_file(path).unwrap();
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter().map(|(_, delivery)| delivery).collect()
    }

    /// As [`Machine::take`], of exactly one.
    #[track_caller]
    pub(crate) fn take_one(&self) -> Delivery {
        let mut found = self.take();
        assert_eq!(found.len(), 1, "messages arrived: {}", found.len());
        found.remove(0)
    }
}

impl Delivery {
    /// Reads what `tree.c` wrote.
    fn parse(agent: &'static dyn Agent, tree: &'static str, file: &[u8]) -> Delivery {
        let mut rest = file;
        let mut word = || {
            let end = rest.iter().position(|&b| b == 0).unwrap();
            let text = String::from_utf8(rest[..end].to_vec()).unwrap();
            rest = &rest[end + 1..];
            text
        };
        let argc = word().parse().unwrap();
        let argv = (0..argc).map(|_| word()).collect();
        let envc: usize = word().parse().unwrap();
        let environment = (0..envc)
            .map(|_| {
                let variable = word();
                let (name, value) = variable.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let user = (word().parse().unwrap(), word().parse().unwrap());
        Delivery {
            agent,
            tree,
            argv,
            environment,
            user,
            stdin: rest.to_vec(),
        }
    }

    /// Who handed it over, where the MTA's log does not tell: mm-deliver gives a tree a PATH
    /// of its own.
    pub(crate) fn ran_by(&self) -> Option<&str> {
        match self.environment.get("PATH")?.as_str() {
            OWN_PATH => Some("/usr/lib/mm-deliver/mm-deliver"),
            _ => self.argv.first().map(String::as_str),
        }
    }

    /// The message without what the MTA put round it: the From_ line, its own fields, and an
    /// empty line at the end.
    pub(crate) fn message(&self) -> &[u8] {
        let mut rest = self.stdin.as_slice();
        if self.agent.has_from_line() {
            let from = format!("From {} ", sender());
            assert!(rest.starts_with(from.as_bytes()), "no From_ line");
            rest = after_line(rest);
        }
        for field in self.agent.fields() {
            assert!(rest.starts_with(field.as_bytes()), "{field} is missing");
            rest = after_line(rest);
            while rest.starts_with(b"\t") {
                rest = after_line(rest);
            }
        }
        let tail = self.agent.tail();
        rest.strip_suffix(tail)
            .unwrap_or_else(|| panic!("{tail:?} is missing at the end"))
    }
}

fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap();
    &bytes[end + 1..]
}
