//! Whether the trees live and handle what they take.
//!
//! **Invariants.** What could not be looked at is UNKNOWN.

use crate::admin::outcome::typed;
use crate::admin::signs::{self, Of, Sign};
use crate::finding::{Finding, Kind, Mend, Quoted, Severity, Spot};
use crate::parity::{FutureState, Parity, Role};
use crate::site::Site;
use crate::tree::Tree;

pub(super) fn look(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    let Some(current) = site.config.tree(&parity.roles.current) else {
        return;
    };
    of_tree(site, parity, Role::Current, current, findings);
    let Some(future) = site.config.other_tree(&current.name) else {
        return;
    };
    if parity.roles.future_state == FutureState::Ready {
        of_tree(site, parity, Role::Future, future, findings);
        findings.extend(shared(site, parity, current, future));
    }
}

fn of_tree(site: &Site, parity: &Parity, role: Role, tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(signs) = signs::look(site, parity, role, tree) else {
        return;
    };
    let serves = role == Role::Current || !parity.on_future.is_empty();
    // Whether its programs can be run `trees` tries.
    for sign in signs
        .all()
        .into_iter()
        .filter(|sign| sign.of != Of::Program)
    {
        let spot = match &sign.place {
            Some(place) => Spot::file(place),
            None => Quoted::read(&site.path).spot(&tree.root.to_string_lossy()),
        };
        let kind = (sign.of.kind(), severity(&sign, role, serves));
        let effect = effect(&sign, serves);
        let mend = match (role, sign.is_known) {
            (Role::Future, true) if serves => format!(
                "{}; until then: {}",
                sign.mend,
                typed(site, "downgrade --all")
            ),
            _ => sign.mend,
        };
        findings.push(Finding::new(
            kind,
            format!("tree {} {}", tree.name, sign.what),
            spot,
            effect,
            Mend::Do(mend),
        ));
    }
}

fn severity(sign: &Sign, role: Role, serves: bool) -> Severity {
    match (sign.of, role) {
        _ if !sign.is_known => Severity::Unknown,
        _ if !serves => Severity::Warning,
        // Every list manager puts a message aside now and then; a new release has to explain it.
        (Of::Shunted, Role::Current) => Severity::Warning,
        _ => Severity::Critical,
    }
}

fn effect(sign: &Sign, serves: bool) -> &'static str {
    match (sign.of, sign.is_known) {
        (_, false) => "whether it is handled once the tree took it cannot be told",
        (Of::Shunted, true) => "the tree took these messages (0), and nobody gets them",
        (Of::Life | Of::Queue | Of::Program, true) if serves => {
            "the tree takes it (0), and it waits there: no MTA tells the sender"
        }
        (Of::Life | Of::Queue | Of::Program, true) => {
            "none waits: no list is on this tree; none could move there"
        }
    }
}

/// Two trees with runners on one queue: any of them takes any list's message.
fn shared(site: &Site, parity: &Parity, current: &Tree, future: &Tree) -> Option<Finding> {
    let severity = match parity.on_future.is_empty() {
        true => Severity::Warning,
        false => Severity::Critical,
    };
    Some(Finding::new(
        (Kind::Queue, severity),
        signs::shared(site, current, future)?,
        Quoted::read(&site.path).spot(&future.root.to_string_lossy()),
        "it is handled by the tree whose runner comes first, whatever tree its list is on",
        Mend::Do(signs::apart(future)),
    ))
}
