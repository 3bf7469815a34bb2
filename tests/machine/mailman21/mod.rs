//! A stand-in for Mailman 2.1, in as many releases as a test wants: a set-group-ID wrapper, a
//! queue of pickles, a master with its runners, and lists that whoever loads them converts. The
//! files beside this one are its sources; each says how the real one does it.
//!
//! Releases differ by number, by the version of their lists' data, and by faults. A release is
//! configured and compiled for its place out here, and lies in the machine as an unpacked and
//! built source: `make install` or `make doinstall` there puts it into that place.

mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::rig::{HOST, Machine, Postfix, VERBS, account, manager, programs, put, source};

/// Where an admin's own build of it stands, with its data in it.
pub(crate) const PREFIX: &str = "/usr/local/mailman";
/// Who owns the lists, and whose group the programs have.
pub(crate) const USER: &str = "list";
/// As whose group the MTA runs pipes: `--with-mail-gid`.
const MAIL_GROUP: &str = "nogroup";
/// Where its releases are unpacked.
const SOURCES: &str = "/usr/local/src";
/// Where the members of a tree's lists get their mail.
const MEMBERS: &str = "/var/members";

/// One release, as it is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) number: &'static str,
    pub(crate) data_version: u8,
    /// Verbs that its programs cannot handle: the wrapper ends with 1, which bounces.
    pub(crate) exits_1: &'static [&'static str],
    /// Its runners take a message up, and that is all; they do not end when told to.
    pub(crate) runners_hang: bool,
}

impl Release {
    /// A release without a fault.
    pub(crate) const fn sound(number: &'static str, data_version: u8) -> Release {
        Release {
            number,
            data_version,
            exits_1: &[],
            runners_hang: false,
        }
    }

    /// Its `make`, once it is built.
    pub(crate) fn make(&self) -> String {
        format!("{SOURCES}/mailman-{}/make", self.number)
    }

    /// Unpacks and builds it for this place, in the machine that `run` is the directory of.
    pub(crate) fn build(&self, run: &Path, prefix: &str) {
        let here = self.make();
        let here = here
            .trim_start_matches("/usr/local/")
            .trim_end_matches("/make");
        let here = run.join("local").join(here);
        fs::create_dir_all(&here).unwrap();
        let status = Command::new("cp")
            .args(["-r", "Mailman", "bin", "cron", "scripts", "make"])
            .arg(&here)
            .current_dir(source("mailman21"))
            .status();
        assert!(status.unwrap().success(), "cannot copy the sources");
        let status = Command::new("gcc")
            .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
            .arg(here.join("wrapper"))
            .arg(format!("-DPREFIX=\"{prefix}\""))
            .arg(format!("-DMAIL_GROUP=\"{MAIL_GROUP}\""))
            .arg(source("mailman21/wrapper.c"))
            // getgrgid reads /etc/group there as well; that it could also do more is no matter.
            .args(["-Wl,--no-warnings"])
            .status();
        assert!(status.unwrap().success(), "gcc failed");
        let configured = format!(
            "PREFIX={prefix}\nVAR_PREFIX={prefix}\nRELEASE={}\nDATA_VERSION={}\n\
             EXITS_1='{}'\nRUNNERS_HANG={}\n",
            self.number,
            self.data_version,
            self.exits_1.join(" "),
            if self.runners_hang { "True" } else { "False" },
        );
        put(&here.join("configured"), configured.as_bytes(), 0o644);
    }
}

/// A machine with this release in [`PREFIX`] as `make install` leaves it, with these lists and
/// their direct aliases; its runners run, and mail flows.
pub(crate) fn running(release: &Release, lists: &[String]) -> Machine {
    let machine = installed(release, lists, &[]);
    machine.expect(&format!("{PREFIX}/bin/mailmanctl start"));
    machine
}

/// The same without its runners, and with `more` releases, built for the places that go with them.
pub(crate) fn installed(release: &Release, lists: &[String], more: &[(Release, &str)]) -> Machine {
    let base = manager("mailman21");
    let machine = Machine::furnished(&Postfix { kind: "hash" }, &base, None, |run| {
        programs(run);
        release.build(run, PREFIX);
        for (next, prefix) in more {
            next.build(run, prefix);
        }
        put(&run.join("etc/aliases"), aliases(lists).as_bytes(), 0o644);
    });
    machine.expect(&format!("{} install", release.make()));
    machine.expect(&format!(
        "setpriv --reuid {USER} --regid {USER} --clear-groups {PREFIX}/bin/newlist owner@{HOST} {}",
        lists.join(" ")
    ));
    age(&machine, lists);
    machine
}

/// The aliases of a site that pipes straight into its list manager.
fn aliases(lists: &[String]) -> String {
    let mut aliases =
        String::from("# see aliases(5)\npostmaster:    root\nroot:          sender\n");
    for list in lists {
        aliases += &format!("\n## {list} mailing list\n");
        for (suffix, verb) in VERBS {
            let name = format!("{list}{suffix}:");
            aliases += &format!("{name:<24} \"|{PREFIX}/mail/mailman {verb} {list}\"\n");
        }
    }
    aliases
}

/// What years leave behind: messages that are held, an archive, templates of a list and of the
/// site, and a link into the archive that is absolute.
fn age(machine: &Machine, lists: &[String]) {
    let (user, group) = account(&machine.path("/"), USER);
    let place = |inside: &str| machine.path(&format!("{PREFIX}/{inside}"));
    let write = |inside: &str, text: &str, mode: u32| {
        put(&place(inside), text.as_bytes(), mode);
        chown(place(inside), Some(user), Some(group)).unwrap();
    };
    write("data/adm.pw", "0123456789abcdef\n", 0o640);
    write("templates/site/en/listinfo.html", "<p>ours</p>\n", 0o664);
    for list in lists {
        write(&format!("data/heldmsg-{list}-1.pck"), "held", 0o660);
        write(&format!("lists/{list}/pending.pck"), "(dp1\n.", 0o660);
        write(
            &format!("lists/{list}/en/listinfo.html"),
            "<p>theirs</p>\n",
            0o664,
        );
        let archive = format!("{PREFIX}/archives/private/{list}");
        write(
            &format!("archives/private/{list}/index.html"),
            "<p>posts</p>\n",
            0o664,
        );
        let link = place(&format!("archives/public/{list}"));
        std::os::unix::fs::symlink(&archive, link).unwrap();
    }
}

/// A post as a tree's runner gave it to the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    /// The tree's root, with `-` in the place of `/`.
    pub(crate) tree: String,
    pub(crate) list: String,
    pub(crate) release: String,
    pub(crate) data_version: u8,
}

/// What the members got, by the number of each message.
pub(crate) fn posts(machine: &Machine) -> BTreeMap<usize, Vec<Post>> {
    let mut posts = BTreeMap::<usize, Vec<Post>>::new();
    for entry in fs::read_dir(machine.path(MEMBERS)).unwrap() {
        let path = entry.unwrap().path();
        let tree = path.file_name().unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [number, list, release, version, _] = words[..] else {
                panic!("not a post: {line:?}");
            };
            posts
                .entry(number.parse().unwrap())
                .or_default()
                .push(Post {
                    tree: tree.clone(),
                    list: list.to_owned(),
                    release: release.to_owned(),
                    data_version: version.parse().unwrap(),
                });
        }
    }
    posts
}

/// The version of a list's data, as the bytes of its file tell it.
pub(crate) fn data_version(file: &Path) -> u8 {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let key = b"U\x0cdata_version";
    let at = bytes.windows(key.len()).position(|it| it == key);
    let rest = &bytes[at.unwrap_or_else(|| panic!("{file:?} is no list")) + key.len()..];
    // A memo of one byte or of four, then the number.
    let number = match rest[0] {
        b'q' => &rest[2..],
        b'r' => &rest[5..],
        _ => rest,
    };
    assert_eq!(number[0], b'K', "{file:?}");
    number[1]
}
