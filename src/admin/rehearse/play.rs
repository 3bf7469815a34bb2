//! One list of a rehearsal: whose mail, its stage, message by message.
//!
//! **Invariants.** Messages are read one at a time. A room that breaks ends the list's rehearsal, with
//! the reason; it never counts as the same.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Desk;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::rehearsal::compare::{Judge, Rules};
use crate::rehearsal::letters::awkward;
use crate::rehearsal::letters::{Index, Spot};
use crate::rehearsal::report::Played;
use crate::rehearsal::stage::{Piece, Setting, Stage};

/// A list that is to be played.
pub(super) struct Play<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) list: &'a ListName,
    /// An empty directory of ours.
    pub(super) scratch: PathBuf,
    pub(super) is_over: &'a AtomicBool,
    /// Messages of all lists that were played, and that are to be.
    pub(super) done: &'a AtomicUsize,
    pub(super) all: &'a AtomicUsize,
}

impl Play<'_> {
    /// Plays it.
    pub(super) fn play(&self) -> Result<Played, String> {
        let desk = self.desk;
        let mut notes = Vec::new();
        let index = self.index(&mut notes)?;
        let own: Vec<Spot> = index.spots().cloned().collect();
        let setting = Setting {
            site: desk.site,
            settings: &desk.settings,
            list: self.list,
            trees: desk.trees,
            scratch: self.scratch.clone(),
        };
        let is_over = || self.is_over.load(Ordering::SeqCst);
        let stage = Stage::set(&setting, &own, &is_over).map_err(|error| error.to_string())?;
        let ours = awkward::ALL.iter().map(Piece::Awkward);
        let pieces: Vec<Piece> = own.into_iter().map(Piece::Own).chain(ours).collect();
        self.all.fetch_add(pieces.len(), Ordering::SeqCst);
        let mut judge = Judge::new(Rules {
            slower: desk.settings.rehearse.slower,
            volatile: self.volatile(),
        });
        let mut passed = 0;
        for piece in &pieces {
            if is_over() {
                return Err("told to end".to_owned());
            }
            let is_meant = desk.only.is_none_or(|only| {
                let letter = stage.letter(piece);
                letter.is_some_and(|letter| letter.verb == only.to_string())
            });
            let is_own = matches!(piece, Piece::Own(_));
            if is_meant {
                match stage.play(piece).map_err(|error| error.to_string())? {
                    Some(trial) => judge.add(&trial, is_own),
                    None if is_own => passed += 1,
                    None => {}
                }
            }
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        if passed > 0 {
            notes.push(format!(
                "{passed} of the list's own were passed over: no messages, or for no address that it has"
            ));
        }
        let release = |tree: &crate::tree::Tree| {
            let release = desk.parity.roles.release_of(&tree.name);
            (tree.name.clone(), release.to_owned())
        };
        Ok(Played {
            list: self.list.to_string(),
            trees: desk.trees.map(release),
            findings: judge.end(),
            seen: (index.seen, index.older),
            notes,
        })
    }

    /// The list's own messages: those of the places that were named, or that its profile names.
    fn index(&self, notes: &mut Vec<String>) -> Result<Index, String> {
        let desk = self.desk;
        let mut index = Index::new(desk.last, desk.since);
        if !desk.mail.is_empty() {
            for path in desk.mail {
                index
                    .add(path)
                    .map_err(|error| format!("--mail {path:?}: {error}"))?;
            }
            return Ok(index);
        }
        let places = self.places()?;
        let there = places.iter().filter(|path| path.exists());
        for path in there {
            if let Err(error) = index.add(path) {
                notes.push(format!("{path:?}: {error}"));
            }
        }
        if index.seen == 0 {
            let looked: Vec<String> = places.iter().map(|path| format!("{path:?}")).collect();
            notes.push(match looked.is_empty() {
                true => "its profile names no place of its mail: --mail PATH does".to_owned(),
                false => format!(
                    "no mail of the list's own in {}: --mail PATH names another place",
                    looked.join(", ")
                ),
            });
        }
        Ok(index)
    }

    /// Where the current tree keeps the list's posts.
    fn places(&self) -> Result<Vec<PathBuf>, String> {
        let tree = self.desk.trees[0];
        let profile = Profile::of(self.desk.site, tree).map_err(|error| error.to_string())?;
        let data = profile.data(tree, self.list);
        let posts = data.into_iter().flat_map(|data| data.posts);
        let posts = posts.filter_map(|place| Some(place.directory.join(place.name()?)));
        let mut places: Vec<PathBuf> = posts.collect();
        let named = Some((self.list, profile.routing.case));
        let said = profile
            .rehearsal()
            .into_iter()
            .flat_map(|words| &words.mail);
        places.extend(said.map(|text| PathBuf::from(tree.expand(text, named))));
        Ok(places)
    }

    fn volatile(&self) -> Vec<String> {
        let profiles = self
            .desk
            .trees
            .iter()
            .filter_map(|tree| Profile::of(self.desk.site, tree).ok());
        let words = profiles.filter_map(|profile| Some(profile.rehearsal()?.volatile.clone()));
        words.flatten().collect()
    }
}
