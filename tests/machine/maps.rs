//! Text and database under each real MTA and map type: both new, or both old, whatever fails or is
//! killed, and what a kill left behind is mended by the next run.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::rig::{Agent, Answer, Exim, Machine, OpenSmtpd, Postfix, Sendmail};

const TEXT: &str = "/etc/aliases";
const OURS: &str = "|/usr/lib/mm-deliver/mm-deliver post toylist";
const DIRECT: &str = "|/srv/mailman/a/mail/mailman post toylist";

/// One MTA with one map type, and the program that builds it.
struct Case {
    agent: &'static dyn Agent,
    map: &'static str,
    builder: &'static str,
    /// How the builder's, or the lister's, arguments end when it is asked for the map that stands.
    asked: &'static str,
    lister: &'static str,
    /// An owner and a mode that the new map must have from the old one.
    looks: Option<(&'static str, u32)>,
}

const POSTFIX: Case = Case {
    agent: &Postfix { kind: "hash" },
    map: "/etc/aliases.db",
    builder: "/usr/sbin/postalias",
    asked: "hash:/etc/aliases",
    lister: "/usr/sbin/postalias",
    looks: Some(("list:adm", 0o604)),
};
const BTREE: Case = Case {
    agent: &Postfix { kind: "btree" },
    asked: "btree:/etc/aliases",
    ..POSTFIX
};
const LMDB: Case = Case {
    agent: &Postfix { kind: "lmdb" },
    map: "/etc/aliases.lmdb",
    asked: "lmdb:/etc/aliases",
    ..POSTFIX
};
const CDB: Case = Case {
    agent: &Postfix { kind: "cdb" },
    map: "/etc/aliases.cdb",
    asked: "cdb:/etc/aliases",
    ..POSTFIX
};
const SENDMAIL: Case = Case {
    agent: &Sendmail,
    map: "/etc/mail/aliases.db",
    builder: "/usr/libexec/sendmail/sendmail",
    asked: "/etc/mail/aliases",
    lister: "/usr/libexec/sendmail/makemap",
    // Sendmail trusts no map of another owner.
    looks: None,
};
const SMTPD_DB: Case = Case {
    agent: &OpenSmtpd { table: "db" },
    map: "/etc/aliases.db",
    builder: "/usr/sbin/smtpctl",
    asked: "/etc/aliases.db",
    lister: "/usr/sbin/smtpctl",
    looks: Some(("list:adm", 0o604)),
};

/// What stands: the text, and the map's bytes, inode, owner and mode.
#[derive(PartialEq, Eq)]
struct Standing {
    text: Vec<u8>,
    map: Vec<u8>,
    looks: (u64, u32, u32, u32),
}

impl Case {
    fn machine(&self) -> Machine {
        let machine = Machine::with(self.agent, &["toylist"]);
        machine.expect("mm-parity init --current a");
        machine
    }

    fn standing(&self, machine: &Machine) -> Standing {
        let metadata = fs::metadata(machine.path(self.map)).unwrap();
        Standing {
            text: fs::read(machine.path(TEXT)).unwrap(),
            map: fs::read(machine.path(self.map)).unwrap(),
            looks: (
                metadata.ino(),
                metadata.uid(),
                metadata.gid(),
                metadata.mode(),
            ),
        }
    }

    /// Nothing but the text and the map may stand, and the MTA must lead toylist there.
    #[track_caller]
    fn expect(&self, machine: &Machine, standing: &Standing, destination: &str) {
        assert!(*standing == self.standing(machine), "something has changed");
        expect_no_leftover(machine);
        expect_leads(machine, destination);
        self.expect_listed(machine, destination);
    }

    /// The map itself must have toylist, by the tool that lists or asks it.
    #[track_caller]
    fn expect_listed(&self, machine: &Machine, destination: &str) {
        let listed = match self.agent.name() {
            "postfix" => shell(machine, &format!("postalias -q toylist {}", self.asked)),
            "sendmail" => shell(machine, "makemap -u hash /etc/mail/aliases"),
            _ => shell(machine, "makemap -U /etc/aliases.db"),
        };
        assert!(listed.contains(destination), "{destination}: {listed}");
    }
}

pub(crate) fn shell(machine: &Machine, script: &str) -> String {
    let output = machine.command("sh -ec").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{script}: {}: {said}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A script in the place of a program, which is REAL in it.
pub(crate) fn wrap(machine: &Machine, program: &str, script: &str) {
    let name = program.rsplit('/').next().unwrap();
    let script = format!("#!/bin/sh\nREAL=/tmp/real/${{0##*/}}\n{script}\n");
    let wrapper = machine.path("/tmp").join(name);
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    shell(
        machine,
        &format!(
            "mkdir -p /tmp/real; cp -p {program} /tmp/real/{name}
             [ {name} != smtpctl ] || ln -sf smtpctl /tmp/real/makemap
             mount --bind /tmp/{name} {program}"
        ),
    );
}

pub(crate) fn unwrap(machine: &Machine, program: &str) {
    machine.expect(&format!("umount {program}"));
}

#[track_caller]
fn expect_no_leftover(machine: &Machine) {
    let left = shell(
        machine,
        "ls -A /etc /etc/mail 2>/dev/null | grep aliases- || :",
    );
    assert_eq!(left, "", "temporary files are left");
}

/// The MTA itself must find toylist, and lead it there as far as it says where.
#[track_caller]
fn expect_leads(machine: &Machine, destination: &str) {
    let answer = machine.look_up("toylist");
    println!("| toylist: {answer:?}");
    let Answer::Found(found) = answer else {
        panic!("{answer:?}")
    };
    let says_where = found.contains('|');
    assert!(!says_where || found.contains(destination), "{found}");
}

#[track_caller]
fn expect_refused(machine: &Machine, words: &[&str]) {
    let output = machine.run("mm-aliases adopt");
    assert_eq!(output.status.code(), Some(1));
    for word in words {
        assert!(said(&output).contains(word), "no {word:?} is said");
    }
}

/// adopt and unadopt: the map has what the text has, looks as before, and the text comes back.
fn there_and_back(case: &Case) {
    let machine = case.machine();
    if let Some((owner, mode)) = case.looks {
        shell(
            &machine,
            &format!("chown {owner} {0}; chmod {mode:o} {0}", case.map),
        );
    }
    let before = case.standing(&machine);
    machine.expect("mm-aliases adopt");
    let now = case.standing(&machine);
    assert!(now.text != before.text && now.looks.0 != before.looks.0);
    let (_, looks) = (now.looks.0, (now.looks.1, now.looks.2, now.looks.3));
    let old = (before.looks.1, before.looks.2, before.looks.3);
    println!("| owner, group, mode of the map: {looks:?}");
    assert_eq!(looks, old, "owner or mode of the map");
    case.expect(&machine, &now, OURS);
    machine.expect("mm-aliases unadopt");
    assert!(case.standing(&machine).text == before.text);
    case.expect_listed(&machine, DIRECT);
    expect_no_leftover(&machine);
}

/// A map that leads elsewhere, found beside and found in place: text and map are as before.
fn wrong_map(case: &Case) {
    let machine = case.machine();
    let before = case.standing(&machine);

    println!("| ==== the builder writes what the text has not");
    wrap(
        &machine,
        case.builder,
        "for text; do :; done
         case \"$*\" in *aliases-map*) case \"$*\" in *-q*|*-U*) ;; *) sed -i s/mm-deliver/mm-liar/ \"${text#*:}\" ;; esac ;; esac
         exec $REAL \"$@\"",
    );
    expect_refused(&machine, &["do not lead", "nothing has changed"]);
    unwrap(&machine, case.builder);
    case.expect(&machine, &before, DIRECT);

    println!("| ==== the map that stands leads elsewhere");
    wrap(
        &machine,
        case.lister,
        &format!(
            "case \"$*\" in -[quU]*{}) $REAL \"$@\" | sed s/mm-deliver/mm-liar/ ;; *) exec $REAL \"$@\" ;; esac",
            case.asked
        ),
    );
    expect_refused(&machine, &["do not lead", "as before"]);
    unwrap(&machine, case.lister);
    case.expect(&machine, &before, DIRECT);

    machine.expect("mm-aliases adopt");
    case.expect_listed(&machine, OURS);
}

/// Both the builder and we are killed while it writes; the next run finds the old state.
fn killed_builder(case: &Case) {
    let machine = case.machine();
    let path = machine.path(TEXT);
    let mut text = fs::read_to_string(&path).unwrap();
    text.extend((0..100_000).map(|n| format!("person{n:06}: root\n")));
    fs::write(&path, text).unwrap();
    machine.rebuild();
    let before = case.standing(&machine);
    wrap(
        &machine,
        case.builder,
        "for text; do :; done
         text=${text#*:}
         case \"$*\" in *-q*|*-U*) exec $REAL \"$@\" ;; *aliases-map) ;; *) exec $REAL \"$@\" ;; esac
         $REAL \"$@\" & builder=$!
         while kill -0 $builder; do set -- \"$text\".*; [ -e \"$1\" ] && break; done
         kill -STOP $builder && ls -lA \"$text\"* >/tmp/killed
         kill -KILL $builder $PPID",
    );
    let output = machine.run("mm-aliases adopt");
    assert_eq!(output.status.signal(), Some(9), "not killed");
    print!("| left:\n{}", shell(&machine, "cat /tmp/killed"));
    unwrap(&machine, case.builder);
    assert!(case.standing(&machine) == before, "something has changed");
    expect_leads(&machine, DIRECT);
    case.expect_listed(&machine, DIRECT);

    machine.expect("mm-aliases adopt");
    expect_leads(&machine, OURS);
    case.expect_listed(&machine, OURS);
    expect_no_leftover(&machine);
}

/// A text that was edited without its map, and a map that is gone: sync mends both.
fn stale_map(case: &Case) {
    let machine = case.machine();
    machine.expect("mm-aliases adopt");
    let path = machine.path(TEXT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "added: root\n").unwrap();
    let check = machine.run("mm-aliases check");
    assert!(said(&check).contains("has them: added"), "check is silent");
    machine.expect("mm-aliases sync");
    let answer = machine.look_up("added");
    assert!(matches!(answer, Answer::Found(_)), "{answer:?}");

    println!("| ==== somebody else's entry is edited, and the map looks newer than that");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("added: root", "added: nobody")).unwrap();
    machine.expect(&format!("touch -d +1hour {}", case.map));
    let check = machine.run("mm-aliases check");
    assert!(said(&check).contains("has them: added"), "check is silent");
    machine.expect("mm-aliases sync");
    machine.expect("mm-aliases check");
    let standing = case.standing(&machine);
    machine.expect("mm-aliases sync");
    assert!(standing == case.standing(&machine), "built once more");

    machine.expect(&format!("rm {}", case.map));
    let check = machine.run("mm-aliases check");
    assert!(said(&check).contains("is missing"), "check is silent");
    machine.expect("mm-aliases sync");
    expect_leads(&machine, OURS);
    case.expect_listed(&machine, OURS);
    machine.expect("mm-aliases check");
}

macro_rules! each_case {
    ($($act:ident: $($name:ident = $case:ident),+;)+) => {
        $($(
            #[test]
            fn $name() {
                $act(&$case);
            }
        )+)+
    };
}

each_case! {
    there_and_back:
        maps_postfix_hash_there_and_back = POSTFIX,
        maps_postfix_btree_there_and_back = BTREE,
        maps_postfix_lmdb_there_and_back = LMDB,
        maps_postfix_cdb_there_and_back = CDB,
        maps_sendmail_there_and_back = SENDMAIL,
        maps_opensmtpd_db_there_and_back = SMTPD_DB;
    wrong_map:
        maps_postfix_hash_wrong_goes_back = POSTFIX,
        maps_postfix_lmdb_wrong_goes_back = LMDB,
        maps_postfix_cdb_wrong_goes_back = CDB,
        maps_sendmail_wrong_goes_back = SENDMAIL,
        maps_opensmtpd_db_wrong_goes_back = SMTPD_DB;
    killed_builder:
        maps_postfix_hash_survives_a_killed_builder = POSTFIX,
        maps_postfix_lmdb_survives_a_killed_builder = LMDB,
        maps_postfix_cdb_survives_a_killed_builder = CDB,
        maps_sendmail_survives_a_killed_builder = SENDMAIL,
        maps_opensmtpd_db_survives_a_killed_builder = SMTPD_DB;
    stale_map:
        maps_postfix_lmdb_stale_is_mended = LMDB,
        maps_postfix_cdb_stale_is_mended = CDB,
        maps_sendmail_stale_is_mended = SENDMAIL,
        maps_opensmtpd_db_stale_is_mended = SMTPD_DB;
}

#[test]
fn maps_postfix_several_of_one_file_are_all_new_or_the_file_is_left() {
    let machine = POSTFIX.machine();
    shell(
        &machine,
        "postconf -e 'alias_maps=lmdb:/etc/aliases, hash:/etc/other proxy:cdb:/etc/aliases nis:mail.aliases'
         postconf -e alias_database=btree:/etc/aliases
         echo 'x: root' >/etc/other; postalias hash:/etc/other; rm /etc/aliases.db",
    );
    machine.expect("mm-aliases adopt");
    for kind in ["lmdb", "cdb", "btree"] {
        let found = shell(
            &machine,
            &format!("postalias -q toylist {kind}:/etc/aliases"),
        );
        assert!(found.contains(OURS), "{kind}: {found}");
    }
    machine.expect("mm-aliases check");
    shell(
        &machine,
        "postconf -e 'alias_maps=lmdb:/etc/aliases dbm:/etc/aliases'",
    );
    let output = machine.run("mm-aliases unadopt");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("dbm:/etc/aliases"));
    expect_no_leftover(&machine);
}

#[test]
fn maps_postfix_that_are_one_file_are_one_map() {
    let machine = POSTFIX.machine();
    shell(
        &machine,
        "mkdir -p /etc/mail; ln -s ../aliases ../aliases.db /etc/mail
         postconf -e alias_maps=hash:/etc/aliases alias_database=hash:/etc/mail/aliases",
    );
    machine.expect("mm-aliases adopt");
    POSTFIX.expect_listed(&machine, OURS);
    expect_leads(&machine, OURS);
    machine.expect("mm-aliases check");
    expect_no_leftover(&machine);

    println!("| ==== of two types");
    let before = POSTFIX.standing(&machine);
    shell(
        &machine,
        "postconf -e 'alias_maps=hash:/etc/aliases, btree:/etc/aliases'",
    );
    let output = machine.run("mm-aliases unadopt");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("btree:/etc/aliases, and cannot be both"));
    POSTFIX.expect(&machine, &before, OURS);
}

/// What another editor does between the exchange of the text and that of the map.
#[test]
fn maps_postfix_follow_an_edit_that_comes_while_they_move() {
    let machine = POSTFIX.machine();
    machine.expect("mm-aliases adopt");
    let mut unadopt = machine
        .command("strace -f -o /tmp/trace -e trace=renameat2")
        .args(["-e", "inject=renameat2:delay_enter=5000000:when=2"])
        .args(["mm-aliases", "unadopt", "toylist"])
        .spawn()
        .unwrap();
    let trace = machine.path("/tmp/trace");
    let start = Instant::now();
    let exchanges = || {
        let trace = fs::read_to_string(&trace).unwrap_or_default();
        trace.matches("renameat2(").count()
    };
    while exchanges() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "no exchange");
        std::thread::sleep(Duration::from_millis(5));
    }
    shell(&machine, "echo 'race: root' >>/etc/aliases; newaliases");
    assert!(unadopt.wait().unwrap().success());
    let found = shell(&machine, "postalias -q race hash:/etc/aliases");
    assert_eq!(found, "root\n");
    let text = fs::read_to_string(machine.path(TEXT)).unwrap();
    assert!(text.ends_with("race: root\n"), "{text}");
    POSTFIX.expect_listed(&machine, DIRECT);
    expect_no_leftover(&machine);
}

#[test]
fn maps_postfix_stand_and_go_back_where_names_cannot_be_exchanged() {
    for error in ["EINVAL", "ENOSYS"] {
        println!("| ==== {error}");
        let machine = POSTFIX.machine();
        let run = |command: &str| {
            let strace = format!("strace -f -o /tmp/trace -e inject=renameat2:error={error}");
            machine.run(&format!("{strace} mm-aliases {command}"))
        };
        machine.expect("rm /etc/aliases.db");
        assert!(run("adopt").status.success(), "the first map");
        POSTFIX.expect(&machine, &POSTFIX.standing(&machine), OURS);
        assert!(run("unadopt").status.success(), "a map after another");
        let before = POSTFIX.standing(&machine);
        POSTFIX.expect(&machine, &before, DIRECT);

        let script = "case \"$*\" in -q*hash:/etc/aliases) $REAL \"$@\" | sed s/mm-deliver/mm-liar/ ;; \
                      *) exec $REAL \"$@\" ;; esac";
        wrap(&machine, POSTFIX.lister, script);
        let output = run("adopt");
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("as before"), "no \"as before\"");
        unwrap(&machine, POSTFIX.lister);
        POSTFIX.expect(&machine, &before, DIRECT);
        let trace = fs::read_to_string(machine.path("/tmp/trace")).unwrap();
        assert!(trace.contains("(INJECTED)"), "nothing was injected");
    }
}

#[test]
fn maps_sendmail_has_every_name_though_a_line_cannot_be_read() {
    let machine = SENDMAIL.machine();
    let path = machine.path(TEXT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("nonsense\n{text}last: root\n")).unwrap();
    let adopted = machine.expect("mm-aliases adopt");
    assert!(adopted.contains("line 1: missing colon"), "no warning");
    for name in ["toylist", "toylist-owner", "postmaster", "last"] {
        let answer = machine.look_up(name);
        assert!(matches!(answer, Answer::Found(_)), "{name}: {answer:?}");
    }
}

#[test]
fn maps_sendmail_of_other_types_are_named() {
    let machine = SENDMAIL.machine();
    let configured = |types: &str| {
        let line = format!("s|^O AliasFile=.*|O AliasFile={types}|");
        shell(&machine, &format!("sed -i '{line}' /etc/mail/sendmail.cf"));
    };
    configured("dbm:/etc/mail/aliases");
    expect_refused(&machine, &["dbm:/etc/mail/aliases", "nothing has changed"]);
    configured("/etc/mail/other");
    expect_refused(&machine, &["does not read this file", "sendmail.cf"]);
    configured("hash:-o /etc/mail/aliases, nis:mail.aliases");
    machine.expect("mm-aliases adopt");
    SENDMAIL.expect_listed(&machine, OURS);
}

#[test]
fn maps_sendmail_first_map_is_the_trusted_users() {
    let machine = SENDMAIL.machine();
    let looks = || shell(&machine, "stat -c '%U:%G %a' /etc/mail/aliases.db");
    let before = looks();
    machine.expect("rm /etc/mail/aliases.db");
    machine.expect("mm-aliases adopt");
    println!("| {}", looks());
    assert_eq!(looks(), before);
}

#[test]
fn maps_exim_refuses_pipes_that_would_only_wait() {
    let machine = Machine::with(&Exim, &["toylist"]);
    machine.expect("mm-parity init --current a");
    let before = fs::read(machine.path(TEXT)).unwrap();
    let configured = |from: &str, to: &str| {
        shell(
            &machine,
            &format!("sed -i 's|{from}|{to}|' /var/lib/exim4/config.autogenerated"),
        );
    };
    let refused = |words: &[&str]| {
        expect_refused(&machine, words);
        assert!(fs::read(machine.path(TEXT)).unwrap() == before);
        expect_no_leftover(&machine);
    };
    let with = "^SYSTEM_ALIASES_PIPE_TRANSPORT = address_pipe";
    configured(with, "#no pipe");
    refused(&["system_aliases", "SYSTEM_ALIASES_PIPE_TRANSPORT", "nothing"]);
    configured("^#no pipe", "SYSTEM_ALIASES_PIPE_TRANSPORT = address_pipe");
    configured("lsearch{/etc/aliases}", "lsearch{/etc/other}");
    refused(&["does not read this file", "exim -bP routers"]);
    configured("lsearch{/etc/other}", "cdb{/etc/aliases}");
    refused(&["cdb of router system_aliases"]);
    configured("cdb{/etc/aliases}", "lsearch{/etc/aliases}");
    machine.expect("mm-aliases adopt");
    expect_leads(&machine, OURS);
    machine.expect("mm-aliases check");
    machine.expect("mm-aliases unadopt");
    assert!(fs::read(machine.path(TEXT)).unwrap() == before);
}

/// A machine whose table is the text itself.
fn smtpd_file() -> Machine {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &["toylist"]);
    machine.expect("mm-parity init --current a");
    // It must have read the file before that is changed under it.
    expect_leads(&machine, DIRECT);
    machine
}

#[test]
fn maps_opensmtpd_file_is_refused_before_it_stands() {
    let machine = smtpd_file();
    let path = machine.path(TEXT);
    let good = fs::read_to_string(&path).unwrap();
    let bad = format!("{good}nothing:\n");
    fs::write(&path, &bad).unwrap();
    let line = good.lines().count() + 1;
    expect_refused(&machine, &[&format!("line {line}"), "nothing has changed"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    expect_no_leftover(&machine);
    expect_leads(&machine, DIRECT);
    fs::write(&path, &good).unwrap();
    machine.expect("mm-aliases adopt");
    let (_, got) = machine.send_and_take("toylist", b"Subject: x\n\nhello\n");
    assert_eq!(got.ran_by(), Some("/usr/lib/mm-deliver/mm-deliver"));
    machine.expect("mm-aliases unadopt");
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
}

#[test]
fn maps_opensmtpd_file_that_the_daemon_refuses_goes_back() {
    let machine = smtpd_file();
    let before = fs::read(machine.path(TEXT)).unwrap();
    wrap(
        &machine,
        "/usr/sbin/smtpctl",
        "echo 'command failed'; exit 1",
    );
    expect_refused(&machine, &["smtpctl", "command failed", "as before"]);
    unwrap(&machine, "/usr/sbin/smtpctl");
    assert!(fs::read(machine.path(TEXT)).unwrap() == before);
    expect_no_leftover(&machine);
    expect_leads(&machine, DIRECT);
}

#[test]
fn maps_opensmtpd_file_is_told_again_after_a_kill() {
    let machine = smtpd_file();
    machine.expect("mm-aliases adopt");
    let path = machine.path(TEXT);
    let text = fs::read_to_string(&path).unwrap();
    let without: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("toylist-owner:"))
        .collect();
    fs::write(&path, without).unwrap();
    machine.rebuild();
    assert!(matches!(
        machine.look_up("toylist-owner"),
        Answer::Missing(_)
    ));

    println!("| ==== killed when the text stands and the daemon is about to be told");
    wrap(&machine, "/usr/sbin/smtpctl", "kill -KILL $PPID");
    let output = machine.run("mm-aliases sync");
    assert_eq!(output.status.signal(), Some(9), "not killed");
    unwrap(&machine, "/usr/sbin/smtpctl");
    assert!(fs::read_to_string(&path).unwrap().contains("toylist-owner"));
    assert!(matches!(
        machine.look_up("toylist-owner"),
        Answer::Missing(_)
    ));
    let check = machine.run("mm-aliases check");
    assert!(said(&check).contains("may not have been told"), "silent");
    machine.expect("mm-aliases sync");
    let answer = machine.look_up("toylist-owner");
    assert!(matches!(answer, Answer::Found(_)), "{answer:?}");
    expect_no_leftover(&machine);
    machine.expect("mm-aliases check");
}

#[test]
fn maps_opensmtpd_file_that_was_put_back_under_the_daemon_is_told_by_sync() {
    let machine = smtpd_file();
    machine.expect("mm-aliases adopt");
    let path = machine.path(TEXT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("toylist-owner:", "elsewhere:")).unwrap();
    machine.rebuild();
    fs::write(&path, &text).unwrap();
    let missing = |answer: Answer| matches!(answer, Answer::Missing(_));
    assert!(missing(machine.look_up("toylist-owner")));
    machine.expect("mm-aliases sync");
    assert!(!missing(machine.look_up("toylist-owner")));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn maps_opensmtpd_that_hangs_is_not_waited_for_twice() {
    let machine = smtpd_file();
    let before = fs::read(machine.path(TEXT)).unwrap();
    wrap(
        &machine,
        "/usr/sbin/smtpctl",
        "echo >>/tmp/told; exec sleep 120",
    );
    let output = machine.run("mm-aliases adopt");
    // It may have read the new text, whose old one stands again: that must be looked at.
    assert_eq!(output.status.code(), Some(3));
    for word in ["smtpctl", "was not done after 30 s", "after 5 s"] {
        assert!(said(&output).contains(word), "no {word:?} is said");
    }
    let told = fs::read(machine.path("/tmp/told")).unwrap();
    unwrap(&machine, "/usr/sbin/smtpctl");
    assert!(told.len() <= 2, "told {} times", told.len());
    assert!(fs::read(machine.path(TEXT)).unwrap() == before);
}

#[test]
fn maps_opensmtpd_that_does_not_run_needs_the_text_alone() {
    let machine = smtpd_file();
    wrap(
        &machine,
        "/usr/sbin/smtpctl",
        "echo \"smtpctl: smtpd doesn't seem to be running\" >&2; exit 1",
    );
    let adopted = machine.expect("mm-aliases adopt");
    assert!(adopted.contains("smtpd is not running"), "nothing is said");
    assert!(
        fs::read_to_string(machine.path(TEXT))
            .unwrap()
            .contains(OURS)
    );
    expect_no_leftover(&machine);
}

#[test]
fn maps_opensmtpd_tables_are_found_where_they_are_included() {
    let machine = smtpd_file();
    shell(
        &machine,
        "sed -n '/^table/p' /etc/smtpd.conf >/etc/smtpd.tables
         sed -i 's|^table.*|include \"/etc/smtpd.tables\"|' /etc/smtpd.conf",
    );
    machine.expect("mm-aliases adopt");
    shell(&machine, "sed -i s/aliases/others/ /etc/smtpd.tables");
    let output = machine.run("mm-aliases unadopt");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("does not read this file"));
}
