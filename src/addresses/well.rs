//! The lists of which there is nothing to say: each address that they may want stands once, and
//! just as we write it.
//!
//! On a site in order these are nearly all, and to hold what is wanted against what is found
//! address by address (`compare`) costs many times what it costs to read the files.
//!
//! **Invariants.** Says "well" only where `compare` says `Ok` of each address that the list has,
//! whoever else wants it; of every other list nothing. Uses the same reading of a command as
//! `leads`, and decides nothing else.

use std::collections::BTreeSet;

use super::found::{Found, Place};
use super::pipe::Trees;
use super::settled::Settled;
use super::turning::ours;
use super::wanted;
use crate::list::{ListName, Verb};
use crate::parity::Parity;
use crate::parts::in_parts;

/// The lists of which there may be something to say.
#[derive(Debug)]
pub(super) struct Sifted {
    pub(super) rest: BTreeSet<ListName>,
    /// The entries of all the others.
    pub(super) settled: Settled,
}

/// What tells such lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Well<'v> {
    trees: &'v Trees<'v>,
    parity: &'v Parity,
    found: &'v Found,
}

impl<'v> Well<'v> {
    pub(super) fn of(trees: &'v Trees<'v>, parity: &'v Parity, found: &'v Found) -> Well<'v> {
        Well {
            trees,
            parity,
            found,
        }
    }

    /// Which of `lists` are not well; where there are many, all processors look.
    pub(super) fn sift(&self, lists: &BTreeSet<ListName>) -> Sifted {
        let lists: Vec<&ListName> = lists.iter().collect();
        let parts = in_parts(&lists, |lists| {
            let (mut rest, mut settled) = (Vec::new(), Settled::default());
            let (mut name, mut places) = (String::new(), Vec::new());
            for &list in lists {
                places.clear();
                match self.is_well(list, &mut name, &mut places) {
                    true => places.iter().for_each(|&place| settled.add(place)),
                    false => rest.push(list.clone()),
                }
            }
            (rest, settled)
        });
        let (mut rest, mut settled) = (BTreeSet::new(), Settled::default());
        for (more, of_them) in parts {
            rest.extend(more);
            settled.join(&of_them);
        }
        Sifted { rest, settled }
    }

    /// Whether each address of `list` is well: then `places` are its entries. `name` is room for
    /// their names.
    ///
    /// Where two trees have one address for two verbs, or a name is a list's and another's as
    /// well, only `compare` tells: then it is not, or the entry leads to one of them alone.
    fn is_well(&self, list: &ListName, name: &mut String, places: &mut Vec<Place>) -> bool {
        // With a domain it has more than one spelling.
        if list.as_str().contains('@') {
            return false;
        }
        let of = self.trees.of(self.parity, list);
        let current = self.trees.current(self.parity);
        let is_same = of.map(|(tree, _)| &tree.name) == current.map(|(tree, _)| &tree.name);
        let its = of.into_iter().chain(current.filter(|_| !is_same));
        its.into_iter().all(|(_, profile)| {
            profile.every_address(list, name, |name, verb| {
                let place = self.stands(name, verb, list);
                places.extend(place);
                place.is_some()
            })
        })
    }

    /// The only entry of `name`, if it stands as we write it.
    fn stands(&self, name: &str, verb: Verb, list: &ListName) -> Option<Place> {
        let place = self.found.only(name)?;
        let pipe = self.found.one_pipe(place)?;
        let (its, spelled) = self.trees.as_written(&pipe)?;
        let is_its = its == verb && spelled.eq_ignore_ascii_case(list.as_str().as_bytes());
        is_its.then_some(place)
    }

    /// The list that the only entry of `name` leads to, if this is an address of that list.
    pub(super) fn holder(&self, name: &str) -> Option<ListName> {
        let place: Place = self.found.only(name)?;
        let (_, list) = ours(self.trees, self.found, place)?;
        wanted::has(self.trees, self.parity, &list, name).then_some(list)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::collections::{BTreeMap, BTreeSet};
    use std::{fs, path::PathBuf};

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::addresses::compare::{self, Row, State};
    use crate::addresses::past;
    use crate::addresses::view::View;
    use crate::parity::{FutureState, Roles};
    use crate::site::Site;

    /// A list of Mailman 1 has `owner-LIST` and `LIST-admin`: two of these want `owner-toy-admin`.
    const LISTS: [&str; 4] = ["alpha", "owner-toy", "toy", "toy-admin"];

    /// A site with Mailman 1 in its current tree and Mailman 2 in the other one.
    struct Ground {
        directory: PathBuf,
        site: Site,
    }

    impl Ground {
        fn new(name: &str) -> Ground {
            let name = format!("mm-well-{}-{name}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            for list in LISTS {
                fs::create_dir_all(directory.join("lists").join(list)).unwrap();
                for file in ["config.db", "config.pck"] {
                    fs::write(directory.join("lists").join(list).join(file), "").unwrap();
                }
            }
            let root = directory.display();
            let owner = crate::accounts::runner();
            let text = format!(
                "state = \"{root}/state\"\nowner = \"{owner}\"\n[trees.a]\nroot = \"{root}/a\"\n\
                 profile = \"mailman1\"\n[trees.b]\nroot = \"{root}/b\"\nprofile = \"mailman2\"\n\
                 [data]\nroot = \"{root}\"\n[aliases]\nfiles = [\"{root}/aliases\"]\n\
                 mta = \"none\"\n[deliver]\nprogram = \"{root}/mm-deliver\"\nusers = [\"{owner}\"]\n"
            );
            fs::write(directory.join("site.toml"), text).unwrap();
            let site = Site::open(&directory.join("site.toml")).unwrap();
            Ground { directory, site }
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    fn lists() -> BTreeSet<ListName> {
        LISTS
            .iter()
            .map(|list| ListName::parse(list).unwrap())
            .collect()
    }

    fn parity(ahead: &BTreeSet<usize>) -> Parity {
        let ahead = ahead.iter().map(|&n| ListName::parse(LISTS[n]).unwrap());
        Parity {
            roles: Roles {
                generation: 1,
                current: "a".to_owned(),
                current_release: String::new(),
                future_state: FutureState::Ready,
                future_release: String::new(),
                guarded: BTreeSet::new(),
            },
            pinned: BTreeSet::new(),
            paused: BTreeMap::new(),
            on_future: ahead.collect(),
        }
    }

    /// Every name that some tree has for some list, with each of these lists and the verb.
    fn names(trees: &Trees<'_>) -> BTreeMap<String, Vec<(ListName, Verb)>> {
        let mut names: BTreeMap<String, Vec<(ListName, Verb)>> = BTreeMap::new();
        for list in lists() {
            for (_, profile) in trees.all() {
                for (name, verb) in profile.addresses(&list) {
                    names.entry(name).or_default().push((list.clone(), verb));
                }
            }
        }
        names
    }

    /// The lines of a name in one way of many of standing in the file.
    fn lines(trees: &Trees<'_>, name: &str, its: &[(ListName, Verb)], way: usize) -> String {
        let (list, verb) = &its[way % its.len()];
        let stranger = ListName::parse("Toy").unwrap();
        let right = trees.command(*verb, list).unwrap();
        match way % 12 {
            0 => String::new(),
            1 => format!("{name}: \"|{right}\"\n").repeat(2),
            2 => format!(
                "{name}: \"|{}\"\n",
                trees.command(*verb, &stranger).unwrap()
            ),
            3 => format!(
                "{name}: \"|{}\"\n",
                trees.command(Verb::Confirm, list).unwrap()
            ),
            4 => format!("{name}: alice, \"|{right}\"\n"),
            5 => format!("{name}:\n  \"|{right}\"\n"),
            6 => format!("{}: \"|{right}\"\n", name.to_uppercase()),
            7 => format!("{name}: alice\n"),
            8 => format!("{name}: {}\n", list.local_part()),
            9 => format!("{name}: \"|{}\"\n", right.to_uppercase()),
            10 => format!("{name}: \"|{right} \"\n\"{name}\": bob\n"),
            _ => {
                let root = trees.site.config.trees[way % 2].root.display();
                format!("{name}: \"|{root}/mail/wrapper {verb} {list}\"\n")
            }
        }
    }

    /// What there is to look at: an address that is `Ok` and one ordinary pipe is passed over by
    /// all who ask.
    fn told(found: &Found, rows: Vec<Row>) -> Vec<String> {
        let is_told = |row: &Row| row.state != State::Ok || found.may_include(row.place);
        let rows = rows.iter().filter(|row| is_told(row));
        rows.map(|row| format!("{row:?}")).collect()
    }

    #[test]
    fn what_is_left_out_is_what_compare_has_nothing_to_say_of() {
        let ground = Ground::new("all");
        let trees = Trees::open(&ground.site);
        let names: Vec<_> = names(&trees).into_iter().collect();
        let spoiled = proptest::collection::vec((0..names.len(), 0..24_usize), 0..5);
        let ahead = proptest::collection::btree_set(0..LISTS.len(), 0..3);
        let cases = (spoiled, ahead, 0..LISTS.len(), 0..24_usize);
        let mut runner = TestRunner::new(ProptestConfig::with_cases(400));
        let done = runner.run(&cases, |(spoiled, ahead, asked, whose)| {
            let mut text = String::new();
            for (n, (name, its)) in names.iter().enumerate() {
                match spoiled.iter().find(|(at, _)| *at == n) {
                    Some((_, way)) => text += &lines(&trees, name, its, *way),
                    None => {
                        let (list, verb) = &its[whose % its.len()];
                        let right = trees.command(*verb, list).unwrap();
                        text += &format!("{name}: \"|{right}\"\n");
                    }
                }
            }
            let (found, parity) = (Found::of_text(&text), parity(&ahead));
            let view = View::new(&ground.site, &parity, &found).unwrap();
            let all = told(&found, view.rows(&lists()));
            let some = view.rows_but_well(&lists(), |_| false);
            prop_assert_eq!(&all, &told(&found, some), "{}", text);
            let some = view.rows_but_well(&lists(), |list| list.as_str() == LISTS[asked]);
            prop_assert!(
                some.iter()
                    .any(|row| row.wanted.list.as_str() == LISTS[asked])
            );
            prop_assert_eq!(&all, &told(&found, some), "{}", text);
            let exist = view.enumerated().as_ref().ok();
            let stale = compare::stale(&view.trees, &parity, &found, found.all(), exist);
            prop_assert_eq!(stale, view.stale(), "{}", text);
            let unsettled: BTreeSet<Place> = view.unsettled().collect();
            for place in found.all().filter(|place| !unsettled.contains(place)) {
                prop_assert!(found.one_pipe(place).is_some(), "{}", text);
                let into = past::into_tree(&view.trees, &found, place, &|_| true);
                prop_assert!(into.is_none(), "{}: {:?}", text, into);
            }
            Ok(())
        });
        done.unwrap();
    }

    #[test]
    fn a_list_whose_addresses_all_stand_as_we_write_them_is_left_out() {
        let ground = Ground::new("one");
        let trees = Trees::open(&ground.site);
        let alpha = ListName::parse("alpha").unwrap();
        let mut text = String::new();
        for (name, its) in names(&trees) {
            let (list, verb) = &its[0];
            text += &format!("{name}: \"|{}\"\n", trees.command(*verb, list).unwrap());
        }
        let (parity, only) = (parity(&BTreeSet::new()), BTreeSet::from([alpha.clone()]));
        let count = |text: &str| {
            let found = Found::of_text(text);
            let view = View::new(&ground.site, &parity, &found).unwrap();
            (
                view.rows_but_well(&only, |_| false).len(),
                view.unsettled().count(),
            )
        };
        let (rows, unsettled) = count(&text);
        assert_eq!(rows, 0);
        let missing = text.replacen("alpha-request:", "x:", 1);
        let addresses = trees.current(&parity).unwrap().1.addresses(&alpha).len();
        assert_eq!(count(&missing), (addresses, unsettled + addresses));
    }
}
