//! The status for people: a line for each tree and each list, what is wrong, what to type next.
//!
//! **Invariants.** What comes from files and strangers is escaped.

use std::collections::BTreeSet;

use super::View;
use crate::admin::aliases::Known;
use crate::admin::check::doors;
use crate::admin::init;
use crate::admin::outcome::lists;
use crate::admin::retired::Retired;
use crate::list::ListName;

impl View<'_> {
    pub(super) fn text(&self, chosen: &BTreeSet<ListName>) -> String {
        let roles = &self.parity.roles;
        let mut rows = vec![
            vec![
                "system".to_owned(),
                "current".to_owned(),
                self.current.name.clone(),
                roles.current_release.escape_debug().to_string(),
                words([self.guarded(self.current), self.running(0)]),
            ],
            vec![
                String::new(),
                "future".to_owned(),
                self.future
                    .map_or_else(|| "none".to_owned(), |tree| tree.name.clone()),
                roles.future_release.escape_debug().to_string(),
                words([
                    Some(roles.future_state.as_str()),
                    self.future.and_then(|tree| self.guarded(tree)),
                    self.running(1),
                ]),
            ],
        ];
        for list in chosen {
            let (tree, part, release) = self.standing(list);
            rows.push(vec![
                list.to_string(),
                part.to_owned(),
                tree.name.clone(),
                release.escape_debug().to_string(),
                self.remarks(list).join(", "),
            ]);
        }
        let mut text = columns(&rows);
        text += &self.troubles();
        for line in self.retired.iter().flat_map(Retired::lines) {
            text += &format!("note: {line}\n");
        }
        text += &self.count();
        if let Some(refused) = init::refused(self.site, self.current) {
            text += &format!("note: {refused}\n");
        }
        for (log, why) in &self.seen.unread {
            text += &format!("note: {log:?}: {why}; guarded deliveries are not counted\n");
        }
        let mut doors = Vec::new();
        doors::look(self.site, &mut doors);
        for finding in doors {
            text += &format!("trouble: {}\n", finding.in_short());
        }
        for (word, command) in self.ways() {
            text += &format!("{word:<5} {command}\n");
        }
        text
    }

    /// What is wrong with the trees, a line each.
    fn troubles(&self) -> String {
        let trees = [Some(self.current), self.future]
            .into_iter()
            .zip(&self.signs);
        let mut text = String::new();
        for (tree, signs) in trees {
            let (Some(tree), Some(signs)) = (tree, signs) else {
                continue;
            };
            for sign in signs.all() {
                text += &format!("trouble: tree {} {}\n", tree.name, sign.what);
            }
        }
        text
    }

    pub(super) fn remarks(&self, list: &ListName) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(since) = self.since.get(list.as_str()) {
            remarks.push(format!("since {}", since.escape_debug()));
        }
        if let Some(tally) = self.tally(list) {
            remarks.extend(tally.in_words());
        }
        if let Some(since) = self.parity.paused.get(list) {
            remarks.push(format!("paused since {since}"));
        }
        if self.parity.pinned.contains(list) {
            remarks.push("pinned".to_owned());
        }
        if let Some(state) = self.aliases.get(list).filter(|&&state| state != "ok") {
            remarks.push(format!("aliases {state}"));
        }
        if let Ok(known) = &self.known
            && known
                .enumerated
                .as_ref()
                .is_ok_and(|there| !there.contains(list))
        {
            remarks.push("no such list any more".to_owned());
        }
        remarks
    }

    pub(super) fn count(&self) -> String {
        let ahead = self.parity.on_future.len();
        match &self.known {
            Ok(Known {
                lists: known,
                enumerated: Ok(_),
                ..
            }) => format!(
                "{}: {} on current, {ahead} on future\n",
                lists(known.len()),
                known.len().saturating_sub(ahead)
            ),
            Ok(Known {
                enumerated: Err(error),
                ..
            }) => {
                format!(
                    "{ahead} on future, all others on current; they cannot be counted: {error}\n"
                )
            }
            Err(error) => {
                format!(
                    "{ahead} on future, all others on current; they cannot be counted: {error}\n"
                )
            }
        }
    }
}

/// Those words that there are.
fn words<const N: usize>(words: [Option<&str>; N]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Rows in columns as wide as they must be, two blanks between.
fn columns(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(n) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
