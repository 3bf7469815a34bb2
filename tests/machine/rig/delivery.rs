//! What arrived: one message as a tree's program got it, and the spools of both trees.

use std::collections::BTreeMap;
use std::fs;

use super::{Machine, sender};

/// One message as a tree's program got it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
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
                found.push((name, Delivery::parse(tree, &fs::read(&path).unwrap())));
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
    fn parse(tree: &'static str, file: &[u8]) -> Delivery {
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
            tree,
            argv,
            environment,
            user,
            stdin: rest.to_vec(),
        }
    }

    /// The message without what Postfix put before it: the From_ line and its own fields.
    pub(crate) fn message(&self) -> &[u8] {
        let mut rest = self.stdin.as_slice();
        let from = format!("From {} ", sender());
        assert!(rest.starts_with(from.as_bytes()), "no From_ line");
        rest = after_line(rest);
        for field in [
            "Return-Path:",
            "X-Original-To:",
            "Delivered-To:",
            "Received:",
        ] {
            assert!(rest.starts_with(field.as_bytes()), "{field} is missing");
            rest = after_line(rest);
            while rest.starts_with(b"\t") {
                rest = after_line(rest);
            }
        }
        rest
    }
}

fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap();
    &bytes[end + 1..]
}
