//! A tree that comes in a package: the real dpkg and apt, with what contrib/dpkg has for them, at the
//! right moment and at the wrong one.

use std::path::Path;

use crate::rig::{Machine, put};

/// A file of contrib/dpkg.
fn contrib(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib/dpkg")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Builds a package with this release in tree b; returns its path on the machine.
fn build(machine: &Machine, release: &str) -> String {
    let place = format!("/srv/packages/{release}");
    let file = |name: &str, text: &str, mode: u32| {
        put(
            &machine.path(&format!("{place}/{name}")),
            text.as_bytes(),
            mode,
        );
    };
    let control = format!(
        "Package: mm-tree\nVersion: {release}\nArchitecture: all\nMaintainer: nobody <root@localhost>\n\
         Description: a list manager, in tree b\n"
    );
    file("DEBIAN/control", &control, 0o644);
    for script in ["preinst", "postinst"] {
        let text = contrib(script);
        let here = text.replace("ROOT=/usr/lib/mailman\n", "ROOT=/srv/mailman/b\n");
        assert_eq!(here != text, script == "preinst", "{script}");
        file(&format!("DEBIAN/{script}"), &here, 0o755);
    }
    let tree = "srv/mailman/b";
    file(
        &format!("{tree}/Mailman/Version.py"),
        &format!("VERSION = \"{release}\"\n"),
        0o644,
    );
    for program in [
        "bin/mailmanctl",
        "bin/qrunner",
        "bin/list_members",
        "cron/senddigests",
    ] {
        file(&format!("{tree}/{program}"), "#!/bin/sh\n", 0o755);
    }
    for program in ["listinfo", "admin"] {
        file(&format!("{tree}/cgi-bin/{program}"), "#!/bin/sh\n", 0o755);
    }
    let version = format!("#!/bin/sh\necho Using Mailman version: {release}\n");
    file(&format!("{tree}/bin/version"), &version, 0o755);
    let mailman = "#!/bin/sh\n[ $# -gt 1 ] || exit 1\ncat > /dev/null\n";
    file(&format!("{tree}/mail/mailman"), mailman, 0o755);
    let package = format!("/srv/packages/{release}.deb");
    machine.expect(&format!(
        "dpkg-deb --root-owner-group --build {place} {package}"
    ));
    package
}

/// A package that is no tree.
fn build_other(machine: &Machine) -> String {
    let control = "Package: other\nVersion: 1\nArchitecture: all\nMaintainer: nobody <root@localhost>\n\
                   Description: something else\n";
    put(
        &machine.path("/srv/packages/other/DEBIAN/control"),
        control.as_bytes(),
        0o644,
    );
    put(&machine.path("/srv/packages/other/srv/other"), b"x", 0o644);
    machine
        .expect("dpkg-deb --root-owner-group --build /srv/packages/other /srv/packages/other.deb");
    "/srv/packages/other.deb".to_owned()
}

/// Our programs are not where an admin has them: apt must be told.
const APT: &str = "apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root \
                   -o DPkg::Path=/usr/lib/mm-deliver:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command must fail, say this, and leave the release in tree b as it was.
#[track_caller]
fn refused(machine: &Machine, line: &str, words: &[&str]) {
    let version = machine.path("/srv/mailman/b/Mailman/Version.py");
    let before = std::fs::read(&version).unwrap();
    let done = machine.run(line);
    assert!(!done.status.success(), "{line}");
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    for word in words {
        assert!(said.contains(word), "{word:?}: {said}");
    }
    assert_eq!(std::fs::read(&version).unwrap(), before, "{line}");
}

#[test]
fn install_by_dpkg_and_apt_is_refused_at_the_wrong_moment() {
    let machine = Machine::new(&["toylist", "reallist"]);
    put(
        &machine.path("/etc/apt/apt.conf.d/90mm-deliver"),
        contrib("90mm-deliver").as_bytes(),
        0o644,
    );
    put(
        &machine.path("/usr/lib/mm-deliver/apt-hook"),
        contrib("apt-hook").as_bytes(),
        0o755,
    );
    let packages =
        contrib("packages").replace("mailman /usr/lib/mailman", "mm-tree /srv/mailman/b");
    put(
        &machine.path("/etc/mm-deliver/packages"),
        packages.as_bytes(),
        0o644,
    );
    let (first, second, fix) = (
        build(&machine, "2.1.41"),
        build(&machine, "2.1.42"),
        build(&machine, "2.1.42.1"),
    );
    let other = build_other(&machine);
    machine.expect("mm-parity init --current a");

    // A list is on the tree: neither gets at its files.
    machine.expect("mm-parity upgrade toylist");
    let why = "1 list on tree b, in which it would be installed: toylist";
    refused(
        &machine,
        &format!("dpkg -i {first}"),
        &[why, "nothing was unpacked"],
    );
    refused(
        &machine,
        &format!("{APT} install {first}"),
        &[
            why,
            "package mm-tree is the tree /srv/mailman/b",
            "apt-mark hold mm-tree",
        ],
    );
    machine.expect(&format!("{APT} install {other}"));

    // None is: the tree is marked, tested and ready.
    machine.expect("mm-parity downgrade --all");
    // Nor is anything unpacked where nobody can be asked.
    let blind = APT.replace("=/usr/lib/mm-deliver:", "=");
    refused(
        &machine,
        &format!("{blind} install {first}"),
        &["not found", "nothing was unpacked"],
    );
    let said = machine.expect(&format!("dpkg -i {first}"));
    assert!(
        said.contains("installed 2.1.41 in tree b: lists may move there"),
        "{said}"
    );
    machine.expect(&format!("{APT} install {second}"));
    let status = machine.expect("mm-parity status");
    assert!(status.contains("b  2.1.42  ready, guarded"), "{status}");
    machine.expect("mm-parity upgrade toylist");
    machine.expect("mm-deliver post toylist");

    // It is the current one: a fix goes there by patch alone, and nobody takes it away.
    machine.expect("mm-parity commit --all");
    let why = "tree b is the current one, and serves lists";
    refused(
        &machine,
        &format!("{APT} install {fix}"),
        &[why, "patch b --reason TEXT COMMAND"],
    );
    refused(&machine, &format!("dpkg -i {fix}"), &[why]);
    refused(&machine, &format!("{APT} remove mm-tree"), &[why]);
    let said = machine.expect(&format!(
        "mm-parity patch b --reason fix {APT} install {fix}"
    ));
    assert!(
        said.contains("patched tree b: 2.1.42.1 is recorded"),
        "{said}"
    );
    machine.expect("mm-deliver post toylist");
    machine.expect(&format!("{APT} remove other"));
}
