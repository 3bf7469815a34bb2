//! The Debian package that contrib/deb/build makes, with the real apt and dpkg on a root that has
//! nothing of ours: what it brings, what a delivery sees while a newer one is installed, and when it
//! may go.
//!
//! `tests/run package` builds it, twice, and says where: `MM_PACKAGE`, `MM_PACKAGE_AGAIN`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::readers::OnDrop;
use crate::rig::{Machine, put};

const APT: &str = "apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root";
const PACKAGE: &str = "/srv/mm-deliver.deb";

fn built(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set"));
    PathBuf::from(path)
}

/// A machine with aliases and two trees, and none of our programs; its /usr can be written.
fn machine() -> Machine {
    let machine = Machine::new(&["toylist", "reallist"]);
    for name in ["upper", "work"] {
        fs::create_dir(machine.path(&format!("/srv/{name}"))).unwrap();
    }
    machine
        .expect("mount -t overlay usr -o lowerdir=/usr,upperdir=/srv/upper,workdir=/srv/work /usr");
    fs::copy(built("MM_PACKAGE"), machine.path(PACKAGE)).unwrap();
    assert!(!machine.run("mm-parity --version").status.success());
    machine
}

fn install(machine: &Machine) {
    machine.expect(&format!("{APT} install {PACKAGE}"));
}

#[test]
fn package_is_the_same_bytes_wherever_it_is_built() {
    let [one, other] =
        ["MM_PACKAGE", "MM_PACKAGE_AGAIN"].map(|name| fs::read(built(name)).unwrap());
    assert!(
        one == other,
        "two builds differ: {} and {} bytes",
        one.len(),
        other.len()
    );
}

#[test]
fn package_brings_all_that_is_needed_to_a_clean_root() {
    let machine = machine();
    install(&machine);
    let listed = machine.expect("dpkg -L mm-deliver");
    for path in [
        "/usr/lib/mm-deliver/mm-deliver",
        "/usr/lib/mm-deliver/mm-guard",
        "/usr/lib/mm-deliver/mm-lmtp",
        "/usr/lib/mm-deliver/mm-cgi",
        "/usr/lib/mm-deliver/cgi-bin/listinfo",
        "/usr/sbin/mm-parity",
        "/usr/sbin/mm-aliases",
        "/usr/share/man/man8/mm-parity-upgrade.8.gz",
        "/usr/share/man/man5/mm-site.toml.5.gz",
        "/usr/share/bash-completion/completions/mm-parity",
        "/usr/share/zsh/vendor-completions/_mm-aliases",
        "/usr/share/fish/vendor_completions.d/mm-parity.fish",
        "/usr/lib/systemd/system/mm-deliver-check.timer",
        "/etc/cron.d/mm-deliver",
        "/etc/logrotate.d/mm-deliver",
        "/usr/lib/sysusers.d/mm-deliver.conf",
        "/usr/lib/tmpfiles.d/mm-deliver.conf",
        "/usr/share/doc/mm-deliver/examples/site.toml",
        "/usr/share/doc/mm-deliver/examples/exim/exim4.conf.localmacros",
    ] {
        assert!(listed.lines().any(|line| line == path), "{path}: {listed}");
    }
    // Each is a program that runs here, and what mail goes by asks for no library.
    for line in [
        "mm-parity --version",
        "mm-aliases --version",
        "mm-deliver --version",
    ] {
        machine.expect(line);
    }
    assert!(
        machine
            .inside("/usr/lib/mm-deliver/cgi-bin/listinfo")
            .is_symlink()
    );
    // The whole way, by what the package has.
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    let (ran, _) = machine.send_and_take("toylist", b"Subject: x\n\nhello\n");
    assert_eq!(ran, "/usr/lib/mm-deliver/mm-deliver");
    machine.expect("mm-parity upgrade toylist");
    // A shell is offered what there is.
    put(
        &machine.path("/srv/ask"),
        b"source /usr/share/bash-completion/completions/mm-parity || exit 1\n\
          COMP_WORDS=(mm-parity \"$@\"); COMP_CWORD=$#; COMP_TYPE=9; COMP_LINE=\"mm-parity $*\"\n\
          COMP_POINT=${#COMP_LINE}\n\
          name=$(complete -p mm-parity); name=${name##*-F }; name=${name%% *}\n\
          \"$name\" mm-parity \"${!#}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"\n",
        0o644,
    );
    for (typed, offered) in [
        ("upgrade toy", "toylist"),
        ("upgrade re", "reallist"),
        ("downg", "downgrade"),
        ("trust ", "b"),
        ("init --profile mailman", "mailman2"),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        // As a user whose PATH does not lead to it.
        let mut command = machine.command(
            "setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/usr/bin:/bin bash /srv/ask",
        );
        let said = command.args(words).output().unwrap();
        let complained = said.stderr;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        println!("| {typed}<TAB>: {said:?}");
        assert_eq!(String::from_utf8_lossy(&complained), "", "{typed:?}");
        let is_it = |word: &str| word.trim() == offered;
        assert!(said.lines().any(is_it), "{typed:?}: {said:?}");
    }
}

#[test]
fn package_that_is_replaced_is_never_missing() {
    let machine = machine();
    install(&machine);
    // The same again, with a higher number.
    machine.expect(&format!("dpkg-deb -R {PACKAGE} /srv/newer"));
    let control = machine.path("/srv/newer/DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let newer = text.replacen("Version: ", "Version: 9:", 1);
    assert_ne!(newer, text);
    fs::write(&control, newer).unwrap();
    machine.expect("dpkg-deb --root-owner-group -b /srv/newer /srv/newer.deb");
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let program = machine.inside("/usr/lib/mm-deliver/mm-deliver");
    std::thread::scope(|scope| {
        let _end = OnDrop(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut command = Command::new(&program);
                    command.arg("--version").stdout(Stdio::null());
                    let status = command.status().unwrap();
                    assert!(status.success(), "{status}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            machine.expect("dpkg -i /srv/newer.deb");
            machine.expect(&format!("dpkg -i --force-downgrade {PACKAGE}"));
        }
    });
    println!(
        "| asked {} times while it was replaced six times",
        asked.load(Ordering::Relaxed)
    );
    assert!(asked.load(Ordering::Relaxed) > 500);
}

#[test]
fn package_is_not_removed_while_aliases_lead_to_it() {
    let machine = machine();
    install(&machine);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    for line in [
        "dpkg -r mm-deliver".to_owned(),
        format!("{APT} remove mm-deliver"),
    ] {
        let refused = machine.run(&line);
        assert!(!refused.status.success(), "{line}");
        let said = [refused.stdout, refused.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        for words in [
            "aliases of reallist, toylist pipe to it",
            "downgrade --all",
            "mm-aliases unadopt",
        ] {
            assert!(said.contains(words), "{line}: {said}");
        }
        machine.expect("mm-deliver --version");
    }
    // The timer begins with the machine, although no systemd runs here; what the admin disabled stays so.
    let timer = machine.path("/etc/systemd/system/timers.target.wants/mm-deliver-check.timer");
    assert!(timer.is_symlink());
    fs::remove_file(&timer).unwrap();
    // An upgrade of it is no removal.
    machine.expect(&format!("dpkg -i {PACKAGE}"));
    assert!(!timer.is_symlink());
    machine.expect("mm-parity downgrade --all");
    machine.expect("mm-aliases unadopt");
    machine.expect("dpkg -r mm-deliver");
    assert!(!machine.run("mm-parity --version").status.success());
    // Its cron job stays until it is purged, and has nothing to say.
    let table = fs::read_to_string(machine.path("/etc/cron.d/mm-deliver")).unwrap();
    let (_, job) = table.trim_end().rsplit_once(" root ").unwrap();
    put(&machine.path("/srv/job"), job.as_bytes(), 0o644);
    let ran = machine.run("sh /srv/job");
    assert!(machine.path("/etc/mm-deliver/site.toml").exists());
    assert!(ran.status.success(), "{ran:?}");
    assert!(ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    // What was decided is nobody's to remove.
    machine.expect("dpkg -P mm-deliver");
    assert!(machine.path("/var/lib/mm-deliver/history.jsonl").exists());
    assert!(machine.path("/etc/mm-deliver/site.toml").exists());
}
