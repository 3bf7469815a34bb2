//! parity.toml as text: one row a line, sorted, and the seal in line 1.
//!
//! **Invariants.** No I/O. What is rendered here is what `state` searches: the two are held
//! together by the tests below.

use std::fmt::Write as _;

use crate::clock::Timestamp;
use crate::parity::Parity;

/// The text of parity.toml, sealed at `time`; its mtime must be set to that very second.
pub fn render(parity: &Parity, time: Timestamp) -> String {
    let (head, paused, on_future) = body(parity);
    let (paused_at, future_at) = (head.len(), head.len() + paused.len());
    let length = future_at + on_future.len();
    // The first line holds sizes that count it: its length grows until it fits itself.
    let mut first = String::new();
    loop {
        let own = first.len();
        let next = format!(
            "# sealed {time} size {} paused {} on_future {}\n",
            own + length,
            own + paused_at,
            own + future_at,
        );
        if next.len() == own {
            return [next, head, paused, on_future].concat();
        }
        first = next;
    }
}

/// The three parts after line 1: up to `paused`, `paused`, `on_future`.
fn body(parity: &Parity) -> (String, String, String) {
    let roles = &parity.roles;
    let guarded: Vec<String> = roles.guarded.iter().map(|tree| quote(tree)).collect();
    let mut head = format!(
        "format = 1\ngeneration = {}\ncurrent = {}\ncurrent_tree = {{ release = {} }}\n\
         future_tree = {{ state = {}, release = {} }}\nguarded = [{}]\n",
        roles.generation,
        quote(&roles.current),
        quote(&roles.current_release),
        quote(roles.future_state.as_str()),
        quote(&roles.future_release),
        guarded.join(", "),
    );
    head += &array(
        "pinned",
        parity.pinned.iter().map(|list| quote(list.as_str())),
    );
    let rows = parity
        .paused
        .iter()
        .map(|(list, since)| format!("[{}, {since}]", quote(list.as_str())));
    let paused = array("paused", rows);
    let on_future = array(
        "on_future",
        parity.on_future.iter().map(|list| quote(list.as_str())),
    );
    (head, paused, on_future)
}

fn array(name: &str, rows: impl Iterator<Item = String>) -> String {
    let mut text = format!("{name} = [\n");
    let empty = text.len();
    for row in rows {
        text.push_str(&row);
        text.push_str(",\n");
    }
    if text.len() == empty {
        return format!("{name} = []\n");
    }
    text.push_str("]\n");
    text
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs::{self, File, FileTimes};
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::list::ListName;
    use crate::parity::{FutureState, Roles};
    use crate::state::{self, Reading, StateError};

    fn list(name: &str) -> ListName {
        ListName::parse(name).unwrap()
    }

    fn parity(paused: &[&str], on_future: &[&str]) -> Parity {
        Parity {
            roles: Roles {
                generation: 42,
                current: "a".into(),
                current_release: "2.1.39".into(),
                future_state: FutureState::Ready,
                future_release: "2.1.40".into(),
                guarded: BTreeSet::from(["b".into()]),
            },
            pinned: BTreeSet::new(),
            paused: paused
                .iter()
                .map(|&name| (list(name), Timestamp(1_795_168_920)))
                .collect(),
            on_future: on_future.iter().map(|&name| list(name)).collect(),
        }
    }

    const TIME: Timestamp = Timestamp(1_795_341_731);

    /// A file of our own in the temporary directory.
    struct Text(PathBuf);

    impl Text {
        fn new(text: &str, sealed: bool) -> Text {
            static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("mm-seal-{}-{number}", std::process::id()));
            fs::write(&path, text).unwrap();
            let mut mtime = UNIX_EPOCH + Duration::from_secs(TIME.0 as u64);
            if !sealed {
                mtime += Duration::from_nanos(7);
            }
            let file = File::options().write(true).open(&path).unwrap();
            file.set_times(FileTimes::new().set_modified(mtime))
                .unwrap();
            Text(path)
        }

        fn ask(&self, name: &str) -> Result<(Option<Timestamp>, bool, Reading), StateError> {
            let is_it = |row: &[u8]| row.eq_ignore_ascii_case(name.as_bytes());
            state::standing(&File::open(&self.0).unwrap(), &[name.to_owned()], &is_it)
                .map(|found| (found.paused, found.on_future, found.reading))
        }
    }

    impl Drop for Text {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn the_shape_is_the_documented_one() {
        let expected = "\
# sealed 2026-11-22T10:02:11Z size 315 paused 225 on_future 275
format = 1
generation = 42
current = \"a\"
current_tree = { release = \"2.1.39\" }
future_tree = { state = \"ready\", release = \"2.1.40\" }
guarded = [\"b\"]
pinned = []
paused = [
[\"reallist2\", 2026-11-20T10:02:00Z],
]
on_future = [
\"reallist1\",
\"toylist\",
]
";
        assert_eq!(
            render(&parity(&["reallist2"], &["toylist", "reallist1"]), TIME),
            expected
        );
    }

    #[test]
    fn a_sealed_file_is_searched_and_an_edited_one_is_streamed() {
        let text = render(&parity(&["reallist2"], &["toylist", "reallist1"]), TIME);
        let since = Some(Timestamp(1_795_168_920));
        for (sealed, reading) in [(true, Reading::Sealed), (false, Reading::Stream)] {
            let file = Text::new(&text, sealed);
            assert_eq!(file.ask("toylist").unwrap(), (None, true, reading));
            assert_eq!(file.ask("reallist1").unwrap(), (None, true, reading));
            assert_eq!(file.ask("reallist2").unwrap(), (since, false, reading));
            assert_eq!(file.ask("other").unwrap(), (None, false, reading));
        }
    }

    #[test]
    fn an_edited_file_is_right_in_any_order() {
        let edited = "on_future = [ # moved\r\n\"toylist\" ,\r\n\r\n# \"ghost\",\r\n\"ToyList2\"\r\n]\r\n\
            format=1\ngeneration = 1\ncurrent = 'a'\npaused = []\npinned = [\n]\nguarded = []\n\
            current_tree = { release = \"1\" }\nfuture_tree = { state = \"ready\", release = \"2\" }\n";
        let file = Text::new(edited, false);
        assert_eq!(file.ask("toylist").unwrap(), (None, true, Reading::Stream));
        assert_eq!(file.ask("toylist2").unwrap(), (None, true, Reading::Stream));
        assert_eq!(file.ask("ghost").unwrap(), (None, false, Reading::Stream));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let text = render(&parity(&[], &["toylist"]), TIME);
        let file = Text::new(&text, false);
        let changed = std::cell::Cell::new(false);
        // An editor writes in place while the first row is looked at.
        let is_it = |row: &[u8]| {
            if !changed.replace(true) {
                fs::write(&file.0, text.replace("toylist", "newlist")).unwrap();
            }
            row == b"newlist"
        };
        let names = ["newlist".to_owned()];
        let found = state::standing(&File::open(&file.0).unwrap(), &names, &is_it).unwrap();
        assert!(found.on_future, "the answer is of a file that is gone");
    }

    #[test]
    fn what_only_looks_like_a_row_is_none() {
        let text = render(&parity(&[], &[]), TIME);
        let odd = "\"\"\"\non_future = [\n\"toylist\",\n]\n\"\"\"";
        let file = Text::new(&text.replace("\"2.1.39\"", odd), false);
        assert_eq!(file.ask("toylist").unwrap(), (None, false, Reading::Toml));
    }

    #[test]
    fn any_other_toml_is_read_while_it_is_small() {
        let text = render(&parity(&[], &["toylist"]), TIME)
            .replace("[\n\"toylist\",\n]", "[\n\"x\", \"toylist\"]");
        assert_eq!(
            Text::new(&text, false).ask("toylist").unwrap(),
            (None, true, Reading::Toml)
        );
        let large = text.replace("format", &format!("{}format", "# filler\n".repeat(30_000)));
        let error = Text::new(&large, false).ask("toylist").unwrap_err();
        assert!(matches!(error, StateError::Size(..)), "{error}");
    }

    #[test]
    fn half_a_file_never_sends_a_list_back() {
        let text = render(&parity(&["reallist2"], &["toylist", "reallist1"]), TIME);
        for end in 0..text.len() {
            let answer = Text::new(&text[..end], false).ask("toylist");
            // The last line's newline alone may be missing.
            assert!(
                answer.is_err() || end == text.len() - 1,
                "cut at {end}: {answer:?}"
            );
        }
    }

    #[test]
    fn each_mistake_is_an_error_with_its_line() {
        let text = render(&parity(&[], &["toylist"]), TIME);
        for (from, to, at) in [
            ("\"toylist\",", "\"toy list\",", "11:1"),
            ("generation = 42", "generation = x", "3:14"),
            ("guarded", "gaurded", "7:1"),
            ("\"ready\"", "\"rready\"", "6:25"),
            ("format = 1", "format = 2", "2:10"),
            ("pinned = []\n", "", ""),
            ("paused = []\n", "paused = []\npaused = []\n", "10:1"),
        ] {
            let error = Text::new(&text.replace(from, to), false)
                .ask("toylist")
                .unwrap_err();
            assert!(error.to_string().starts_with(at), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn release_names_survive_whatever_they_are() {
        let mut odd = parity(&[], &["toylist"]);
        odd.roles.current_release = "a\"b\\c\u{1}é\n".into();
        let file = Text::new(&render(&odd, TIME), true);
        let found = state::standing(
            &File::open(&file.0).unwrap(),
            &["toylist".to_owned()],
            &|_| false,
        )
        .unwrap();
        assert_eq!((found.roles, found.reading), (odd.roles, Reading::Sealed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The search, the stream and the set itself agree on every name, present or not.
        #[test]
        fn all_ways_of_reading_agree(
            names in proptest::collection::btree_set("[a-z0-9_][a-z0-9._+=-]{0,60}", 0..400),
            others in proptest::collection::vec("[a-z0-9_][a-z0-9._+=-]{0,3}", 20),
        ) {
            let mut all = parity(&[], &[]);
            all.on_future = names.iter().map(|name| list(name)).collect();
            all.paused = names.iter().step_by(3).map(|name| (list(name), Timestamp(60))).collect::<BTreeMap<_, _>>();
            let text = render(&all, TIME);
            let (sealed, edited) = (Text::new(&text, true), Text::new(&text, false));
            for name in names.iter().step_by(7).chain(&others) {
                let paused = all.paused.get(&list(name)).copied();
                let expected = (paused, all.on_future.contains(&list(name)));
                let by_seal = sealed.ask(name).unwrap();
                let by_stream = edited.ask(name).unwrap();
                prop_assert_eq!(by_seal, (expected.0, expected.1, Reading::Sealed));
                prop_assert_eq!(by_stream, (expected.0, expected.1, Reading::Stream));
            }
        }
    }
}
