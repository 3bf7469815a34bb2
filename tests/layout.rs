//! init --from: one installation becomes the layout of two trees, and comes back byte for byte.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::installation::{self, HOST, LISTS, differences, listing, listing_without};
use crate::stage::{Done, Stage};

/// A host with one installation, at `mailman`, and aliases that pipe into it.
fn host() -> Stage {
    let stage = Stage::empty();
    installation::make(&stage.path("mailman"));
    let aliases: String = LISTS
        .iter()
        .map(|list| stage.direct_block("mailman", list))
        .collect();
    stage.write("aliases", aliases, 0o644);
    stage
}

/// All that is on the host but our programs.
fn everything(stage: &Stage) -> BTreeMap<PathBuf, String> {
    let mut all = listing_without(&stage.dir, "bin");
    // The state, the journal and the trees come and go in there.
    all.remove(Path::new(""));
    all
}

/// What init --from is told on such a host.
pub(crate) fn words(stage: &Stage, more: &[&str]) -> Vec<String> {
    let path = |name: &str| stage.path(name).display().to_string();
    let mut words: Vec<String> = ["init", "--from"].map(str::to_owned).to_vec();
    words.push(path("mailman"));
    for (option, value) in [
        ("--state", path("state")),
        ("--aliases", path("aliases")),
        ("--program", path("bin/mm-deliver")),
        ("--user", stage.user()),
    ] {
        words.extend([option.to_owned(), value]);
    }
    if !more.contains(&"--mta") {
        words.extend(["--mta", "none"].map(str::to_owned));
    }
    words.extend(more.iter().map(|&word| word.to_owned()));
    words
}

fn from(stage: &Stage, more: &[&str]) -> Done {
    let words = words(stage, more);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    stage.parity(&words)
}

#[test]
fn an_installation_becomes_tree_a_and_comes_back_byte_for_byte() {
    let stage = host();
    let (prefix, whole) = (stage.path("mailman"), everything(&stage));
    let before = listing(&prefix);
    from(&stage, &[]).expect(0).says(&[
        "is GNU Mailman 2.1, release 2.1.39: it stays there, as tree a",
        "with links in its place: lists, archives, data, locks, spam",
        "tree a 2.1.39 is current, with 3 lists: reallist1, reallist2, toylist",
        "PIDFILE = '",
        "the way back, while all lists are on tree a: mm-parity --site",
    ]);
    for name in [
        "lists",
        "archives",
        "data",
        "locks",
        "spam",
        "templates/site",
    ] {
        let link = fs::read_link(prefix.join(name)).unwrap();
        assert_eq!(link, stage.path("mailman-data").join(name));
        assert!(fs::symlink_metadata(&link).unwrap().is_dir(), "{link:?}");
        let second = fs::read_link(stage.path("mailman-b").join(name)).unwrap();
        assert_eq!(second, link);
    }
    for name in ["qfiles", "logs", "mail", "templates/en"] {
        assert!(
            fs::symlink_metadata(prefix.join(name)).unwrap().is_dir(),
            "{name}"
        );
        assert!(!stage.path("mailman-b").join(name).exists(), "{name}");
    }
    // Archives are reached by the absolute link that each list has.
    assert!(prefix.join("archives/public/toylist/index.html").exists());
    assert!(
        stage
            .path("mailman-data/lists/toylist/options.html")
            .exists()
    );
    assert!(stage.path("mailman-data/.mm-deliver-data").exists());
    stage.aliases(&["adopt"]).expect(0);
    stage
        .deliver(&["post", "toylist"], b"a message\n")
        .expect(0);

    let undo = stage.parity(&["init", "--undo"]).expect(1);
    undo.complains(&["aliases of 3 lists lead to mm-deliver", "unadopt"]);
    stage.aliases(&["unadopt"]).expect(0);
    stage.parity(&["init", "--undo"]).expect(0).says(&[
        "is what it was before the init",
        "the state of the site, with its history",
    ]);
    assert_eq!(
        differences(&before, &listing(&prefix)),
        Vec::<String>::new()
    );
    // And nothing else is there but what tells of the adoption.
    let mut after = everything(&stage);
    after.retain(|path, _| !path.starts_with("state.undone"));
    let left = differences(&whole, &after);
    assert!(
        left.iter().all(|line| line.contains("\"aliases\"")),
        "{left:#?}"
    );
}

#[test]
fn an_init_that_nobody_used_leaves_nothing_behind() {
    let stage = host();
    let before = everything(&stage);
    from(&stage, &[]).expect(0);
    stage.parity(&["init", "--undo"]).expect(0);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
}

#[test]
fn a_trial_says_each_step_and_its_way_back_and_changes_nothing() {
    let stage = host();
    let before = everything(&stage);
    let trial = from(&stage, &["--dry-run"]).expect(0);
    let steps = trial
        .stdout
        .lines()
        .filter(|line| line.contains(". "))
        .count();
    let backs = trial.stdout.matches("\n    back: ").count();
    assert!(backs > 20 && steps >= backs, "{trial:?}");
    trial.says(&[
        "and leave a link in its place, in one instant",
        "exchange the two again",
        "site.toml",
    ]);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
    from(&stage, &[]).expect(0);
    let made = everything(&stage);
    stage
        .parity(&["init", "--undo", "--dry-run"])
        .expect(0)
        .says(&["remove the state in"]);
    assert_eq!(
        differences(&made, &everything(&stage)),
        Vec::<String>::new()
    );
    stage.parity(&["init", "--dry-run"]).expect(2);
}

#[test]
fn what_came_in_meanwhile_is_kept_by_an_undo() {
    let stage = host();
    let prefix = stage.path("mailman");
    from(&stage, &[]).expect(0);
    let data = stage.path("mailman-data");
    fs::create_dir(data.join("lists/newlist")).unwrap();
    fs::write(data.join("lists/newlist/config.pck"), "new").unwrap();
    fs::write(
        prefix.join("archives/private/toylist/000001.html"),
        "a post",
    )
    .unwrap();
    fs::write(data.join("lists/toylist/options.html"), "edited").unwrap();
    fs::write(prefix.join("data/heldmsg-toylist-2.pck"), "held").unwrap();
    fs::write(data.join("theirs"), "nobody's").unwrap();
    let site = stage.read("site.toml") + "\n# edited\n";
    stage.write("site.toml", site, 0o644);
    stage.parity(&["init", "--undo"]).expect(0).says(&[
        "kept: ",
        "site.toml.undone",
        "mailman-data\": something is in it",
    ]);
    for (name, text) in [
        ("lists/newlist/config.pck", "new"),
        ("archives/private/toylist/000001.html", "a post"),
        ("data/heldmsg-toylist-2.pck", "held"),
        ("templates/toylist/options.html", "edited"),
    ] {
        assert_eq!(
            fs::read_to_string(prefix.join(name)).unwrap(),
            text,
            "{name}"
        );
    }
    assert!(stage.read("site.toml.undone").ends_with("# edited\n"));
    assert_eq!(fs::read_to_string(data.join("theirs")).unwrap(), "nobody's");
    assert!(!stage.path("site.toml").exists());
}

#[test]
fn an_undo_is_refused_for_what_it_would_lose_and_says_what_to_type() {
    let stage = host();
    from(&stage, &[]).expect(0);
    let version = stage.path("mailman-b/Mailman/Version.py");
    fs::create_dir_all(version.parent().unwrap()).unwrap();
    fs::write(&version, "VERSION = '2.1.40'\n").unwrap();
    let before = everything(&stage);
    let future = stage.path("mailman-b").display().to_string();
    stage.parity(&["init", "--undo"]).expect(1).complains(&[
        "something is installed in the second tree",
        &format!("mv {future} {future}.old"),
    ]);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
    let parity = stage.read("state/parity.toml");
    let ahead = parity
        .replace(
            "state = \"empty\", release = \"\"",
            "state = \"ready\", release = \"2.1.40\"",
        )
        .replace("on_future = []", "on_future = [\"toylist\"]");
    assert!(ahead.contains("toylist"), "{parity}");
    stage.write("state/parity.toml", ahead, 0o644);
    stage
        .parity(&["init", "--undo"])
        .expect(1)
        .complains(&["1 list is on the future tree: toylist", "downgrade --all"]);
    stage.write("state/parity.toml", parity, 0o644);
    fs::rename(stage.path("mailman-b"), stage.path("mailman-b.old")).unwrap();
    // What is broken does not hold it up.
    stage.write("site.toml", "nonsense", 0o644);
    stage.parity(&["init", "--undo"]).expect(0);
    assert!(stage.path("mailman-b.old/Mailman/Version.py").exists());
    assert!(
        fs::symlink_metadata(stage.path("mailman/lists"))
            .unwrap()
            .is_dir()
    );
}

#[test]
fn an_init_that_fails_takes_back_what_it_made_and_names_every_reason() {
    let stage = host();
    fs::create_dir(stage.path("mailman/lists/toylist/listinfo.html")).unwrap();
    fs::create_dir_all(stage.path("mailman-b/lists")).unwrap();
    let before = everything(&stage);
    from(&stage, &["--program", "/nowhere/mm-deliver"]).expect(2);
    from(&stage, &["--profile", "mlmmj"])
        .expect(1)
        .complains(&["has no [layout]"]);
    from(&stage, &[]).expect(1).complains(&[
        "mailman/lists/toylist/listinfo.html\" is there already",
        "mailman-b/lists\" is there already",
    ]);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
    fs::remove_dir(stage.path("mailman/lists/toylist/listinfo.html")).unwrap();
    fs::remove_dir_all(stage.path("mailman-b")).unwrap();
    // Its programs cannot be trusted: that is found out when all else is made.
    let program = stage.path("mailman/mail/mailman");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o2777)).unwrap();
    let before = listing(&stage.path("mailman"));
    from(&stage, &[])
        .expect(1)
        .complains(&["everybody", "all that was made is taken back"]);
    assert_eq!(
        differences(&before, &listing(&stage.path("mailman"))),
        Vec::<String>::new()
    );
    for name in [
        "mailman-data",
        "mailman-b",
        "state",
        "site.toml",
        "site.init.jsonl",
    ] {
        assert!(!stage.path(name).exists(), "{name}");
    }
}

#[test]
fn two_profiles_that_know_it_are_both_named() {
    let stage = host();
    stage.make_dir("profiles");
    let own = include_str!("../src/profiles/mailman2.toml");
    stage.write("profiles/mine.toml", own, 0o644);
    from(&stage, &[])
        .expect(1)
        .complains(&["may be mailman2 or mine: which is it?", "--profile mine"]);
    from(&stage, &["--profile", "mine"]).expect(0);
    assert!(stage.read("site.toml").contains("profile = \"mine\""));
    from(&stage, &["--profile", "mine"])
        .expect(1)
        .complains(&["already", "init --undo"]);
    stage.parity(&["init", "--undo"]).expect(0);
    stage
        .parity(&["init", "--undo"])
        .expect(1)
        .complains(&["is not there"]);
}

#[test]
fn what_is_outside_already_stays_where_it_is() {
    let stage = host();
    let (prefix, var) = (stage.path("mailman"), stage.path("var"));
    stage.make_dir("var");
    stage.make_dir("locks-of-run");
    for name in ["lists", "archives", "data"] {
        fs::rename(prefix.join(name), var.join(name)).unwrap();
        symlink(var.join(name), prefix.join(name)).unwrap();
    }
    fs::rename(prefix.join("locks"), stage.path("locks-of-run/here")).unwrap();
    symlink(stage.path("locks-of-run/here"), prefix.join("locks")).unwrap();
    fs::remove_dir_all(prefix.join("templates/toylist")).unwrap();
    let before = everything(&stage);
    from(
        &stage,
        &["--data", &stage.path("else").display().to_string()],
    )
    .expect(1)
    .complains(&["are outside already"]);
    from(&stage, &[])
        .expect(0)
        .says(&["lists is outside already", "locks is outside already"]);
    let site = stage.read("site.toml");
    assert!(
        site.contains(&format!("[data]\nroot = \"{}\"", var.display())),
        "{site}"
    );
    let link = |path: PathBuf| fs::read_link(path).unwrap();
    assert_eq!(link(prefix.join("lists")), var.join("lists"));
    assert_eq!(link(stage.path("mailman-b/lists")), var.join("lists"));
    assert_eq!(link(var.join("locks")), stage.path("locks-of-run/here"));
    stage.parity(&["init", "--undo"]).expect(0);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
}

#[test]
fn no_reader_misses_a_file_while_directories_move_to_and_fro() {
    let stage = host();
    let prefix = stage.path("mailman");
    // It is open all the time: who has it keeps it.
    let open = fs::File::open(prefix.join("data/adm.pw")).unwrap();
    let ended = AtomicBool::new(false);
    let files = [
        "lists/toylist/config.pck",
        "archives/public/toylist/index.html",
        "locks/toylist.lock",
    ];
    std::thread::scope(|scope| {
        for file in files {
            let path = prefix.join(file);
            let ended = &ended;
            scope.spawn(move || {
                let mut looks = 0_u64;
                while !ended.load(Ordering::Relaxed) {
                    let look = fs::metadata(&path);
                    look.unwrap_or_else(|error| panic!("{path:?}: {error}"));
                    looks += 1;
                }
                assert!(looks > 100, "{looks}");
            });
        }
        // A lock as the list manager makes one: two names of a file, and one of them goes.
        let (locks, ended_too) = (prefix.join("locks"), &ended);
        scope.spawn(move || {
            let (temporary, lock) = (locks.join("new.lock.1"), locks.join("new.lock"));
            while !ended_too.load(Ordering::Relaxed) {
                fs::write(&temporary, "1").unwrap();
                fs::hard_link(&temporary, &lock).unwrap();
                fs::remove_file(&lock).unwrap();
                fs::remove_file(&temporary).unwrap();
            }
        });
        let result = std::panic::catch_unwind(|| {
            for _ in 0..3 {
                from(&stage, &[]).expect(0);
                stage.parity(&["init", "--undo"]).expect(0);
            }
        });
        ended.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &open, &mut text).unwrap();
    assert_eq!(text, "secret\n");
}

#[test]
fn a_site_that_init_writes_explains_each_key_and_knows_the_hosts_templates() {
    let stage = host();
    from(&stage, &[]).expect(0);
    let site = stage.read("site.toml");
    let values = site.lines().filter(|line| !line.starts_with('#'));
    assert!(
        values.into_iter().all(|line| !line.contains("//")),
        "{site}"
    );
    assert!(site.contains("# Every alias file that the MTA reads, in its order."));
    let link = fs::read_link(stage.path("mailman-b/templates").join(HOST)).unwrap();
    assert_eq!(link, stage.path("mailman-data/templates").join(HOST));
    assert!(!stage.path("mailman-b/templates/toylist").exists());
    assert!(link.join("en/options.html").exists());
}

#[test]
fn jobs_run_as_whom_the_installation_names() {
    for (said, expected) in [
        ("", "#user = \"list\"\n"),
        ("MAILMAN_USER = 'nobody'\n", "\nuser = \"nobody\"\n"),
        // Nobody runs anything as root, or as who is not there.
        ("MAILMAN_USER = 'root'\n", "#user = \"list\"\n"),
        ("MAILMAN_USER = 'nosuchuser'\n", "#user = \"list\"\n"),
    ] {
        let stage = host();
        let settings = format!("from Defaults import *\n{said}");
        stage.write("mailman/Mailman/mm_cfg.py", settings, 0o644);
        from(&stage, &[]).expect(0);
        let site = stage.read("site.toml");
        assert!(site.contains(expected), "{said}: {site}");
    }
}

/// The findings of one kind, as `check` tells them.
fn found(stage: &Stage, kind: &str) -> Vec<String> {
    let text = stage.parity(&["check"]).stdout;
    let mut findings: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.starts_with(' ') {
            true => findings.last_mut().unwrap().extend(["\n", line]),
            false => findings.push(line.to_owned()),
        }
    }
    findings.retain(|finding| finding.contains(&format!(": {kind}: ")));
    findings
}

#[test]
fn check_finds_what_of_the_lists_is_in_a_tree() {
    let stage = host();
    from(&stage, &[]).expect(0);
    for kind in ["tree-inside", "tree-shared", "aliases-regenerated"] {
        assert_eq!(found(&stage, kind), Vec::<String>::new());
    }
    // What an install or an admin who knows nothing of trees does.
    let own = stage.path("mailman/templates/toylist/en");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("options.html"), "x").unwrap();
    fs::remove_file(stage.path("mailman-b/archives")).unwrap();
    fs::create_dir_all(stage.path("mailman-b/archives/private")).unwrap();
    let found = found(&stage, "tree-inside");
    assert_eq!(found.len(), 2, "{found:#?}");
    let all = found.concat();
    for words in [
        "data of the lists in tree b itself",
        "where: ",
        "mailman-b/archives",
        "templates in tree a that do not come with its release",
        "mailman/templates/toylist: toylist",
        "mend: ",
    ] {
        assert!(all.contains(words), "{words}: {found:#?}");
    }
}

#[test]
fn check_finds_what_two_trees_must_not_share() {
    let stage = host();
    from(&stage, &[]).expect(0);
    for name in ["Mailman", "mail", "bin"] {
        stage.make_dir(&format!("mailman-b/{name}"));
    }
    for name in ["Mailman/Version.py", "mail/mailman", "bin/mailmanctl"] {
        let text = fs::read(stage.path("mailman").join(name)).unwrap();
        stage.write(&format!("mailman-b/{name}"), text, 0o755);
    }
    // Built with a prefix of its own: its data and locks are those of tree a, by the links.
    let found_all = found(&stage, "tree-shared");
    let all = found_all.concat();
    assert_eq!(found_all.len(), 2, "{found_all:#?}");
    for words in [
        "trees a and b share the master's pid file",
        "trees a and b share the master's lock",
        "mailman-b/Mailman/mm_cfg.py\": PIDFILE = '",
        "master-qrunner-b.pid'",
    ] {
        assert!(all.contains(words), "{words}: {found_all:#?}");
    }
    let settings = from_settings(&stage);
    stage.write("mailman-b/Mailman/mm_cfg.py", &settings, 0o644);
    assert_eq!(found(&stage, "tree-shared"), Vec::<String>::new());
    // Its queues those of tree a, by its own settings, then by site.toml.
    let queues = stage.path("mailman/qfiles").display().to_string();
    stage.write(
        "mailman-b/Mailman/mm_cfg.py",
        format!("{settings}\nQUEUE_DIR = '{queues}'\n"),
        0o644,
    );
    let shared = found(&stage, "tree-shared").concat();
    assert!(shared.contains("share the queues"), "{shared}");
    assert!(shared.starts_with("CRITICAL"), "{shared}");
    let line = settings.lines().count() + 2;
    assert!(
        shared.contains(&format!("mailman-b/Mailman/mm_cfg.py:{line}: QUEUE_DIR")),
        "{shared}"
    );
    stage.write("mailman-b/Mailman/mm_cfg.py", settings, 0o644);
    let site = stage
        .read("site.toml")
        .replace("mailman-b/qfiles", "mailman/qfiles");
    stage.write("site.toml", site, 0o644);
    let shared = found(&stage, "tree-shared").concat();
    assert!(shared.contains("have the same queues"), "{shared}");
    assert!(shared.contains("site.toml:"), "{shared}");
}

/// What init says that tree b's settings need.
fn from_settings(stage: &Stage) -> String {
    stage.parity(&["init", "--undo"]).expect(1);
    let pid = stage.path("mailman-data/data/master-qrunner-b.pid");
    let lock = stage.path("mailman-data/locks/master-qrunner-b");
    format!(
        "PIDFILE = '{}'\nMASTER_LOCK_FILE = '{}'\n",
        pid.display(),
        lock.display()
    )
}

#[test]
fn check_finds_an_alias_file_that_the_list_manager_writes_itself() {
    let stage = host();
    let file = stage.path("mailman/data/aliases").display().to_string();
    from(&stage, &["--aliases", &file]).expect(0);
    assert_eq!(found(&stage, "aliases-regenerated"), Vec::<String>::new());
    let settings = "from Defaults import *\nMTA = 'Manual'\nMTA = 'Postfix'   # as it was\n";
    stage.write("mailman/Mailman/mm_cfg.py", settings, 0o644);
    let found_one = found(&stage, "aliases-regenerated").concat();
    for words in [
        "the list manager of tree a writes",
        "mailman/data/aliases",
        "mailman/Mailman/mm_cfg.py:3: MTA = ",
        "mend: set MTA = None",
    ] {
        assert!(found_one.contains(words), "{words}: {found_one}");
    }
    stage.write("mailman/Mailman/mm_cfg.py", "MTA = None\n", 0o644);
    assert_eq!(found(&stage, "aliases-regenerated"), Vec::<String>::new());
}

#[test]
fn what_cannot_move_in_one_instant_is_refused_with_what_to_do() {
    let stage = host();
    let before = everything(&stage);
    // Another file system on every host.
    from(&stage, &["--data", "/proc/mm-deliver-data"])
        .expect(1)
        .complains(&[
            "is on another file system than",
            "--data DIR, a directory on the file system of the installation",
        ]);
    let inside = stage.path("mailman/var").display().to_string();
    from(&stage, &["--data", &inside])
        .expect(1)
        .complains(&["the data cannot be in"]);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
}

#[test]
fn a_list_manager_that_runs_is_noticed_and_goes_on() {
    // As its directory is called, and as its admin may have typed it.
    for spelled in ["mailman", "link"] {
        let stage = host();
        symlink(stage.path("mailman"), stage.path("link")).unwrap();
        // As long as its standard input is open.
        stage.write("mailman/bin/qrunner", "read line\n", 0o755);
        let mut command = std::process::Command::new("/bin/sh");
        command.arg(stage.path(spelled).join("bin/qrunner"));
        command.arg("--runner=IncomingRunner:0:1");
        command.current_dir(stage.path("mailman/lists"));
        command.stdin(std::process::Stdio::piped());
        let mut child = crate::stage::spawn(&mut command);
        let asked = std::time::Instant::now();
        let line = format!("/proc/{}/cmdline", child.id());
        while !fs::read_to_string(&line).is_ok_and(|line| line.contains("qrunner"))
            && asked.elapsed().as_secs() < 20
        {
            std::thread::yield_now();
        }
        let done = from(&stage, &[]);
        let checked = stage.parity(&["check"]).stdout;
        let running = format!("process {} (", child.id());
        drop(child.stdin.take());
        child.wait().unwrap();
        done.expect(0).says(&[
            "note: the list manager runs (1 process, such as",
            &running,
            "stands in",
        ]);
        // One of its runners runs, and the others do not.
        assert!(
            checked.contains("--runner=BounceRunner:\""),
            "{spelled}: {checked}"
        );
        assert!(
            !checked.contains("--runner=IncomingRunner:\""),
            "{spelled}: {checked}"
        );
        stage.parity(&["init", "--undo"]).expect(0);
    }
}

#[test]
fn a_package_whose_settings_have_its_data_elsewhere_is_left_as_it_is() {
    let stage = host();
    let (code, var) = (stage.path("lib"), stage.path("mailman"));
    stage.make_dir("lib");
    for name in ["Mailman", "mail", "bin", "cgi-bin", "templates"] {
        fs::rename(var.join(name), code.join(name)).unwrap();
    }
    fs::remove_dir_all(code.join("templates/toylist")).unwrap();
    let before = everything(&stage);
    let mut words = words(&stage, &[]);
    words[2] = code.display().to_string();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    stage.parity(&words).expect(0);
    for name in ["lists", "data", "archives", "locks"] {
        assert!(fs::symlink_metadata(var.join(name)).unwrap().is_dir());
        let link = fs::read_link(stage.path("lib-b").join(name)).unwrap();
        assert_eq!(link, var.join(name));
        assert!(!code.join(name).exists());
    }
    let site = stage.read("site.toml");
    for line in [
        format!("root = \"{}\"", code.display()),
        format!("root = \"{}\"", var.display()),
        format!("queues = \"{}/qfiles\"", var.display()),
        format!("queues = \"{}-b/qfiles\"", code.display()),
    ] {
        assert!(site.lines().any(|text| text == line), "{line}: {site}");
    }
    stage.parity(&["init", "--undo"]).expect(0);
    assert_eq!(
        differences(&before, &everything(&stage)),
        Vec::<String>::new()
    );
}
