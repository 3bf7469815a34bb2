//! The status as a page: who is on what, what is wrong, what to type next, what was done.
//!
//! **Invariants.** What comes from files and strangers is text, never markup (`page`).

use std::collections::BTreeSet;
use std::path::Path;

use maud::{Markup, html};

use super::View;
use crate::admin::check::doors;
use crate::admin::outcome::{Refused, lists};
use crate::clock::Timestamp;
use crate::finding::Finding;
use crate::list::ListName;
use crate::page::{Tone, badge, page};
use crate::parity::{FutureState, Role};
use crate::store::Entry;
use crate::tree::Tree;

/// So many deliveries that failed are told one by one.
const TROUBLES: usize = 10;
/// So many changes are shown, the newest first.
const CHANGES: usize = 20;

/// The page of a site whose status cannot be told.
pub(super) fn untold(path: &Path, refused: &Refused, when: &Timestamp) -> String {
    let title = "The status cannot be told";
    let body = html! {
        header {
            h1 { (title) }
            p { (path.display()) ", looked at " (time(&when.to_string())) }
        }
        main {
            section {
                h2 { "Trouble" }
                div class="card trouble" {
                    ul { @for reason in &refused.reasons { li { (reason) } } }
                    p { "Whether mail is delivered, and by which tree, is not known here. Where site.toml or parity.toml \
                         cannot be read, mail waits in the MTA's queue: mm-parity check says so." }
                }
            }
            @if !refused.hints.is_empty() {
                section {
                    h2 { "Next" }
                    div class="card" { ul { @for hint in &refused.hints { li { code { (hint) } } } } }
                }
            }
        }
        footer { "mm-deliver " (env!("CARGO_PKG_VERSION")) ": mm-parity status --format html" }
    };
    page(title, &body)
}

impl View<'_> {
    /// The page; `entries` is the history.
    pub(super) fn html(&self, chosen: &BTreeSet<ListName>, entries: &[Entry]) -> String {
        let headline = self.headline();
        let body = html! {
            header {
                h1 { (headline) }
                p {
                    (self.site.path.display()) ", change " (self.parity.roles.generation)
                    ", looked at " (time(&Timestamp::now().to_string()))
                }
            }
            main {
                (self.bar())
                (self.wrong())
                section {
                    h2 { "Trees" }
                    div class="cards" {
                        (self.tree(Role::Current, Some(self.current)))
                        (self.tree(Role::Future, self.future))
                    }
                }
                (self.next())
                (self.rows(chosen))
                (changes(entries))
            }
            footer { "mm-deliver " (env!("CARGO_PKG_VERSION")) ": mm-parity status --format html" }
        };
        page(&headline, &body)
    }

    /// Lists on both trees, where they can be counted.
    fn counted(&self) -> Option<(usize, usize)> {
        let known = self.known.as_ref().ok()?;
        known.enumerated.as_ref().ok()?;
        let ahead = self.parity.on_future.len();
        Some((known.lists.len().saturating_sub(ahead), ahead))
    }

    fn headline(&self) -> String {
        let roles = &self.parity.roles;
        let (here, there) = (
            format!(
                "{} {}",
                self.current.name,
                roles.current_release.escape_debug()
            ),
            self.future
                .map(|tree| format!("{} {}", tree.name, roles.future_release.escape_debug())),
        );
        match (self.counted(), there) {
            (Some((all, 0)), _) if all > 0 => {
                format!("{} on tree {here}", all_of(all))
            }
            (Some((0, ahead)), Some(there)) => {
                format!("{} on the future tree {there}", all_of(ahead))
            }
            (Some((behind, ahead)), Some(there)) => format!(
                "{ahead} of {} on the future tree {there}",
                lists(behind + ahead)
            ),
            (_, _) => match self.parity.on_future.len() {
                0 => format!("Tree {here} is current"),
                ahead => format!("{} on the future tree", lists(ahead)),
            },
        }
    }

    fn bar(&self) -> Markup {
        let Some((behind, ahead)) = self.counted() else {
            return html! { p { (self.count().trim_end()) } };
        };
        let percent = (ahead * 100).checked_div(behind + ahead).unwrap_or(0);
        html! {
            @if ahead > 0 {
                div class="bar" { span style={ "width: " (percent.max(1)) "%" } {} }
            }
            p { (self.count().trim_end()) }
        }
    }

    /// What is wrong, and what helps; the mail of a list that waits, where it is not that of many.
    fn wrong(&self) -> Markup {
        let mut wrong = self.wrong_with_trees();
        let waiting = self.waiting();
        let more = waiting.len().saturating_sub(TROUBLES);
        wrong.extend(waiting.into_iter().take(TROUBLES));
        if more > 0 {
            wrong.push(format!(
                "and {more} more such deliveries; the lists below are marked"
            ));
        }
        for (log, why) in &self.seen.unread {
            wrong.push(format!(
                "{log:?}: {why}; guarded deliveries are not counted"
            ));
        }
        html! {
            @if !wrong.is_empty() {
                section {
                    h2 { "Trouble" }
                    div class="card trouble" { ul { @for what in &wrong { li { (what) } } } }
                }
            }
        }
    }

    fn wrong_with_trees(&self) -> Vec<String> {
        let mut wrong: Vec<String> = Vec::new();
        let trees = [Some(self.current), self.future];
        for (tree, signs) in trees.into_iter().zip(&self.signs) {
            let (Some(tree), Some(signs)) = (tree, signs) else {
                continue;
            };
            let all = signs.all().into_iter();
            wrong
                .extend(all.map(|sign| format!("tree {} {}; {}", tree.name, sign.what, sign.mend)));
        }
        let mut found = Vec::new();
        doors::look(self.site, &mut found);
        wrong.extend(found.iter().map(Finding::in_short));
        wrong
    }

    /// Deliveries, the newest of each verb, whose message waits.
    fn waiting(&self) -> Vec<String> {
        let of_list = |list: &ListName| -> Vec<String> {
            let tally = self.tally(list).unwrap_or_default();
            let lines = tally.troubled();
            lines
                .map(|line| {
                    format!("{line}; the message waits in the MTA's queue, and is tried again")
                })
                .collect()
        };
        self.troubled().into_iter().flat_map(of_list).collect()
    }

    fn tree(&self, role: Role, tree: Option<&Tree>) -> Markup {
        let roles = &self.parity.roles;
        let (part, release, number) = match role {
            Role::Current => ("current", &roles.current_release, 0),
            Role::Future => ("future", &roles.future_release, 1),
        };
        let Some(tree) = tree else {
            return html! {
                div class="card" { h3 { (part) } p { "There is no second tree yet." } }
            };
        };
        let state = (role == Role::Future).then_some(roles.future_state);
        let count = self.counted().map(|(behind, ahead)| match role {
            Role::Current => behind,
            Role::Future => ahead,
        });
        html! {
            div class="card" {
                h3 { (part) " tree " (tree.name) }
                div class="release" {
                    @if release.is_empty() { "nothing recorded" } @else { (release) }
                }
                @if let Some(state) = state { (badge(tone(state), state.as_str())) }
                @if let Some(guarded) = self.guarded(tree) { (badge(Tone::Notice, guarded)) }
                @match self.alive(number) {
                    Some(true) => (badge(Tone::Good, "running")),
                    Some(false) => (badge(Tone::Bad, "not running")),
                    None => {},
                }
                @if let Some(count) = count { p { (lists(count)) } }
                p { code { (tree.root.display()) } }
            }
        }
    }

    /// What to type.
    fn next(&self) -> Markup {
        let ways = self.ways();
        html! {
            @if !ways.is_empty() {
                section {
                    h2 { "What to type" }
                    div class="card" {
                        dl {
                            @for (word, command) in &ways {
                                dt { (word.trim_end_matches(':')) }
                                dd { code { (command) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn rows(&self, chosen: &BTreeSet<ListName>) -> Markup {
        html! {
            @if !chosen.is_empty() {
                section {
                    h2 { "Lists" }
                    div class="card" {
                        table {
                            thead {
                                tr {
                                    th { "list" } th { "parity" } th { "release" } th { "since" }
                                    th class="number" { "delivered" }
                                    th class="number" { "deferred" }
                                    th { "remarks" }
                                }
                            }
                            tbody { @for list in chosen { (self.list(list)) } }
                        }
                    }
                    @if let Some(more) = self.left_out(chosen) { p { (more) } }
                }
            }
        }
    }

    fn list(&self, list: &ListName) -> Markup {
        let (tree, part, release) = self.standing(list);
        let tally = self.tally(list);
        let is_troubled = tally
            .as_ref()
            .is_some_and(|tally| tally.troubled().next().is_some());
        let number = |of: fn(&super::Tally) -> u64| tally.as_ref().map(of);
        html! {
            tr {
                td class="name" { (list.as_str()) }
                td data-label="parity" {
                    (badge(if part == "future" { Tone::Notice } else { Tone::Plain }, part))
                    @if is_troubled { (badge(Tone::Bad, "mail waits")) }
                    @if self.parity.paused.contains_key(list) { (badge(Tone::Bad, "paused")) }
                    @if self.parity.pinned.contains(list) { (badge(Tone::Plain, "pinned")) }
                }
                td class="nowrap" data-label="release" { (tree.name) " " (release) }
                td data-label="since" {
                    @if let Some(since) = self.since.get(list.as_str()) { (time(since)) }
                }
                td class="number" data-label="delivered" {
                    @if let Some(n) = number(|tally| tally.delivered) { (n) }
                }
                td class="number" data-label="deferred" {
                    @if let Some(n) = number(|tally| tally.deferred) { (n) }
                }
                td class="said" data-label="remarks" { (self.said_of(list)) }
            }
        }
    }

    /// The remarks that no other column has.
    fn said_of(&self, list: &ListName) -> String {
        const ELSEWHERE: [&str; 5] = [
            "since ",
            "delivered ",
            "deferred ",
            "pinned",
            "last trouble ",
        ];
        let mut remarks = self.remarks(list);
        remarks.retain(|remark| !ELSEWHERE.iter().any(|word| remark.starts_with(word)));
        remarks.join(", ")
    }

    /// That not all lists are shown, and which are.
    fn left_out(&self, chosen: &BTreeSet<ListName>) -> Option<String> {
        let known = self.known.as_ref().ok()?;
        let more = known.lists.difference(chosen).count();
        (more > 0).then(|| {
            let all = crate::admin::outcome::typed(self.site, "status --all --format html");
            format!("{} more, plainly on the current tree: {all}", lists(more))
        })
    }
}

fn all_of(count: usize) -> String {
    match count {
        1 => "The one list is".to_owned(),
        count => format!("All {count} lists are"),
    }
}

fn tone(state: FutureState) -> Tone {
    match state {
        FutureState::Ready => Tone::Good,
        FutureState::Broken => Tone::Bad,
        FutureState::Installing => Tone::Notice,
        FutureState::Empty | FutureState::Retired => Tone::Plain,
    }
}

fn time(when: &str) -> Markup {
    html! { time datetime=(when) { (when) } }
}

/// What was done, the newest first.
fn changes(entries: &[Entry]) -> Markup {
    let shown = entries.iter().rev().take(CHANGES);
    html! {
        @if !entries.is_empty() {
            section {
                h2 { "History" }
                div class="card" {
                    table {
                        thead { tr { th { "change" } th { "when" } th { "who" } th { "what" } } }
                        tbody {
                            @for entry in shown {
                                tr {
                                    td class="number" data-label="change" { (entry.generation) }
                                    td data-label="when" { (time(&entry.when)) }
                                    td data-label="who" { (entry.user) }
                                    td data-label="what" {
                                        code { (entry.command) }
                                        @if let Some(undone) = entry.undoes {
                                            " takes " (undone) " back"
                                        }
                                        @if let Some(reason) = &entry.reason {
                                            br; span class="said" { (reason) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
