//! Text and database under Sendmail, Exim and OpenSMTPD, with tools that stand in for theirs.
//!
//! The stand-ins are shell scripts that do as the real programs were seen to; files beside them make
//! each step fail. The real programs are asked in the project's machine tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aliases::{
    Cause, Dialect, Document, Exim, Expected, MapTrouble, Mta, MtaError, OpenSmtpd, Original,
    PublishError, Sendmail,
};

const OLD: &str = "a: u1\n";
const NEW: &str = "a: \"|/bin/p x\"\nb: u2\n";

const SENDMAIL: &str = r#"
fails && exit 75
text=${2#-oA*:}
{ printf '@\t\n'; sed -n 's/^\([a-z]*\): */\1\t/p' "$text"; } >"$text.db"
lines=$(grep -c : "$text")
is short && sed -i '$d' "$text.db"
grep -n '^[^:]*$' "$text" | while IFS=: read -r n rest; do echo "$text: line $n: missing colon"; done
echo "$text: $lines aliases, longest 9 bytes, 99 bytes total"
grep -q '^[^:]*$' "$text" && exit 70
exit 0
"#;
const MAKEMAP: &str = r#"
if [ "$1" = -u ]; then list=$3.db; elif [ "$1" = -U ]; then list=$2; else
    fails && { echo 'makemap: no' >&2; exit 1; }
    sed -n 's/^\([a-z]*\): */\1\t/p' "$5" >"$4"
    exit
fi
case $list in *aliases-map*) cat "$list" ;; *) is lies && sed 's/bin/sbin/' "$list" || cat "$list" ;; esac
"#;
const SMTPD: &str = r#"
text=$(sed -n 's/^table t "file:\(.*\)"$/\1/p' "$3")
grep -n ':$' "$text" | while IFS=: read -r n rest; do
    echo "$text: invalid map entry line $n" >&2; echo "$3:1: invalid configuration file" >&2
done
! grep -q ':$' "$text"
"#;
const SMTPCTL: &str = r#"
is down && { echo "smtpctl: smtpd doesn't seem to be running" >&2; exit 1; }
fails && { echo 'command failed'; exit 1; }
[ "$1 $2" = "update table" ] && echo "$3" >>"$tools/told"
"#;
const EXIM: &str = r#"
if [ "$1" = -bP ]; then exec cat "$tools/routers"; fi
while IFS= read -r line; do
    line=${line#*'{'}; line=${line#*'{'}; name=${line%%'}'*}
    line=${line#*'{'}; file=${line%%'}'*}
    value=$(sed -n "s/^$name: *//p" "$file")
    case $file in *aliases-map*) ;; *) is lies && value=elsewhere ;; esac
    [ -n "$value" ] && echo "> +$value" || echo '> -'
done
echo '> '
"#;

/// A directory with an aliases file and stand-ins for an MTA's tools.
struct Site {
    root: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// A script cannot be started while another thread's new child still has it open for writing.
static ALONE: Mutex<()> = Mutex::new(());

impl Site {
    fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root =
            std::env::temp_dir().join(format!("aliases-others-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir(root.join("tools")).unwrap();
        let scripts = [
            ("sendmail", SENDMAIL),
            ("makemap", MAKEMAP),
            ("smtpd", SMTPD),
            ("smtpctl", SMTPCTL),
            ("exim", EXIM),
        ];
        for (tool, script) in scripts {
            let path = root.join("tools").join(tool);
            let head = "#!/bin/sh\ntools=${0%/*}\nis() { [ -f \"$tools/$1\" ]; }\nfails() { is \"${0##*/}-fails\"; }\n";
            fs::write(&path, format!("{head}{script}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let site = Self {
            root,
            _alone: alone,
        };
        fs::write(site.file(), OLD).unwrap();
        site
    }

    fn file(&self) -> PathBuf {
        self.root.join("etc/aliases")
    }

    fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// Writes a configuration, in which FILE is the aliases file.
    fn configured(&self, text: &str) -> PathBuf {
        let path = self.tools().join("routers");
        fs::write(&path, text.replace("FILE", self.file().to_str().unwrap())).unwrap();
        path
    }

    fn sendmail(&self, text: &str) -> Mta {
        Mta::Sendmail(Sendmail::with_tools(self.tools(), self.configured(text)))
    }

    fn opensmtpd(&self, text: &str) -> Mta {
        Mta::OpenSmtpd(OpenSmtpd::with_tools(self.tools(), self.configured(text)))
    }

    fn exim(&self, text: &str) -> Mta {
        self.configured(text);
        Mta::Exim(Exim::with_tools(self.tools()))
    }

    fn set(&self, what: &str) {
        fs::write(self.tools().join(what), "").unwrap();
    }

    fn clear(&self, what: &str) {
        fs::remove_file(self.tools().join(what)).unwrap();
    }

    fn publish(&self, mta: &Mta, text: &str) -> Result<aliases::Published, PublishError> {
        let document = Document::parse(text.as_bytes(), Dialect::Postfix);
        let expected: Vec<Expected> = document.entries().map(|it| Expected::entry(&it)).collect();
        mta.publish(&self.read(), text.as_bytes(), &expected)
    }

    fn read(&self) -> Original {
        Original::read(self.file()).unwrap()
    }

    #[track_caller]
    fn expect(&self, text: &str, map: Option<&str>) {
        assert_eq!(fs::read_to_string(self.file()).unwrap(), text);
        let found = fs::read_to_string(self.root.join("etc/aliases.db")).ok();
        assert_eq!(found.as_deref(), map);
        let count = fs::read_dir(self.root.join("etc")).unwrap().count();
        assert_eq!(count, 1 + usize::from(map.is_some()), "files are left");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const NEW_MAP: &str = "a\t\"|/bin/p x\"\nb\tu2\n";

#[test]
fn sendmail_goes_back_whatever_step_fails() {
    let site = Site::new("sendmail");
    let mta = site.sendmail("O AliasFile=FILE\n");
    let whole = format!("@\t\n{NEW_MAP}");
    site.publish(&mta, NEW).unwrap();
    site.expect(NEW, Some(&whole));
    for (step, said) in [
        ("sendmail-fails", "75"),
        ("short", "names of 2 are in the new one"),
        ("lies", "text and database are as before"),
    ] {
        site.set(step);
        let error = site.publish(&mta, "a: \"|/bin/q\"\nb: u3\n").unwrap_err();
        assert!(error.to_string().contains(said), "{step}: {error}");
        site.expect(NEW, Some(&whole));
        site.clear(step);
    }
}

#[test]
fn sendmail_writes_the_map_though_its_status_is_70() {
    let site = Site::new("seventy");
    let mta = site.sendmail("O AliasFile=hash:-o FILE, nis:mail.aliases\n");
    let text = format!("{NEW}nonsense\n");
    let published = site.publish(&mta, &text).unwrap();
    let warning = format!("{}: line 3: missing colon", site.file().display());
    assert_eq!(published.warnings, [warning]);
    site.expect(&text, Some(&format!("@\t\n{NEW_MAP}")));
}

#[test]
fn opensmtpd_never_lets_a_text_stand_that_it_refuses() {
    let site = Site::new("file");
    let mta = site.opensmtpd("table t file:FILE\naction x mbox alias <t>\n");
    let error = site.publish(&mta, "a: u1\nb:\n").unwrap_err();
    let line = format!(
        "{}: invalid map entry line 2; nothing",
        site.file().display()
    );
    assert!(error.to_string().contains(&line), "{error}");
    site.expect(OLD, None);
    assert!(!site.tools().join("told").exists(), "the daemon was told");
    site.publish(&mta, NEW).unwrap();
    site.expect(NEW, None);
    assert_eq!(
        fs::read_to_string(site.tools().join("told")).unwrap(),
        "t\n"
    );
}

#[test]
fn opensmtpd_that_refuses_what_it_is_told_keeps_the_old_text() {
    for (name, configured) in [
        ("told", "table t file:FILE\naction x mbox alias <t>\n"),
        ("told-db", "table t db:FILE.db\naction x mbox alias <t>\n"),
    ] {
        let site = Site::new(name);
        let mta = site.opensmtpd(configured);
        site.set("smtpctl-fails");
        let error = site.publish(&mta, NEW).unwrap_err();
        assert!(matches!(error, PublishError::PutBack(_)), "{error}");
        assert!(error.to_string().contains("command failed"), "{error}");
        site.expect(OLD, None);
        site.clear("smtpctl-fails");
        site.set("down");
        let published = site.publish(&mta, NEW).unwrap();
        assert!(published.notes[0].starts_with("smtpd is not running"));
    }
}

#[test]
fn opensmtpd_db_goes_back_whatever_step_fails() {
    let site = Site::new("db");
    let mta = site.opensmtpd("table t db:FILE.db\naction x mbox alias <t>\n");
    site.publish(&mta, NEW).unwrap();
    site.expect(NEW, Some(NEW_MAP));
    for (step, said) in [("makemap-fails", "makemap: no"), ("lies", "as before")] {
        site.set(step);
        let error = site.publish(&mta, "a: \"|/bin/q\"\n").unwrap_err();
        assert!(error.to_string().contains(said), "{step}: {error}");
        site.expect(NEW, Some(NEW_MAP));
        site.clear(step);
    }
    // On the way back the daemon is told of the old map again.
    assert_eq!(
        fs::read_to_string(site.tools().join("told")).unwrap(),
        "t\nt\nt\n"
    );
}

#[test]
fn opensmtpd_that_a_killed_run_did_not_tell_is_told_by_the_next() {
    let site = Site::new("untold");
    let mta = site.opensmtpd("table t file:FILE\naction x mbox alias <t>\n");
    let trouble = || mta.verify(&site.read(), &[]).unwrap()[0].trouble.clone();
    assert_eq!(trouble(), None);
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    let left = format!("etc/.aliases.{}.aliases-map", child.id());
    fs::write(site.root.join(&left), "").unwrap();
    mta.sweep(&site.read());
    assert_eq!(trouble(), Some(MapTrouble::Untold));
    mta.rebuild(&site.read(), &[]).unwrap();
    assert_eq!(trouble(), None);
    site.expect(OLD, None);
}

#[test]
fn a_map_of_another_text_is_wrong_however_new_it_looks() {
    let site = Site::new("content");
    let db = "table t db:FILE.db\naction x mbox alias <t>\n";
    for mta in [site.sendmail("O AliasFile=FILE\n"), site.opensmtpd(db)] {
        // Both configurations are one file: the last one stands.
        let configuration = match &mta {
            Mta::Sendmail(_) => "O AliasFile=FILE\n",
            _ => db,
        };
        site.configured(configuration);
        let trouble = || mta.verify(&site.read(), &[]).unwrap()[0].trouble.clone();
        site.publish(&mta, NEW).unwrap();
        assert_eq!(trouble(), None);
        let map = site.root.join("etc/aliases.db");
        let standing = fs::read_to_string(&map).unwrap();
        for (from, to, name) in [("u2", "u3", "b"), ("b\t", "c\t", "c"), ("a\t", "d\t", "d")] {
            fs::write(&map, standing.replace(from, to)).unwrap();
            let Some(MapTrouble::Wrong(names)) = trouble() else {
                unreachable!("{:?}", trouble());
            };
            assert_eq!(names[0], name.as_bytes());
        }
        mta.rebuild(&site.read(), &[]).unwrap();
        assert_eq!(trouble(), None);
        site.expect(NEW, Some(&standing));
        site.publish(&mta, OLD).unwrap();
    }
}

#[test]
fn opensmtpd_is_told_of_what_stands_whenever_that_is_asked_for() {
    let site = Site::new("always");
    let mta = site.opensmtpd(
        "table t file:FILE\ntable u file:FILE\naction x mbox alias <t>\naction y mbox alias <u>\n",
    );
    assert!(mta.tell(&site.read()).unwrap().is_empty());
    let told = fs::read_to_string(site.tools().join("told")).unwrap();
    assert_eq!(told, "t\nu\n");
    site.set("smtpctl-fails");
    let error = mta.tell(&site.read()).unwrap_err();
    assert!(error.to_string().contains("command failed"), "{error}");
    site.expect(OLD, None);
}

#[test]
fn the_dialect_of_opensmtpd_is_that_of_its_table() {
    let site = Site::new("dialect");
    for (table, expected) in [
        ("table t file:FILE\n", Dialect::OpenSmtpd),
        ("table t db:FILE.db\n", Dialect::OpenSmtpdDb),
        (
            "table t db:FILE.db\ntable u file:FILE\n",
            Dialect::OpenSmtpd,
        ),
        ("", Dialect::OpenSmtpd),
    ] {
        let uses = "action x mbox alias <t>\naction y mbox alias <u>\n";
        let path = site.configured(&format!("{table}{uses}"));
        let found = OpenSmtpd::with_tools(site.tools(), path).dialect_of(&[site.file()]);
        assert_eq!(found, expected, "{table}");
    }
}

const ROUTER: &str = "sys router:\ndriver = redirect\ndata = ${lookup{$local_part}lsearch{FILE}}\n";

#[test]
fn exim_is_asked_before_and_after_the_text_stands() {
    let site = Site::new("exim");
    let mta = site.exim(&format!("{ROUTER}pipe_transport = p\n\n"));
    site.publish(&mta, NEW).unwrap();
    site.expect(NEW, None);
    site.set("lies");
    let error = site.publish(&mta, "a: \"|/bin/q\"\n").unwrap_err();
    assert!(matches!(error, PublishError::PutBack(_)), "{error}");
    site.expect(NEW, None);
}

#[test]
fn exim_gets_no_pipe_that_its_router_cannot_run() {
    let site = Site::new("pipes");
    let mta = site.exim(&format!("{ROUTER}pipe_transport = \n\n"));
    let error = site.publish(&mta, NEW).unwrap_err();
    let PublishError::Refused(Cause::Mta(MtaError::NoPipes { router, name })) = &error else {
        unreachable!("{error}");
    };
    assert_eq!((router.as_str(), name.as_slice()), ("sys", &b"a"[..]));
    site.expect(OLD, None);
    site.publish(&mta, "a: u1\nb: u2\n").unwrap();
}

#[test]
fn a_file_that_the_mta_does_not_read_is_refused() {
    let site = Site::new("unread");
    type Make = fn(&Site) -> Mta;
    let cases: [Make; 5] = [
        |site| {
            site.exim("sys router:\ndriver = redirect\ndata = ${lookup{$local_part}cdb{FILE}}\n")
        },
        |site| site.exim(""),
        |site| site.sendmail("O AliasFile=dbm:FILE\n"),
        |site| site.sendmail("O AliasFile=/etc/other\n"),
        |site| site.opensmtpd("table t file:FILE\naction x mbox virtual <t>\n"),
    ];
    for case in cases {
        let error = site.publish(&case(&site), NEW).unwrap_err();
        let is_it = matches!(
            &error,
            PublishError::Refused(Cause::Mta(MtaError::NoMap { .. }))
        );
        assert!(is_it, "{error}");
        site.expect(OLD, None);
    }
}
