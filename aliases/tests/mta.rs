//! Text and database, published together, with tools that stand in for Postfix' own.
//!
//! The stand-ins are shell scripts in a directory of the test's: postconf prints what the test
//! wrote down, postalias "builds" a map of `name:<tab>value` lines and answers from it. Files beside
//! them make them fail. The real tools are asked in the project's machine tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aliases::{
    DestinationKind, Dialect, Document, Expected, MapTrouble, Mta, MtaError, Original, Postfix,
    PublishError,
};

const POSTCONF: &str = r#"#!/bin/sh
[ -z "$MAIL_CONFIG$HOME$CARGO_MANIFEST_DIR" ] && [ "$PATH:$LC_ALL" = /usr/sbin:/usr/bin:/sbin:/bin:C ] || exit 9
case "$*" in
-Px) exec cat "${0%/*}/services" ;;
"-xh default_database_type") exec head -n 1 "${0%/*}/configured" ;;
"-xh default_database_type alias_maps alias_database" | "-xh default_database_type virtual_alias_maps") ;;
*) exit 8 ;;
esac
exec cat "${0%/*}/configured"
"#;

const POSTALIAS: &str = r#"#!/bin/sh
tools=${0%/*}
if [ "$1" = -q ]; then
    path=${3#*:} status=1
    [ -f "$path.db" ] || { echo "postalias: fatal: open database $path.db" >&2; exit 1; }
    [ -s "$path.db" ] || { read -r key && echo "postalias: fatal: open database $path.db: Invalid argument" >&2; exit 1; }
    if [ -f "$tools/edit" ] && [ "${path##*/}" = aliases ]; then
        . "$tools/edit"
    fi
    while IFS= read -r key; do
        line=$(grep "^$key:	" "$path.db") || continue
        status=0
        [ -f "$tools/lies" ] && [ "${path##*/}" = aliases ] && line="$key:	elsewhere"
        echo "$line"
    done
    exit $status
fi
if [ "$1" = -s ]; then
    [ "${2%%:*}" = cdb ] && { echo "postalias: fatal: cdb: no listing" >&2; exit 1; }
    printf '@:\t@\nYP_MASTER_NAME:\thost\n'; cat "${2#*:}.db"; exit 0
fi
[ -f "$tools/fails" ] && { echo "postalias: fatal: no" >&2; exit 1; }
path=${1#*:}
echo "$1" >> "$tools/built"
sed -n 's/^\([a-z0-9-]*\): */\1:	/p' "$path" > "$path.db"
grep -n '^[^:]*$' "$path" | while IFS=: read -r line rest; do
    echo "postalias: warning: $path, line $line: need name:value pair" >&2
done
exit 0
"#;

/// A directory with an aliases file and stand-ins for Postfix' tools.
struct Site {
    root: PathBuf,
    mta: Mta,
    _alone: MutexGuard<'static, ()>,
}

/// A script cannot be started while another thread's new child still has it open for writing.
static ALONE: Mutex<()> = Mutex::new(());

impl Site {
    fn new(name: &str, configured: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = std::env::temp_dir().join(format!("aliases-mta-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc")).unwrap();
        let tools = root.join("tools");
        fs::create_dir(&tools).unwrap();
        for (tool, script) in [("postconf", POSTCONF), ("postalias", POSTALIAS)] {
            let path = tools.join(tool);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let site = Self {
            mta: Mta::Postfix(Postfix::with_tools(&tools)),
            root,
            _alone: alone,
        };
        site.configure(configured);
        fs::write(site.root.join("tools/services"), "").unwrap();
        fs::write(site.file(), OLD).unwrap();
        site
    }

    /// What postconf prints, with FILE and ROOT for the aliases file and the directory of it all.
    fn configure(&self, configured: &str) {
        let configured = configured
            .replace("FILE", self.file().to_str().unwrap())
            .replace("ROOT", self.root.to_str().unwrap());
        fs::write(self.root.join("tools/configured"), configured).unwrap();
    }

    fn with_map(name: &str) -> Self {
        let site = Self::new(name, HASH);
        fs::write(site.map(), "a:\tu1\n").unwrap();
        site
    }

    fn file(&self) -> PathBuf {
        self.root.join("etc/aliases")
    }

    fn map(&self) -> PathBuf {
        self.root.join("etc/aliases.db")
    }

    fn set(&self, what: &str) {
        fs::write(self.root.join("tools").join(what), "").unwrap();
    }

    fn read(&self) -> Original {
        Original::read(self.file()).unwrap()
    }

    fn publish(&self) -> Result<aliases::Published, PublishError> {
        let expected = expected(NEW);
        self.mta.publish(&self.read(), NEW, &expected)
    }

    #[track_caller]
    fn expect(&self, text: &[u8], map: Option<&str>) {
        assert_eq!(
            fs::read(self.file()).unwrap().escape_ascii().to_string(),
            text.escape_ascii().to_string()
        );
        assert_eq!(fs::read_to_string(self.map()).ok().as_deref(), map);
        let count = 1 + usize::from(map.is_some());
        assert_eq!(
            fs::read_dir(self.root.join("etc")).unwrap().count(),
            count,
            "temporary files are left"
        );
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const HASH: &str = "hash\nhash:FILE, nis:mail.aliases\nFILE\n";
const OLD: &[u8] = b"a: u1\n";
const NEW: &[u8] = b"a: \"|/bin/p x\"\nb: u2\n";
const NEW_MAP: &str = "a:\t\"|/bin/p x\"\nb:\tu2\n";
const OLD_MAP: &str = "a:\tu1\n";

fn expected(text: &[u8]) -> Vec<Expected> {
    Document::parse(text, Dialect::Postfix)
        .entries()
        .map(|entry| Expected::entry(&entry))
        .collect()
}

#[test]
fn text_and_map_stand_together_and_nothing_else_is_left() {
    let site = Site::with_map("publish");
    let published = site.publish().unwrap();
    assert_eq!(published.maps, [site.map()]);
    assert!(published.replaced.unwrap().is(&site.read()));
    assert_eq!(published.warnings, [] as [&str; 0]);
    site.expect(NEW, Some(NEW_MAP));
}

#[test]
fn the_map_is_never_built_in_place() {
    let site = Site::with_map("beside");
    site.publish().unwrap();
    let built = fs::read_to_string(site.root.join("tools/built")).unwrap();
    assert!(
        !built.lines().any(|path| path.ends_with("/aliases")),
        "{built}"
    );
    assert_eq!(built.lines().count(), 1);
}

#[test]
fn the_map_keeps_owner_and_mode_of_the_old_one() {
    let site = Site::with_map("owner");
    fs::set_permissions(site.map(), fs::Permissions::from_mode(0o640)).unwrap();
    let as_root = rustix::process::geteuid().is_root();
    if as_root {
        std::os::unix::fs::chown(site.map(), Some(1234), Some(4321)).unwrap();
    }
    site.publish().unwrap();
    let metadata = fs::metadata(site.map()).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o640);
    if as_root {
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
    }
}

#[test]
fn a_first_map_belongs_to_the_texts_owner() {
    let site = Site::new("first", HASH);
    fs::set_permissions(site.file(), fs::Permissions::from_mode(0o664)).unwrap();
    let as_root = rustix::process::geteuid().is_root();
    if as_root {
        std::os::unix::fs::chown(site.file(), Some(1234), Some(4321)).unwrap();
    }
    site.publish().unwrap();
    site.expect(NEW, Some(NEW_MAP));
    let metadata = fs::metadata(site.map()).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    if as_root {
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
    }
}

#[test]
fn a_builder_that_fails_changes_nothing() {
    let site = Site::with_map("fails");
    site.set("fails");
    let error = site.publish().unwrap_err();
    assert!(matches!(error, PublishError::Refused(_)), "{error}");
    assert!(error.to_string().contains("fatal: no"), "{error}");
    site.expect(OLD, Some(OLD_MAP));
}

#[test]
fn a_builder_that_does_not_end_is_killed_and_changes_nothing() {
    let aliases = |postfix| postfix;
    builder_that_does_not_end("postalias", aliases);
    builder_that_does_not_end("postmap", Postfix::of_virtual);
}

fn builder_that_does_not_end(builder: &str, kind: fn(Postfix) -> Postfix) {
    let mut site = Site::with_map(&format!("slow-{builder}"));
    let tools = site.root.join("tools");
    let script = format!(
        "#!/bin/sh\necho $$ > {0}/pid\necho half > \"${{1#*:}}.db\"\nexec sleep 300\n",
        tools.display()
    );
    let path = tools.join(builder);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let limit = std::time::Duration::from_millis(500);
    site.mta = Mta::Postfix(kind(Postfix::with_tools(&tools).within(limit)));
    let error = site.publish().unwrap_err();
    let PublishError::Refused(aliases::Cause::Mta(MtaError::Slow { program, .. })) = &error else {
        unreachable!("{error}");
    };
    assert!(program.ends_with(builder));
    assert!(
        error.to_string().contains("after 0.5 s and was killed"),
        "{error}"
    );
    let process = fs::read_to_string(tools.join("pid")).unwrap();
    let process = Path::new("/proc").join(process.trim());
    assert!(!process.exists(), "the builder lives");
    site.expect(OLD, Some(OLD_MAP));
}

#[test]
fn a_tool_that_writes_without_end_is_killed() {
    let site = Site::with_map("endless");
    fs::write(
        site.root.join("tools/postconf"),
        "#!/bin/sh\nexec cat /dev/zero\n",
    )
    .unwrap();
    let error = site.publish().unwrap_err().to_string();
    assert!(error.contains("more than 256 MiB"), "{error}");
    assert!(error.contains("tools/postconf"), "{error}");
    site.expect(OLD, Some(OLD_MAP));
}

#[test]
fn a_tool_that_builds_nothing_is_said_to() {
    let site = Site::with_map("nothing");
    fs::write(site.root.join("tools/postalias"), "#!/bin/sh\nexit 0\n").unwrap();
    let error = site.publish().unwrap_err();
    let PublishError::Refused(aliases::Cause::Mta(MtaError::NotBuilt { map })) = &error else {
        unreachable!("{error}");
    };
    assert_eq!(*map, fs::canonicalize(site.map()).unwrap());
    site.expect(OLD, Some(OLD_MAP));
}

#[test]
fn what_is_no_plain_file_is_left_where_it_is() {
    let site = Site::new("nofile", HASH);
    let refused = |what: &str| {
        for error in [
            site.publish().unwrap_err(),
            site.mta.rebuild(&site.read(), &[]).unwrap_err(),
        ] {
            let said = error.to_string();
            assert!(matches!(error, PublishError::Refused(_)), "{said}");
            assert!(said.contains("aliases.db\" is "), "{said}");
            assert!(said.contains(what), "{said}");
        }
        assert_eq!(fs::read(site.file()).unwrap(), OLD);
        assert_eq!(fs::read_dir(site.root.join("etc")).unwrap().count(), 2);
    };
    fs::create_dir(site.map()).unwrap();
    fs::write(site.map().join("kept"), "").unwrap();
    refused("a directory");
    fs::remove_dir_all(site.map()).unwrap();
    std::os::unix::fs::symlink("aliases.db", site.map()).unwrap();
    refused("in a circle");
}

#[test]
fn a_link_to_no_map_yet_stays_and_gets_one() {
    let site = Site::new("dangling", HASH);
    let real = site.root.join("real.db");
    std::os::unix::fs::symlink("../real.db", site.map()).unwrap();
    site.publish().unwrap();
    assert_eq!(fs::read_to_string(&real).unwrap(), NEW_MAP);
    assert!(fs::symlink_metadata(site.map()).unwrap().is_symlink());
    site.expect(NEW, Some(NEW_MAP));
}

#[test]
fn a_text_from_the_future_gets_a_map_that_is_as_new() {
    let site = Site::with_map("future");
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let file = fs::File::options().write(true).open(site.file()).unwrap();
    file.set_modified(future).unwrap();
    drop(file);
    site.mta.rebuild(&site.read(), &expected(OLD)).unwrap();
    let states = site.mta.verify(&site.read(), &expected(OLD)).unwrap();
    assert_eq!(states[0].trouble, None);
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(&site.map()), modified(&site.file()));
    site.publish().unwrap();
    assert!(modified(&site.map()) < future);
}

#[test]
fn a_map_that_would_be_wrong_never_stands() {
    let site = Site::with_map("wrong");
    for wrong in [
        Expected {
            name: b"a".to_vec(),
            destinations: Some(vec![DestinationKind::Pipe(b"/bin/p y".to_vec())]),
        },
        Expected {
            name: b"c".to_vec(),
            destinations: Some(vec![]),
        },
        Expected::absent("b"),
    ] {
        let name = wrong.name.clone();
        let error = site.mta.publish(&site.read(), NEW, &[wrong]).unwrap_err();
        let PublishError::Refused(aliases::Cause::Mta(MtaError::Wrong { names, .. })) = error
        else {
            unreachable!("{error}");
        };
        let names: Vec<_> = names.iter().map(|astray| &astray.expected.name).collect();
        assert_eq!(names, [&name]);
        site.expect(OLD, Some(OLD_MAP));
    }
    site.mta
        .publish(
            &site.read(),
            NEW,
            &[Expected::absent("c"), Expected::absent("")],
        )
        .unwrap();
}

#[test]
fn if_the_map_in_place_is_wrong_both_go_back() {
    let site = Site::with_map("back");
    let inodes = || [site.file(), site.map()].map(|path| fs::metadata(path).unwrap().ino());
    let before = inodes();
    site.set("lies");
    let error = site.publish().unwrap_err();
    assert!(matches!(error, PublishError::PutBack(_)), "{error}");
    site.expect(OLD, Some(OLD_MAP));
    assert_eq!(inodes(), before);
}

#[test]
fn if_the_first_map_is_wrong_in_place_there_is_none_again() {
    let site = Site::new("back-first", HASH);
    site.set("lies");
    assert!(matches!(site.publish(), Err(PublishError::PutBack(_))));
    site.expect(OLD, None);
}

#[test]
fn a_faster_editor_keeps_text_and_map() {
    let site = Site::with_map("faster");
    let original = site.read();
    fs::write(site.file(), "a: u1, u2\n").unwrap();
    let error = site.mta.publish(&original, NEW, &[]).unwrap_err();
    assert!(error.is_editor_faster(), "{error}");
    let error = site.mta.rebuild(&original, &[]).unwrap_err();
    assert!(error.is_editor_faster(), "{error}");
    site.expect(b"a: u1, u2\n", Some(OLD_MAP));
}

#[test]
fn the_map_follows_an_edit_that_came_while_it_moved() {
    let site = Site::with_map("overtaken");
    let edit = |script: &str| fs::write(site.root.join("tools/edit"), script).unwrap();
    edit("rm $tools/edit; echo 'race: u3' >> $path\n");
    let published = site.publish().unwrap();
    assert!(published.replaced.is_some());
    assert_eq!(published.maps, [site.map()]);
    let with = |text: &[u8], more: &str| [text, more.as_bytes()].concat();
    let map = format!("{NEW_MAP}race:\tu3\n");
    site.expect(&with(NEW, "race: u3\n"), Some(&map));

    edit("rm $tools/edit; echo 'late: u4' >> $path\n");
    site.mta.rebuild(&site.read(), &expected(NEW)).unwrap();
    let map = format!("{map}late:\tu4\n");
    site.expect(&with(NEW, "race: u3\nlate: u4\n"), Some(&map));
}

#[test]
fn an_edit_without_our_change_stands_and_the_map_follows_it() {
    let site = Site::with_map("overwritten");
    let script = "rm $tools/edit; echo 'a: u9' > $path~; mv $path~ $path\n";
    fs::write(site.root.join("tools/edit"), script).unwrap();
    let error = site.publish().unwrap_err();
    assert!(error.is_editor_faster(), "{error}");
    site.expect(b"a: u9\n", Some("a:\tu9\n"));
}

#[test]
fn who_writes_on_in_the_old_text_gets_it_back_with_the_old_map() {
    let site = Site::with_map("writeson");
    let map = fs::read_to_string(site.map()).unwrap();
    let script = "rm $tools/edit
        for old in ${path%/*}/.aliases.*.aliases-new; do echo 'late: u4' >> $old; done\n";
    fs::write(site.root.join("tools/edit"), script).unwrap();
    let error = site.publish().unwrap_err();
    assert!(error.is_editor_faster(), "{error}");
    site.expect(&[OLD, b"late: u4\n"].concat(), Some(&map));
}

#[test]
fn a_text_that_is_edited_again_and_again_is_given_up() {
    let site = Site::with_map("restless");
    fs::write(
        site.root.join("tools/edit"),
        "echo x >> $tools/edits; echo 'more: u1' >> $path\n",
    )
    .unwrap();
    let error = site.publish().unwrap_err();
    assert!(matches!(error, PublishError::Behind(_)), "{error}");
    let edits = fs::read_to_string(site.root.join("tools/edits")).unwrap();
    assert_eq!(edits.lines().count(), 1 + 5);
}

#[test]
fn warnings_name_the_file_that_people_know() {
    let site = Site::with_map("warnings");
    let published = site
        .mta
        .publish(&site.read(), b"a: u1\nnonsense\n", &[])
        .unwrap();
    let warning = format!("{}, line 2: need name:value pair", site.file().display());
    assert_eq!(published.warnings, [warning]);
}

#[test]
fn verify_tells_missing_wrong_and_stale_maps_and_rebuild_mends_them() {
    let site = Site::new("verify", HASH);
    let trouble = || {
        let states = site.mta.verify(&site.read(), &expected(OLD)).unwrap();
        assert_eq!((states.len(), &states[0].file), (1, &site.map()));
        states[0].trouble.clone()
    };
    let rebuild = || drop(site.mta.rebuild(&site.read(), &expected(OLD)).unwrap());
    assert_eq!(trouble(), Some(MapTrouble::Missing));
    rebuild();
    assert_eq!(trouble(), None);
    fs::write(site.map(), "a:\tu9\n").unwrap();
    assert_eq!(trouble(), Some(MapTrouble::Wrong(vec![b"a".to_vec()])));
    rebuild();
    assert_eq!(trouble(), None);
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(site.file(), b"a:  u1\n").unwrap();
    assert_eq!(trouble(), Some(MapTrouble::Stale));
    rebuild();
    assert_eq!(trouble(), None);
    site.expect(b"a:  u1\n", Some(OLD_MAP));
}

/// A text that is put back with its old time, or a map of a clock that was ahead.
#[test]
fn what_mail_still_goes_by_is_told_of_a_text_that_was_lost() {
    let site = Site::with_map("lost");
    fs::write(site.file(), "# all gone\n").unwrap();
    let left = site.mta.left_in_maps(&site.read()).unwrap();
    let told: Vec<_> = left.iter().map(|it| (&it.file, &it.names[..])).collect();
    assert_eq!(told, [(&site.map(), &[b"a".to_vec()][..])]);
    fs::write(site.map(), "").unwrap();
    assert_eq!(site.mta.left_in_maps(&site.read()).unwrap(), []);
}

#[test]
fn a_map_of_another_text_is_wrong_however_new_it_looks() {
    for (map, wrong) in [
        ("a:\tu1\nb:\tu3\n", &["b"][..]),
        ("a:\tu1\n", &["b"]),
        ("old:\tu4\na:\tu1\nb:\tu2\n", &["old"]),
        ("b:\tu2\na:\tu1\n", &[]),
    ] {
        let site = Site::new("content", HASH);
        fs::write(site.file(), "a: u1\nb: u2\n").unwrap();
        fs::write(site.map(), map).unwrap();
        // Only `a` is a name that is asked for.
        let states = site.mta.verify(&site.read(), &expected(OLD)).unwrap();
        let wrong: Vec<Vec<u8>> = wrong.iter().map(|name| name.as_bytes().to_vec()).collect();
        let trouble = (!wrong.is_empty()).then_some(MapTrouble::Wrong(wrong));
        assert_eq!(states[0].trouble, trouble, "{map}");
    }
}

#[test]
fn a_map_that_cannot_be_read_is_trouble_and_rebuild_mends_it() {
    let site = Site::with_map("torn");
    for names in [expected(OLD), Vec::new()] {
        fs::write(site.map(), "").unwrap();
        let trouble = || {
            let states = site.mta.verify(&site.read(), &names).unwrap();
            states[0].trouble.clone()
        };
        let Some(MapTrouble::Unreadable(why)) = trouble() else {
            unreachable!("{:?}", trouble());
        };
        assert!(why.contains("Invalid argument"), "{why}");
        site.mta.rebuild(&site.read(), &names).unwrap();
        assert_eq!(trouble(), None);
        site.expect(OLD, Some(OLD_MAP));
    }
    fs::write(site.map(), "").unwrap();
    site.publish().unwrap();
    site.expect(NEW, Some(NEW_MAP));
}

#[test]
fn maps_are_found_by_their_text_whatever_they_are_called() {
    for configured in [
        "hash\nhash:FILE\nhash:FILE\n",
        "hash\nFILE\n\n",
        "btree\n\nproxy:FILE\n",
        "hash\nunionmap:{hash:FILE, nis:mail.aliases}\n\n",
        "lmdb\nnis:mail.aliases proxy:hash:FILE\n\n",
    ] {
        let site = Site::new("found", configured);
        assert_eq!(site.publish().unwrap().maps, [site.map()], "{configured}");
    }
}

#[test]
fn a_map_that_is_reached_by_two_names_is_one_map() {
    for (map, kept) in [("old", Some(OLD_MAP)), ("missing", None)] {
        let site = Site::new("twonames", "");
        site.configure("hash\nhash:FILE\nhash:ROOT/mail/aliases\n");
        fs::create_dir(site.root.join("mail")).unwrap();
        for name in ["aliases", "aliases.db"] {
            let link = site.root.join("mail").join(name);
            std::os::unix::fs::symlink(Path::new("../etc").join(name), link).unwrap();
        }
        if let Some(kept) = kept {
            fs::write(site.map(), kept).unwrap();
        }
        let published = site.publish().unwrap();
        assert_eq!(published.maps, [site.map()], "{map}");
        site.expect(NEW, Some(NEW_MAP));
        let states = site.mta.verify(&site.read(), &expected(NEW)).unwrap();
        assert_eq!((states.len(), &states[0].trouble), (1, &None), "{map}");
    }
}

#[test]
fn maps_of_two_types_in_one_file_are_refused() {
    let site = Site::with_map("twotypes");
    site.configure("hash\nhash:FILE, btree:FILE\n\n");
    let error = site.publish().unwrap_err();
    let PublishError::Refused(aliases::Cause::Mta(MtaError::SameFile { file, maps })) = &error
    else {
        unreachable!("{error}");
    };
    assert_eq!(*file, fs::canonicalize(site.map()).unwrap());
    let path = site.file();
    assert_eq!(
        *maps,
        ["hash", "btree"].map(|kind| format!("{kind}:{}", path.display()))
    );
    site.expect(OLD, Some(OLD_MAP));
}

#[test]
fn a_file_without_a_map_that_can_be_built_is_refused() {
    for (configured, others) in [
        ("hash\nhash:/etc/other\n\n", vec![]),
        // Two of one file, one of which would go on saying what the old text said.
        ("hash\nhash:FILE dbm:FILE\n\n", vec!["dbm:"]),
        ("hash\ntexthash:FILE\n\n", vec!["texthash:"]),
    ] {
        let site = Site::new("nomap", configured);
        let error = site.publish().unwrap_err();
        let PublishError::Refused(aliases::Cause::Mta(MtaError::NoMap { others: found, .. })) =
            &error
        else {
            unreachable!("{error}");
        };
        assert_eq!(found.len(), others.len());
        assert!(
            found
                .iter()
                .zip(others)
                .all(|(found, other)| found.starts_with(other))
        );
        site.expect(OLD, None);
    }
}

#[test]
fn without_a_database_the_text_alone_is_replaced() {
    let site = Site::new("none", "");
    let published = Mta::None
        .publish(&site.read(), NEW, &expected(NEW))
        .unwrap();
    assert!(published.replaced.is_some() && published.maps.is_empty());
    assert!(
        Mta::None
            .verify(&site.read(), &expected(NEW))
            .unwrap()
            .is_empty()
    );
    assert!(
        Mta::None
            .rebuild(&site.read(), &[])
            .unwrap()
            .replaced
            .is_none()
    );
    site.expect(NEW, None);
}

#[test]
fn many_names_are_asked_at_once() {
    let site = Site::with_map("many");
    let text: String = (0..300)
        .map(|n| format!("list{n}: \"|/bin/prog post list{n}\"\n"))
        .collect();
    let names = expected(text.as_bytes());
    site.mta
        .publish(&site.read(), text.as_bytes(), &names)
        .unwrap();
    assert_eq!(
        site.mta.verify(&site.read(), &names).unwrap()[0].trouble,
        None
    );
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let site = Site::with_map("left");
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    let etc: &Path = &site.root.join("etc");
    for end in ["", ".db", ".db.tmp"] {
        fs::write(
            etc.join(format!(".aliases.db.{}.aliases-map{end}", child.id())),
            "",
        )
        .unwrap();
    }
    site.publish().unwrap();
    site.expect(NEW, Some(NEW_MAP));
}

#[test]
fn a_map_with_a_second_name_is_replaced_and_that_is_said() {
    let site = Site::with_map("linked");
    fs::hard_link(site.map(), site.root.join("other.db")).unwrap();
    let published = site.publish().unwrap();
    site.expect(NEW, Some(NEW_MAP));
    let note = format!(
        "{:?} has another name (ls -i): under that one the old map stays",
        site.map()
    );
    assert_eq!(published.notes, [note]);
    let other = fs::read_to_string(site.root.join("other.db")).unwrap();
    assert_ne!(other, NEW_MAP);
    assert!(site.publish().unwrap().notes.is_empty());
}

/// alias_maps, what main.cf and master.cf else say, and whether mail goes by the file.
#[test]
fn a_file_that_only_newaliases_builds_is_not_read() {
    let site = Site::with_map("unread");
    let Mta::Postfix(postfix) = &site.mta else {
        unreachable!("the stand-ins are Postfix' tools");
    };
    let other = "local/unix/alias_maps = hash:/etc/other\n";
    let file = site.file().display().to_string();
    for (maps, database, services, wanted) in [
        ("FILE", "", "", None),
        ("nis:mail.aliases proxy:hash:FILE", "", "", None),
        ("", "btree:FILE", "", Some(format!("btree:{file}"))),
        ("hash:/o", "FILE", "", Some(format!("hash:/o, hash:{file}"))),
        (
            "hash:FILE",
            "hash:FILE",
            other,
            Some(format!("hash:/etc/other, hash:{file}")),
        ),
        (
            "hash:/o",
            "",
            &format!("mine/unix/alias_maps = {file}\n"),
            None,
        ),
    ] {
        site.configure(&format!("hash\n{maps}\n{database}\n"));
        fs::write(site.root.join("tools/services"), services).unwrap();
        let told = match postfix.check_read(&site.read()) {
            Ok(()) => None,
            Err(MtaError::NotRead {
                wanted, service, ..
            }) => {
                assert_eq!(service.is_some(), !services.is_empty());
                Some(wanted)
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(told, wanted, "{maps:?} {database:?} {services:?}");
    }
}

#[test]
fn a_map_that_is_asked_before_a_file_is_told_with_what_it_takes() {
    let site = Site::with_map("earlier");
    let Mta::Postfix(postfix) = &site.mta else {
        unreachable!("the stand-ins are Postfix' tools");
    };
    let first = site.root.join("first");
    fs::write(&first, "").unwrap();
    fs::write(site.root.join("first.db"), "a:\tmallory\nb:\tu2\n").unwrap();
    let originals = [Original::read(&first).unwrap(), site.read()];
    let maps = "unionmap:{ldap:/l ROOT/first} inline:{a=b} hash:FILE, hash:/behind";
    site.configure(&format!("hash\n{maps}\n\n"));
    let earlier = |files: &[&Original]| {
        let earlier = postfix.earlier(files).unwrap();
        let maps = earlier.iter().map(|one| one.map.clone());
        (maps.collect::<Vec<_>>(), earlier)
    };
    let (maps, _) = earlier(&[&originals[0], &originals[1]]);
    assert_eq!(maps, ["ldap:/l", "inline:"]);
    let (maps, found) = earlier(&[&originals[1]]);
    let hash = format!("hash:{}", first.display());
    assert_eq!(maps, ["ldap:/l", &hash, "inline:"]);
    assert_eq!(found[1].before, [0].into());
    let led = |n: usize| postfix.led_by(&found[n], &expected(NEW)).unwrap();
    assert_eq!((led(0), led(2)), (None, None));
    let taken: Vec<_> = led(1)
        .unwrap()
        .into_iter()
        .map(|one| one.expected.name)
        .collect();
    assert_eq!(taken, [b"a"]);
}

#[test]
fn a_map_that_one_service_alone_reads_is_built_and_a_service_without_it_is_told() {
    let site = Site::with_map("services");
    site.configure("hash\nhash:ROOT/other\n\n");
    let file = site.file().display().to_string();
    let services = format!(
        "local/unix/alias_maps = hash:{file}\nmine/unix/alias_maps = hash:/etc/other\n\
         mine/unix/virtual_alias_maps = hash:/etc/other\n"
    );
    fs::write(site.root.join("tools/services"), services).unwrap();
    assert_eq!(site.publish().unwrap().maps, [site.map()]);
    site.expect(NEW, Some(NEW_MAP));
    let Mta::Postfix(postfix) = &site.mta else {
        unreachable!("the stand-ins are Postfix' tools");
    };
    let others = postfix.overrides(&site.read()).unwrap();
    let others: Vec<_> = others.iter().map(|it| (&*it.service, &*it.value)).collect();
    assert_eq!(others, [("mine/unix", "hash:/etc/other")]);
}
