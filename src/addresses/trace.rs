//! The whole way of an address, from alias to argv, and why.
//!
//! **Invariants.** Changes nothing, runs nothing; text of files stands in it escaped.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::earlier::{self, Has};
use super::error::some_of;
use super::expansion::{self, End, Step};
use super::found::Found;
use super::leads::Leads;
use super::pipe::Trees;
use super::refusal::Refusal;
use super::{include, known, source};
use crate::list::{ListName, Verb};
use crate::parity::{Parity, Role};
use crate::tree::Tree;

/// What was found out about an address.
#[derive(Debug)]
pub(super) struct Traced {
    /// The local part that was looked up, lower case.
    local: String,
    /// A domain that was cut off, and is none that this site knows.
    foreign: Option<String>,
    steps: Vec<Step>,
    near: Vec<String>,
    /// What Postfix asks before it comes here: a sentence for each map.
    earlier: Vec<String>,
}

/// Follows `address`; its domain is the MTA's matter and is cut.
pub(super) fn trace(trees: &Trees<'_>, found: &Found, address: &str) -> Traced {
    let foreign = address
        .split_once('@')
        .map(|(_, domain)| domain.to_ascii_lowercase())
        .filter(|domain| !is_known(trees, found, domain));
    let local = address
        .split('@')
        .next()
        .unwrap_or(address)
        .to_ascii_lowercase();
    let steps = expansion::expand(found, &local);
    let near = match steps[..] {
        [] => expansion::near(found, &local),
        _ => Vec::new(),
    };
    let earlier = earlier(trees, found, &local, &steps);
    Traced {
        local,
        foreign,
        steps,
        near,
        earlier,
    }
}

/// Where Postfix would look the names of the way up first, and what it would find.
fn earlier(trees: &Trees<'_>, found: &Found, local: &str, steps: &[Step]) -> Vec<String> {
    let names = || {
        let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for step in steps {
            names
                .entry(step.place.file)
                .or_default()
                .insert(step.name.clone());
        }
        let file = steps.first().map_or(0, |step| step.place.file);
        names.entry(file).or_default().insert(local.to_owned());
        names
    };
    let maps = earlier::maps(trees.site, found, names);
    let told = maps.iter().map(|map| {
        let wins = match map.has {
            Has::Names(_) => "; Postfix takes that, not what follows here",
            Has::Unasked | Has::Failed(_) => "; Postfix takes what it has, if it has the name",
        };
        format!("before this: {}{wins}", map.told(found))
    });
    told.collect()
}

/// Whether a tree has the domain, or a list that an entry is for.
fn is_known(trees: &Trees<'_>, found: &Found, domain: &str) -> bool {
    let mut of_trees = trees.site.config.trees.iter();
    let behind = format!("@{domain}");
    of_trees.any(|tree| tree.domain.as_deref() == Some(domain))
        || known::in_aliases(trees, found)
            .iter()
            .any(|list| list.as_str().ends_with(&behind))
}

/// What is assumed of a domain that nothing here says to be this site's.
fn assumed(domain: &str) -> String {
    format!(
        "assumed: the MTA takes {domain:?} as its own, and looks the local part up in the alias \
         files; site.toml has no such domain, and whether the MTA does is not looked at"
    )
}

impl Traced {
    /// Whether an alias has the address.
    pub(super) fn is_known(&self) -> bool {
        !self.steps.is_empty()
    }

    /// For people.
    pub(super) fn lines(&self, trees: &Trees<'_>, parity: &Parity, found: &Found) -> Vec<String> {
        let assumed = self.foreign.as_deref().map(assumed);
        if !self.is_known() {
            let mut lines = vec![format!("no such alias: {:?}", self.local)];
            lines.extend(assumed);
            lines.extend_from_slice(&self.earlier);
            if !self.near.is_empty() {
                lines.push(format!("near it: {}", self.near.join(", ")));
            }
            if trees.site.config.rcpt {
                let by_address = "by address, if the MTA hands it to mm-deliver: \
                                  mm-deliver --explain --rcpt ADDRESS";
                lines.push(by_address.to_owned());
            }
            return lines;
        }
        let mut lines = Vec::from_iter(assumed);
        lines.extend_from_slice(&self.earlier);
        for step in &self.steps {
            let indent = "  ".repeat(step.depth);
            let extension = match &step.extension {
                Some(extension) => format!("  (found without +{})", extension.escape_debug()),
                None => String::new(),
            };
            lines.push(format!(
                "{indent}{}: {}{extension}",
                found.shown(step.place),
                step.name
            ));
            if found.places(&step.name).len() > 1 {
                lines.push(format!(
                    "{indent}  the name stands more than once; MTAs differ in who wins"
                ));
            }
            for end in &step.ends {
                lines.push(format!("{indent}  -> {}", said(end)));
                let told = facts(trees, parity, end);
                lines.extend(
                    told.into_iter()
                        .map(|(key, value)| format!("{indent}     {key:<9}{value}")),
                );
            }
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self, trees: &Trees<'_>, parity: &Parity, found: &Found) -> Value {
        let mut steps = Vec::new();
        for step in &self.steps {
            let mut ends = Vec::new();
            for end in &step.ends {
                let mut row = json!({ "leads_to": said(end) });
                for (key, value) in facts(trees, parity, end) {
                    row[key] = Value::String(value);
                }
                ends.push(row);
            }
            steps.push(json!({
                "name": step.name,
                "extension": step.extension,
                "file": found.path(step.place).to_string_lossy(),
                "line": found.line(step.place),
                "destinations": ends,
            }));
        }
        json!({
            "format": 1,
            "address": self.local,
            "assumed": self.foreign.as_deref().map(assumed),
            "near": self.near,
            "earlier": self.earlier,
            "steps": steps,
        })
    }
}

fn said(end: &End) -> String {
    match end {
        End::Pipe(command) => format!("the program {:?}", String::from_utf8_lossy(command)),
        End::Alias(name) => format!("the alias {name:?}, below"),
        End::Loop(name) => format!("{name:?} again"),
        End::Mailbox(name) => format!("{name:?}, which no alias has: a mailbox of this host"),
        End::Outside(address) => format!("the address {address:?}"),
        End::File(path) => format!("the file {path:?}"),
        End::Include(path) => format!("what stands in the file {path:?}, which the MTA reads"),
        End::Verdict(words) => format!("what the MTA does itself: {words:?}"),
    }
}

type Facts = Vec<(&'static str, String)>;

/// What there is to say of a destination, fact by fact.
fn facts(trees: &Trees<'_>, parity: &Parity, end: &End) -> Facts {
    match end {
        End::Pipe(command) => leads(trees, parity, command),
        End::Include(path) => match include::programs(path.as_bytes(), source::dialect(trees.site))
        {
            Err(error) => vec![("why", format!("it cannot be read: {error}"))],
            Ok(programs) if programs.is_empty() => Vec::new(),
            Ok(programs) => {
                let commands = programs.iter().map(|program| &program.command);
                let commands: Vec<String> = commands
                    .map(|command| format!("{:?}", String::from_utf8_lossy(command)))
                    .collect();
                vec![
                    ("programs", some_of(&commands)),
                    (
                        "why",
                        "Postfix runs no program from such a file: that mail bounces".to_owned(),
                    ),
                ]
            }
        },
        End::Verdict(words) => vec![("why", verdict(words).to_owned())],
        _ => Vec::new(),
    }
}

/// What becomes of mail by the MTA's own words: Exim's, or `error:` with the reply of OpenSMTPD.
fn verdict(words: &str) -> &'static str {
    match words.split_once(' ').map_or(words, |(word, _)| word) {
        ":blackhole:" => "the mail is thrown away, and nobody is told",
        ":defer:" => "the mail waits",
        word if word.starts_with("error:4") => "the mail is refused for now, with this reply",
        word if word.starts_with("error:") => "the mail is refused, with this reply",
        _ => "the mail bounces, with this text",
    }
}

/// Where a command leads, fact by fact.
fn leads(trees: &Trees<'_>, parity: &Parity, command: &[u8]) -> Facts {
    let direct = |tree: &str, why: &str, list: &ListName| {
        vec![
            ("list", list.to_string()),
            ("tree", tree.to_owned()),
            ("why", why.to_owned()),
        ]
    };
    match trees.leads(command) {
        Leads::Us(verb, list) => ours(trees, parity, verb, &list),
        Leads::Refused(refusal @ Refusal::Says(_)) => {
            vec![("why", format!("{refusal}, and the mail is lost"))]
        }
        Leads::Refused(refusal) => vec![(
            "why",
            format!("mm-deliver refuses these words: {refusal}: mail waits (75)"),
        )],
        Leads::OtherSite(path) => vec![("why", format!("it goes by another site: {path:?}"))],
        Leads::Tree(tree, _, list) => direct(
            &tree,
            "it pipes straight into this tree, wherever the list is",
            &list,
        ),
        Leads::Shell(tree, list) => direct(
            &tree,
            "it pipes straight into this tree, by a command that only a shell understands",
            &list,
        ),
        Leads::Third(root, list) => {
            vec![
                ("list", list.to_string()),
                (
                    "why",
                    format!("it pipes into {root:?}, which is no tree of this site"),
                ),
            ]
        }
        Leads::Odd(tree, odd) => vec![
            ("tree", tree),
            ("why", format!("it pipes straight into this tree: {odd}")),
        ],
        Leads::Elsewhere => vec![("why", "it is no program of a list".to_owned())],
    }
}

fn ours(trees: &Trees<'_>, parity: &Parity, verb: Verb, list: &ListName) -> Facts {
    let mut facts = vec![("list", list.to_string()), ("verb", verb.to_string())];
    let Some((tree, profile)) = trees.of(parity, list) else {
        let why = match trees.home(parity, list) {
            Some(tree) => format!(
                "the profile of tree {} cannot be used: mail waits (75)",
                tree.name
            ),
            None => "site.toml has no tree for it: mail waits (75)".to_owned(),
        };
        facts.push(("why", why));
        return facts;
    };
    let (part, release, rule) = match parity.of(list) {
        Role::Current => (
            "current",
            &parity.roles.current_release,
            "is not in on_future",
        ),
        Role::Future => ("future", &parity.roles.future_release, "is in on_future"),
    };
    let file = trees.site.config.parity_file();
    facts.push(("tree", format!("{} ({part})", tree.name)));
    facts.push(("release", release.escape_debug().to_string()));
    facts.push((
        "rule",
        format!(
            "{list} {rule} of {file:?}, generation {}",
            parity.roles.generation
        ),
    ));
    if let Some(since) = parity.paused.get(list) {
        facts.push(("paused", format!("since {since}: mail waits (75)")));
    }
    let argv = trees.site.argv(tree, &profile.routing, verb, list);
    match argv.ok().flatten() {
        Some(argv) => {
            let program = argv.first().cloned().unwrap_or_default();
            let argv: Vec<String> = argv.iter().map(|word| format!("{word:?}")).collect();
            facts.push(("argv", argv.join(" ")));
            facts.extend(obstacle(trees, tree, &program).map(|why| ("but", why)));
        }
        None if trees.all().any(|(_, profile)| profile.routing.knows(verb)) => {
            facts.push((
                "why",
                "the list's tree has no such address: refused (67)".to_owned(),
            ));
        }
        None => facts.push(("why", "no tree knows the verb: mail waits (75)".to_owned())),
    }
    facts
}

/// Why the tree's program would not be run, as far as who asks can see.
fn obstacle(trees: &Trees<'_>, tree: &Tree, program: &str) -> Option<String> {
    let path = Path::new(program);
    match trees.site.trusted().check(path, Some(&tree.root)) {
        Err(fault) => Some(format!("{fault}: mail waits (75)")),
        Ok(checked) if checked.file.mode() & 0o111 == 0 => {
            Some(format!("{program:?} is not executable: mail waits (75)"))
        }
        Ok(_) => None,
    }
}
