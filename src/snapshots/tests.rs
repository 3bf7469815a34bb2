#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::profiles::Place;

struct Scratch(PathBuf);

impl Scratch {
    /// Two lists' data, each of a directory, and messages by number.
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("mm-snapshots-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for name in ["state", "var/lists/toy/deep", "var/lists/real", "var/held"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        let scratch = Scratch(path.canonicalize().unwrap());
        for (name, text) in [
            ("lists/toy/config", "old"),
            ("lists/toy/deep/file", "old"),
            ("lists/real/config", "old"),
            ("held/toy-1", "old"),
            ("held/toy-2", "old"),
        ] {
            scratch.write(name, text);
        }
        scratch
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join("var").join(name), text).unwrap();
    }

    /// What happens to the data after the snapshot.
    fn go_on(&self) {
        self.write("lists/toy/config", "new");
        self.write("lists/real/config", "new");
        self.write("held/toy-2", "new");
        self.write("held/toy-3", "new");
        fs::remove_file(self.0.join("var/held/toy-1")).unwrap();
        fs::remove_dir_all(self.0.join("var/lists/toy/deep")).unwrap();
    }

    fn store(&self) -> Store {
        Store {
            path: self.0.join("state/snapshots"),
        }
    }

    fn data(&self, list: &str) -> ListData {
        let place = |name: String| Place::of(&self.0.join("var").join(name).to_string_lossy());
        ListData {
            of: vec![
                place(format!("lists/{list}")),
                place(format!("held/{list}-#")),
            ],
            ..ListData::default()
        }
    }

    /// A snapshot of both lists by change 1.
    fn take(&self) {
        let lists = ["toy", "real"].map(|list| Want {
            list: ListName::parse(list).unwrap(),
            data: self.data(list),
        });
        let mut shot = Shot::new(self.store(), "upgrade", ("a", "1"), lists.into());
        shot.first(&|| false).unwrap();
        shot.second(&|| false).unwrap();
        shot.keep(1, &|_| Some(7)).unwrap();
    }

    /// What puts both back by change 2.
    fn restoring(&self) -> Restoring {
        let backs = ["toy", "real"].map(|list| Back {
            snapshot: newest(self, list),
            data: self.data(list),
            tree: ("b".to_owned(), "2".to_owned()),
            data_version: Some(8),
        });
        Restoring::new(self.store(), "downgrade", 2, backs.into())
    }

    fn all(&self, below: &str) -> BTreeMap<String, String> {
        fn add(base: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(at).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    add(base, &path, found);
                } else {
                    let name = path.strip_prefix(base).unwrap().display().to_string();
                    found.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        let base = self.0.join(below);
        add(&base, &base, &mut found);
        found.retain(|name, _| !name.ends_with(METADATA));
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn newest(scratch: &Scratch, list: &str) -> Snapshot {
    let (mut all, _) = newest_of_tree(&scratch.store(), &|name| name == list, "a").unwrap();
    all.remove(list).unwrap()
}

/// Of each list the files of a snapshot, by what they are called in its places.
fn of(scratch: &Scratch, id: &str) -> BTreeMap<String, String> {
    scratch
        .all(&format!("state/snapshots/{id}"))
        .into_iter()
        .map(|(name, text)| {
            let (list, rest) = name.split_once("/data/").unwrap();
            let place = match rest.split_once('/').unwrap() {
                ("0", rest) => format!("lists/{rest}"),
                (_, rest) => format!("held/{rest}"),
            };
            assert!(place.contains(list), "{name}");
            (place, text)
        })
        .collect()
}

#[test]
fn a_stop_after_each_step_leaves_todays_data_or_the_snapshots_and_keeps_the_other_ones() {
    for stop in 0.. {
        let scratch = Scratch::new();
        scratch.take();
        let old = scratch.all("var");
        scratch.go_on();
        let new = scratch.all("var");
        let (is_committed, is_all) = restore::stop_after(scratch.restoring(), stop);
        // Whoever is killed there has told nobody; what the next writer finds is on disk alone.
        mend(&scratch.store(), if is_committed { 2 } else { 1 }).unwrap();
        let expected = if is_committed { &old } else { &new };
        assert_eq!(&scratch.all("var"), expected, "stopped after {stop} steps");
        assert_eq!(of(&scratch, "1"), old, "stopped after {stop} steps");
        if is_committed {
            assert_eq!(of(&scratch, "2"), new, "stopped after {stop} steps");
            let (aside, _) = set_aside_by(&scratch.store(), 2).unwrap();
            assert_eq!(aside["toy"].data_version, Some(8));
        }
        assert!(!is_cut_short(&scratch.store()));
        let names = fs::read_dir(scratch.0.join("state/snapshots")).unwrap();
        for entry in names {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                number(&name).is_some(),
                "{name} is left, stopped after {stop} steps"
            );
        }
        // And again: nothing is left to be done.
        assert!(mend(&scratch.store(), 2).unwrap().notes.is_empty());
        if is_all {
            assert!(stop > 10, "{stop} steps");
            return;
        }
    }
}

#[test]
fn what_is_undone_by_the_command_itself_leaves_nothing() {
    let scratch = Scratch::new();
    scratch.take();
    scratch.go_on();
    let new = scratch.all("var");
    let mut restoring = scratch.restoring();
    restoring.ready(&|| false).unwrap();
    restoring.swap().unwrap();
    assert_ne!(scratch.all("var"), new);
    restoring.undo().unwrap();
    assert_eq!(scratch.all("var"), new);
    assert!(!is_cut_short(&scratch.store()));
}

#[test]
fn a_file_that_only_grew_is_cut_back_and_one_that_shrank_is_kept() {
    let scratch = Scratch::new();
    let mbox = "lists/toy/mbox";
    let old: String = (0..100_000).map(|n| format!("From {n} of old\n")).collect();
    scratch.write(mbox, &old);
    let mut data = scratch.data("toy");
    data.grows = vec![Place::of(
        &scratch.0.join("var").join(mbox).to_string_lossy(),
    )];
    data.posts = data.grows.clone();
    let list = ListName::parse("toy").unwrap();
    let want = vec![Want {
        list: list.clone(),
        data: data.clone(),
    }];
    let mut shot = Shot::new(scratch.store(), "upgrade", ("a", "1"), want);
    shot.first(&|| false).unwrap();
    shot.second(&|| false).unwrap();
    shot.keep(1, &|_| None).unwrap();
    scratch.write(mbox, &format!("{old}From one more\n\nFrom another one\n"));
    let snapshot = newest(&scratch, list.as_str());
    let lost = loss(&scratch.store(), &snapshot, &data).unwrap();
    assert_eq!(lost.posts, Some(2));
    let put_back = |generation| {
        let back = Back {
            snapshot: snapshot.clone(),
            data: data.clone(),
            tree: ("b".to_owned(), "2".to_owned()),
            data_version: None,
        };
        let mut restoring = Restoring::new(scratch.store(), "x", generation, vec![back]);
        restoring.ready(&|| false).unwrap();
        restoring.swap().unwrap();
        restoring.set_aside().unwrap();
        restoring.notes
    };
    assert!(put_back(2).is_empty());
    assert!(fs::read_to_string(scratch.0.join("var").join(mbox)).unwrap() == old);
    scratch.write(mbox, "From scratch\n");
    let notes = put_back(3);
    assert!(
        notes
            .iter()
            .any(|note| note.contains("is shorter than it was")),
        "{notes:?}"
    );
    assert_eq!(scratch.all("var")[mbox], "From scratch\n");
}

#[test]
fn what_is_on_its_way_stays_as_it_is_when_the_data_are_put_back() {
    let scratch = Scratch::new();
    let mut data = scratch.data("toy");
    data.without = vec![Place::of(
        &scratch.0.join("var/lists/toy/queue").to_string_lossy(),
    )];
    fs::create_dir(scratch.0.join("var/lists/toy/queue")).unwrap();
    scratch.write("lists/toy/queue/old", "sent meanwhile");
    let list = ListName::parse("toy").unwrap();
    let want = vec![Want {
        list: list.clone(),
        data: data.clone(),
    }];
    let mut shot = Shot::new(scratch.store(), "upgrade", ("a", "1"), want);
    shot.first(&|| false).unwrap();
    shot.second(&|| false).unwrap();
    shot.keep(1, &|_| None).unwrap();
    fs::remove_file(scratch.0.join("var/lists/toy/queue/old")).unwrap();
    scratch.write("lists/toy/queue/young", "to be sent");
    scratch.write("lists/toy/config", "new");
    let back = Back {
        snapshot: newest(&scratch, list.as_str()),
        data,
        tree: ("b".to_owned(), "2".to_owned()),
        data_version: None,
    };
    let mut restoring = Restoring::new(scratch.store(), "x", 2, vec![back]);
    restoring.ready(&|| false).unwrap();
    restoring.swap().unwrap();
    restoring.set_aside().unwrap();
    let now = scratch.all("var");
    assert_eq!(now["lists/toy/config"], "old");
    assert_eq!(now["lists/toy/queue/young"], "to be sent");
    assert!(!now.contains_key("lists/toy/queue/old"));
}

#[test]
fn the_second_snapshot_of_a_change_has_a_name_of_its_own() {
    let scratch = Scratch::new();
    scratch.take();
    scratch.take();
    let list = ListName::parse("toy").unwrap();
    assert_eq!(newest(&scratch, list.as_str()).id, "1.1");
    assert!(number("10.2") > number("9") && number("1.10") > number("1.9"));
    assert_eq!(number(".partial-1"), None);
    assert_eq!(number("1.x"), None);
}
