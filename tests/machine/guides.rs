//! README's chapters for an MTA or a web server, typed as they stand: on a host with one installation of
//! Mailman 2.1's shape and aliases that pipe to it, every command succeeds, and mail goes by mm-deliver
//! then; and straight to the wrapper again, once all is taken back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::installation;
use crate::rig::{
    Agent, Exim, Host, Machine, OpenSmtpd, Postfix, Sendmail, VERBS, account, base, programs, put,
    source,
};

const PREFIX: &str = "/usr/local/mailman";
const EXAMPLES: &str = "/usr/share/doc/mm-deliver/examples";

/// The commands of a chapter, in their order.
pub(crate) fn commands(chapter: &str) -> Vec<String> {
    let readme = fs::read_to_string(source("../../README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {chapter}\n")).unwrap();
    let text = rest.split("\n## ").next().unwrap();
    let commands = text.lines().filter_map(|line| {
        let line = line.strip_prefix("    ")?.trim_start();
        (line.starts_with(|c: char| c == '/' || c.is_ascii_lowercase()) && !line.contains(" = "))
            .then(|| line.to_owned())
    });
    commands.collect()
}

/// The examples where the package has them.
pub(crate) fn put_examples(host: &Host) {
    host.expect("mount -t tmpfs doc /usr/share/doc");
    let there = host.inside(EXAMPLES);
    fs::create_dir_all(&there).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(source("../../contrib/."))
        .arg(there)
        .status();
    assert!(copied.unwrap().success());
}

/// Types a line to a shell.
pub(crate) fn typed(host: &Host, line: &str) -> (Option<i32>, String) {
    put(&host.path("/srv/typed"), line.as_bytes(), 0o644);
    println!("| $ {line}");
    let done = host.run("sh -e /srv/typed");
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// One installation under `PREFIX`, its lists in /etc/aliases, and a service manager that knows how to
/// reload.
fn furnish(run: &Path, agent: &dyn Agent) {
    programs(run);
    let service = "#!/bin/sh\n# Stands in for systemd: tells the daemon to read its configuration.\n\
                   case \"$*\" in 'reload exim4') ;; *) exit 1 ;; esac\n\
                   for process in /proc/[0-9]*; do\n\
                   case $(tr '\\0' ' ' <\"$process/cmdline\") in exim4\\ -bdf*) kill -HUP \"${process#/proc/}\" ;; esac\n\
                   done\n";
    put(&run.join("programs/systemctl"), service.as_bytes(), 0o755);
    let prefix = run.join("local/mailman");
    installation::make(&prefix);
    let defaults = prefix.join("Mailman/Defaults.py");
    let text = fs::read_to_string(&defaults).unwrap();
    fs::write(&defaults, text.replace(prefix.to_str().unwrap(), PREFIX)).unwrap();
    fs::remove_dir_all(prefix.join("qfiles/in")).unwrap();
    fs::create_dir(prefix.join("qfiles/in")).unwrap();
    // The root has it already: what the chapter adds must be all that there is.
    let macros = run.join("etc/exim4/exim4.conf.localmacros");
    if let Ok(text) = fs::read_to_string(&macros) {
        let others = text
            .lines()
            .filter(|line| !line.starts_with("SYSTEM_ALIASES_"));
        fs::write(&macros, others.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    }
    let spool = run.join("srv/mailman/a/spool");
    fs::create_dir_all(&spool).unwrap();
    fs::create_dir_all(run.join("srv/mailman/b/spool")).unwrap();
    let (user, _) = account(run, agent.user());
    chown(&spool, Some(user), None).unwrap();
    let wrapper = prefix.join("mail/mailman");
    let built = Command::new("gcc")
        .args(["-O2", "-static", "-DSPOOL=\"/srv/mailman/a/spool\"", "-o"])
        .arg(&wrapper)
        .arg(source("tree.c"))
        .status();
    assert!(built.unwrap().success());
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let mut aliases = String::from("postmaster: root\nroot: sender\n");
    for list in installation::LISTS {
        for (suffix, verb) in VERBS {
            aliases += &format!("{list}{suffix}: \"|{PREFIX}/mail/mailman {verb} {list}\"\n");
        }
    }
    put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
}

fn chapter(agent: &'static dyn Agent, title: &str) {
    let machine = Machine::furnished(agent, &base(agent.name()), None, |run| furnish(run, agent));
    put_examples(&machine);
    let direct = format!("{PREFIX}/mail/mailman");
    let message = |n: &str| format!("Subject: {n}\n\n{n}\n").into_bytes();
    let (ran, _) = machine.send_and_take("toylist", &message("before"));
    assert_eq!(ran, direct);
    let commands = commands(title);
    assert!(commands.len() >= 5, "{commands:?}");
    for line in &commands {
        let (status, said) = typed(&machine, line);
        if line == "mm-parity check" {
            // Here no runners run, and that is all that is wrong.
            let found: Vec<&str> = said.lines().filter(|said| !said.starts_with(' ')).collect();
            let is_all = found.len() == 1 && found[0].starts_with("CRITICAL: runners: tree a");
            assert!(is_all, "{said}");
        } else {
            assert_eq!(status, Some(0), "{line}: {said}");
        }
    }
    for (suffix, verb) in [("", "post"), ("-request", "request")] {
        let (ran, got) = machine.send_and_take(&format!("toylist{suffix}"), &message("adopted"));
        assert_eq!(ran, "/usr/lib/mm-deliver/mm-deliver");
        assert_eq!(got.argv[1..], [verb, "toylist"]);
    }
    machine.expect("mm-aliases unadopt");
    machine.expect("mm-parity init --undo");
    let (ran, _) = machine.send_and_take("toylist", &message("after"));
    assert_eq!(ran, direct);
    machine.expect_no_bounce();
}

#[test]
fn mta_guide_for_postfix_is_what_one_types() {
    chapter(&Postfix { kind: "hash" }, "Install on Postfix");
}

#[test]
fn mta_guide_for_sendmail_is_what_one_types() {
    chapter(&Sendmail, "Install on Sendmail");
}

#[test]
fn mta_guide_for_exim_is_what_one_types() {
    chapter(&Exim, "Install on Exim");
}

#[test]
fn mta_guide_for_opensmtpd_is_what_one_types() {
    chapter(&OpenSmtpd { table: "file" }, "Install on OpenSMTPD");
}
