//! mm-parity install with a command: what it can write, who is told what when it fails, is killed, or
//! is taken back while it runs. On this host, in namespaces that nobody else sees; needs root.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::{Done, Stage, spawn};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stage whose future tree holds a release that `install` may put another one in the place of.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.make_dir("src");
    stage
}

/// Writes a script; returns its path.
fn script(stage: &Stage, text: &str) -> String {
    stage.write("src/install", format!("#!/bin/sh\n{text}"), 0o755);
    stage.path("src/install").display().to_string()
}

fn state(stage: &Stage) -> String {
    let text = stage.read("state/parity.toml");
    let line = text.lines().find(|line| line.starts_with("future_tree"));
    line.unwrap().to_owned()
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts an install, in a process group of its own, whose command waits until `go` is there.
fn begin(stage: &Stage, more: &str) -> Child {
    begin_with(stage, "", more)
}

/// The same, whose command does `first` before it waits.
fn begin_with(stage: &Stage, first: &str, more: &str) -> Child {
    let text = format!(
        "{first}\ntouch \"$MM_TREE/begun\"\nwhile [ ! -e \"$MM_TREE/go\" ]; do sleep 0.02; done\n{more}\n"
    );
    let path = script(stage, &text);
    let mut command = stage.command("mm-parity", &["install", &path]);
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(&mut command);
    wait_for("the command", || stage.path("b/begun").exists());
    child
}

fn signal(name: &str, to: &str) {
    let status = Command::new("kill").args([name, "--", to]).status();
    assert!(status.unwrap().success(), "kill {name} {to}");
}

fn ended(child: Child) -> Done {
    Done::new(child.wait_with_output().unwrap())
}

/// What the command may write and what not, whatever stands in what.
#[track_caller]
fn check_what_it_writes(stage: &Stage, data: &str, future: &str, queues: &str) {
    let dir = stage.dir.display();
    let text = format!(
        "cd {dir} || exit 9\n\
         for place in a/new {data}/lists/toylist/new {data}/lists/toylist/config.pck state/new; do\n\
           if echo x 2>/dev/null >> $place; then echo wrote $place; exit 8; fi\n\
           echo x 2>&1 >> $place | grep -q 'Read-only file system' || {{ echo $place; exit 7; }}\n\
         done\n\
         for place in {future}/new {queues}/new $MM_TREE/other; do echo x > $place || exit 6; done\n\
         echo 'VERSION = \"2.1.41\"' > \"$MM_TREE/Mailman/Version.py\"\n"
    );
    let path = script(stage, &text);
    let before = stage.snapshot(&format!("{data}/lists"));
    let done = stage.parity(&["install", &path]);
    let done = done.expect(0).says(&["installed 2.1.41 in tree b"]);
    println!("| {}", done.stdout.replace('\n', "\n| "));
    let after = stage.snapshot(&format!("{data}/lists"));
    assert_eq!(after, before);
    assert!(stage.path(future).join("new").exists());
    assert!(!stage.path("a/new").exists());
    // Of this nothing is seen outside.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&dir.to_string()), "{mounts}");
    stage.write("a/written-again", "", 0o644);
}

/// The same site with other places: words of site.toml and what replaces them.
fn moved(stage: &Stage, words: &[(&str, &str)]) {
    let mut site = stage.read("site.toml");
    for (from, to) in words {
        let dir = stage.dir.display();
        let from = format!("\"{dir}/{from}\"");
        assert!(site.contains(&from), "{from}: {site}");
        site = site.replace(&from, &format!("\"{dir}/{to}\""));
    }
    stage.write("site.toml", site, 0o644);
}

#[test]
fn install_keeps_data_current_tree_and_state_read_only() {
    check_what_it_writes(&stage(), "var", "b", "b/qfiles");
}

#[test]
fn install_writes_into_a_tree_that_lies_within_the_data() {
    let stage = stage();
    fs::rename(stage.path("b"), stage.path("var/b")).unwrap();
    moved(&stage, &[("b", "var/b"), ("b/qfiles", "var/b-qfiles")]);
    stage.make_dir("var/b-qfiles");
    let text = stage.path("var/b").display().to_string();
    let path = script(
        &stage,
        &format!(
            "exec 2>&1; [ \"$MM_TREE\" = {text} ] && echo x > {text}/new && ! echo x > {text}/../lists/new"
        ),
    );
    stage.parity(&["install", &path]).expect(0);
    assert!(stage.path("var/b/new").exists());
    assert!(!stage.path("var/lists/new").exists());
    check_what_it_writes(&stage, "var", "var/b", "var/b-qfiles");
}

#[test]
fn install_keeps_data_read_only_that_lie_within_the_tree() {
    let stage = stage();
    fs::rename(stage.path("var"), stage.path("b/var")).unwrap();
    moved(&stage, &[("var", "b/var"), ("b/qfiles", "b/var/qfiles")]);
    stage.make_dir("b/var/qfiles");
    check_what_it_writes(&stage, "b/var", "b", "b/var/qfiles");
}

#[test]
fn install_follows_links_to_trees_and_data() {
    let stage = stage();
    for name in ["a", "b", "var"] {
        fs::rename(stage.path(name), stage.path(&format!("real-{name}"))).unwrap();
        symlink(format!("real-{name}"), stage.path(name)).unwrap();
    }
    check_what_it_writes(&stage, "var", "b", "b/qfiles");
}

/// Moves a directory of the stage to `disk`, and leaves a link.
fn on_another_disk(stage: &Stage, path: &str) {
    let name = Path::new(path).file_name().unwrap().to_str().unwrap();
    fs::create_dir_all(stage.path(path)).unwrap();
    stage.make_dir("disk");
    let place = stage.path(&format!("disk/{name}"));
    fs::rename(stage.path(path), &place).unwrap();
    symlink(place, stage.path(path)).unwrap();
}

#[test]
fn install_keeps_read_only_what_the_data_lead_to() {
    let stage = stage();
    let places = ["var/archives/private", "var/locks", "var/lists/toylist"];
    for path in places {
        on_another_disk(&stage, path);
    }
    // A list manager's data may lead to its programs.
    symlink(stage.path("b/bin"), stage.path("var/bin")).unwrap();
    symlink("/", stage.path("var/lists/everything")).unwrap();
    symlink("nowhere", stage.path("var/dangling")).unwrap();
    let text = format!(
        "cd {dir} || exit 9\n\
         for place in {places}; do\n\
           echo x 2>&1 >> $place/new | grep -q 'Read-only file system' || {{ echo $place; exit 8; }}\n\
         done\n\
         for file in site.toml aliases; do\n\
           echo x 2>&1 >> $file | grep -q 'Read-only file system' || {{ echo $file; exit 7; }}\n\
           cp $file src/new && mv src/new $file 2>/dev/null && {{ echo replaced $file; exit 6; }}\n\
         done\n\
         echo x > var/bin/new && echo x > src/beside || exit 5\n",
        dir = stage.dir.display(),
        places = places.join(" "),
    );
    let path = script(&stage, &text);
    let done = stage.parity(&["install", &path]).expect(0);
    println!("| {}", done.stdout.replace('\n', "\n| "));
    assert!(stage.path("b/bin/new").exists());
    for name in ["private", "locks", "toylist"] {
        assert!(!stage.path(&format!("disk/{name}/new")).exists(), "{name}");
    }
    // The other tree's command is kept from it as well.
    stage
        .parity(&[
            "patch",
            "a",
            "--reason",
            "x",
            "sh",
            "-c",
            &format!("! touch {}/disk/locks/new 2>&-", stage.dir.display()),
        ])
        .expect(0);
}

#[test]
fn install_is_not_got_around_by_where_the_admin_stands() {
    let stage = stage();
    let path = script(
        &stage,
        "exec 2>&1; ! echo x > here && ! echo x > ../lists/here\n",
    );
    let mut command = stage.command("mm-parity", &["install", &path]);
    command.current_dir(stage.path("var/lists"));
    stage.run(command, b"").expect(0);
    assert!(!stage.path("var/lists/here").exists());
}

#[test]
fn install_names_a_list_that_was_converted_past_the_fence() {
    let stage = stage();
    // By the mounts that mm-parity itself has.
    let file = stage.path("var/lists/toylist/config.pck");
    let text = format!(
        "printf '}}q\\001(U\\014data_versionq\\002K\\161U' > /proc/$PPID/root{}",
        file.display()
    );
    let path = script(&stage, &text);
    let done = stage.parity(&["install", &path]).expect(3);
    println!("| {}", done.stderr.replace('\n', "\n| "));
    done.complains(&["toylist (112 to 113)", "tree b is broken"]);
}

#[test]
fn install_says_with_what_its_command_ended_and_the_tree_is_broken() {
    let stage = stage();
    let path = script(&stage, "echo half > \"$MM_TREE/half\"; exit 4\n");
    stage
        .parity(&["install", &path, "--force"])
        .expect(3)
        .complains(&["--force\" ended with status 4", "tree b is broken"]);
    assert!(state(&stage).contains("broken"));
    stage
        .parity(&["install", "--", "/etc/passwd"])
        .expect(3)
        .complains(&["cannot run \"/etc/passwd\": Permission denied"]);
    // And again, with one that works.
    stage.parity(&["install", "true"]).expect(0);
    assert!(state(&stage).contains("ready"));
}

#[test]
fn install_is_interrupted_with_its_command_and_says_so() {
    let stage = stage();
    let child = begin(&stage, "");
    // As the terminal does: to the whole group.
    signal("-INT", &format!("-{}", child.id()));
    ended(child)
        .expect(3)
        .complains(&["was killed by signal 2", "tree b is broken"]);
    // To mm-parity alone: it is passed on.
    fs::remove_file(stage.path("b/begun")).unwrap();
    let child = begin(&stage, "");
    signal("-TERM", &child.id().to_string());
    ended(child)
        .expect(3)
        .complains(&["was killed by signal 15", "tree b is broken"]);
    // One that answers that all is well has done half of it, maybe.
    fs::remove_file(stage.path("b/begun")).unwrap();
    let child = begin_with(&stage, "trap 'exit 0' TERM", "");
    signal("-TERM", &child.id().to_string());
    ended(child)
        .expect(3)
        .complains(&["was told to end (SIGTERM)", "tree b is broken"]);
}

#[test]
fn install_starts_its_command_with_no_signal_blocked() {
    let stage = stage();
    // Read by the shell itself: a shell that waits for another program blocks what it likes.
    let text = "while read -r name value; do\n\
                case $name in SigBlk:) exec test \"$value\" = 0000000000000000 ;; esac\n\
                done </proc/$$/status\nexit 9\n";
    let path = script(&stage, text);
    stage.parity(&["install", &path]).expect(0);
}

#[test]
fn install_that_is_killed_leaves_the_tree_installing_and_goes_on() {
    let stage = stage();
    let child = begin(&stage, "");
    let second = stage.parity(&["install", "true"]).expect(1);
    second.complains(&[
        "user root, process ",
        &format!(
            "process {}, runs \"install {}",
            child.id(),
            stage.dir.display()
        ),
        "in tree b since ",
    ]);
    signal("-KILL", &child.id().to_string());
    ended(child);
    assert!(state(&stage).contains("installing"));
    // Its command was told to end as well: nobody is in the tree.
    let path = stage.path("src/install").display().to_string();
    let runs = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| String::from_utf8_lossy(&line).contains(&path))
    };
    wait_for("the command's end", || !runs());
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["installing", "install COMMAND again"]);
    stage
        .parity(&["install", "true"])
        .expect(0)
        .says(&["an install that had no end goes on"]);
    assert!(state(&stage).contains("ready"));
}

#[test]
fn install_holds_up_nobody_who_pauses_or_takes_it_back() {
    let stage = stage();
    stage.aliases(&["adopt"]).expect(0);
    let child = begin(&stage, "");
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["now: ", &format!("process {}", child.id())]);
    stage.parity(&["pause", "toylist"]).expect(0);
    stage.parity(&["undo"]).expect(0);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&[&format!("process {}", child.id()), "that is not ended"]);
    let before = stage.read("state/parity.toml");
    stage.write("b/go", "", 0o644);
    ended(child)
        .expect(3)
        .complains(&["no install is under way, or it was taken back: the future tree is empty"]);
    assert_eq!(stage.read("state/parity.toml"), before);
}

/// A package manager that runs as the command is answered as the install's own.
#[test]
fn install_lets_its_own_command_ask_and_nobody_else() {
    let stage = stage();
    let b = stage.path("b").display().to_string();
    let ask = format!(
        "{}/bin/mm-parity --site {}/site.toml may-install",
        stage.dir.display(),
        stage.dir.display()
    );
    let child = begin(
        &stage,
        &format!(
            "{ask} \"$MM_TREE\" && ! {ask} {}",
            stage.path("a").display()
        ),
    );
    stage
        .parity(&["may-install", &b])
        .expect(1)
        .complains(&["process"]);
    stage.write("b/go", "", 0o644);
    let done = ended(child);
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(Path::new(&b).join("begun").exists());
}

/// A site with a list on each tree, and nobody guarded.
fn split() -> Stage {
    let stage = stage();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["trust", "b"]).expect(0);
    stage
}

#[test]
fn install_patch_goes_into_a_tree_in_use_and_moves_no_list() {
    let stage = split();
    let dir = stage.dir.display();
    let text = format!(
        "exec 2>&1\n! echo x > {dir}/b/new && ! echo x > {dir}/var/lists/new && ! echo x > {dir}/state/new || exit 9\n\
         echo 'VERSION = \"2.1.39-1\"' > \"$MM_TREE/Mailman/Version.py\"\n"
    );
    let path = script(&stage, &text);
    let patch = |words: &[&str]| {
        let fixed = ["patch", "a", "--reason", "CVE-2026-1"];
        stage.parity(&[&fixed[..], words].concat())
    };
    patch(&["--dry-run", "--", &path]).expect(0).says(&[
        "would patch tree a 2.1.39, with 2 lists on it",
        "nothing was changed",
    ]);
    let done = patch(&["--", &path]).expect(0).says(&[
        "patching tree a 2.1.39, with 2 lists on it",
        "tree a is guarded",
        "patched tree a: 2.1.39-1 is recorded; no list moved, and it is guarded",
        "trust a",
    ]);
    println!("| {}", done.stdout.replace('\n', "\n| "));
    let parity = stage.read("state/parity.toml");
    assert!(parity.contains("guarded = [\"a\"]"), "{parity}");
    assert!(
        parity.contains("on_future = [\n\"toylist\",\n]"),
        "{parity}"
    );
    stage.deliver(&["post", "reallist1"], b"x").expect(0);
    stage
        .parity(&["history"])
        .expect(0)
        .says(&["  (CVE-2026-1)\n", "patch a "]);
    stage.parity(&["check"]).expect(0);
    stage.parity(&["undo"]).expect(0).says(&[
        "recorded for tree a: 2.1.39",
        "no file of a tree is put back",
    ]);
    // The other tree, whose lists are ahead.
    stage
        .parity(&["patch", "b", "--reason", "x", "true"])
        .expect(0);
}

#[test]
fn install_patch_lets_no_message_bounce_while_programs_are_replaced() {
    let stage = split();
    let mailman = stage.read("a/mail/mailman");
    stage.write("src/sound", &mailman, 0o755);
    let dir = stage.dir.display();
    let text = format!(
        "printf '#!/bin/sh\\nexit 1\\n' > {dir}/a/mail/mailman\ntouch {dir}/a/begun\n\
         while [ ! -e {dir}/a/go ]; do sleep 0.02; done\ncat {dir}/src/sound > {dir}/a/mail/mailman\n"
    );
    let path = script(&stage, &text);
    let mut command = stage.command("mm-parity", &["patch", "a", "--reason", "x", &path]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(&mut command);
    wait_for("the command", || stage.path("a/begun").exists());
    stage.deliver(&["post", "reallist1"], b"x").expect(75);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    stage.parity(&["pause", "reallist2"]).expect(0);
    stage
        .parity(&["patch", "b", "--reason", "x", "true"])
        .expect(1)
        .complains(&["in tree a since"]);
    stage.write("a/go", "", 0o644);
    ended(child).expect(0);
    stage.deliver(&["post", "reallist1"], b"x").expect(0);
}

#[test]
fn install_patch_that_breaks_a_tree_says_what_happens_to_mail_and_every_way_out() {
    let stage = split();
    let path = script(&stage, "echo > \"$MM_TREE/bin/version\"\n");
    let done = stage
        .parity(&["patch", "a", "--reason", "x", &path])
        .expect(3);
    println!("| {}", done.stderr.replace('\n', "\n| "));
    done.complains(&[
        "it does not say what matches",
        "tree a serves 2 lists and is not sound: it is guarded",
        "upgrade --all",
        "patch a --reason TEXT COMMAND",
        "undo puts no file back",
    ]);
    assert!(
        stage
            .read("state/parity.toml")
            .contains("guarded = [\"a\"]")
    );
    // Unguarded, what it broke would bounce.
    stage.parity(&["trust", "a"]).expect(1).complains(&[
        "tree a is not sound as far as is known: change ",
        "(patch a ",
        "patch a --reason",
        "trust a --force",
    ]);
    stage.parity(&["trust", "a", "--dry-run"]).expect(1);
    stage
        .parity(&["trust", "a", "--force", "--dry-run"])
        .expect(0);
    // Nobody is sent where he would be refused.
    fs::rename(stage.path("b/mail"), stage.path("b/mail-away")).unwrap();
    let again = ["patch", "a", "--reason", "x", "false"];
    let done = stage.parity(&again).expect(3);
    println!("| {}", done.stderr.replace('\n', "\n| "));
    assert!(!done.stderr.contains("upgrade --all"), "{done:?}");
    done.complains(&["no list can move to the other tree now: ", "b/mail"]);
    fs::rename(stage.path("b/mail-away"), stage.path("b/mail")).unwrap();
    stage.put_commands("a");
    stage
        .parity(&["patch", "a", "--reason", "mended", "true"])
        .expect(0);
    stage.parity(&["trust", "a"]).expect(0);
    let line = "echo 'VERSION = \"2.2.0\"' > \"$MM_TREE/Mailman/Version.py\"; exit 2\n";
    let path = script(&stage, line);
    stage
        .parity(&["patch", "b", "--reason", "x", &path])
        .expect(3)
        .complains(&[
            "ended with status 2",
            "tree b has release \"2.2.0\" now, of another line than \"2.1.40\"",
            "downgrade --all",
        ]);
    // What is not sound is not recorded as what should be there: check tells of it, and the same
    // files again are sound.
    let told = stage.parity(&["check"]);
    assert!(told.stdout.contains("tree b"), "{told:?}");
    assert!(told.stdout.contains("2.2.0"), "{told:?}");
    let back = script(
        &stage,
        "echo 'VERSION = \"2.1.40\"' > \"$MM_TREE/Mailman/Version.py\"\n",
    );
    stage
        .parity(&["patch", "b", "--reason", "back", &back])
        .expect(0);
    stage.parity(&["downgrade", "--all"]).expect(0);
    stage.parity(&["install", "--begin"]).expect(0);
    stage
        .parity(&["patch", "b", "--reason", "x", "true"])
        .expect(1)
        .complains(&["tree b is installing: it is not in use"]);
}

/// The process id that a script wrote into the tree.
fn noted(stage: &Stage, tree: &str) -> String {
    let path = format!("{tree}/pid");
    wait_for("a process id", || {
        stage.path(&path).exists() && stage.read(&path).ends_with('\n')
    });
    stage.read(&path).trim().to_owned()
}

/// mm-parity is killed, and what it ran does not heed that it is told to end.
#[test]
fn install_whose_command_outlives_it_is_no_end_for_anybody() {
    let stage = stage();
    let mut child = begin_with(&stage, "trap '' TERM\necho $$ > \"$MM_TREE/pid\"", "");
    let command = noted(&stage, "b");
    signal("-KILL", &child.id().to_string());
    // Its command has its output, and writes on.
    child.wait().unwrap();
    let told = format!("process {command} of user root");
    let acts: [&[&str]; 6] = [
        &["install", "true"],
        &["install", "--begin"],
        &["install", "--end"],
        &["install", "--end", "--dry-run"],
        &["verify"],
        &["patch", "a", "--reason", "x", "true"],
    ];
    for words in acts {
        let done = stage.parity(words).expect(1);
        println!("| {}", done.stderr.replace('\n', "\n| "));
        done.complains(&[&told, "still runs, without process ", "stop it"]);
    }
    let b = stage.path("b").display().to_string();
    stage
        .parity(&["may-install", &b])
        .expect(1)
        .complains(&["still runs, without process "]);
    assert!(state(&stage).contains("installing"));
    stage.parity(&["status"]).expect(0).says(&["still runs"]);
    // The way back waits for nobody.
    stage.parity(&["undo", "--dry-run"]).expect(0);
    stage.write("b/go", "", 0o644);
    wait_for("the command's end", || inside_ended(&command));
    stage.parity(&["may-install", &b]).expect(0);
    stage.parity(&["install", "--end"]).expect(0);
    assert!(state(&stage).contains("ready"));
}

/// A daemon would find the lists' data read-only for as long as it lives.
#[test]
fn install_and_patch_name_what_their_command_leaves_running() {
    // Once with the descriptor that it was given, once without any.
    let daemon = |close: &str| {
        format!(
            "bash -c '{close} setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $! > \"$MM_TREE/pid\"'\n"
        )
    };
    let closing = daemon("for n in $(seq 3 30); do eval \"exec $n>&-\"; done;");
    for text in [daemon(""), closing] {
        let stage = stage();
        let path = script(&stage, &text);
        let done = stage.parity(&["install", &path]).expect(3);
        let pid = noted(&stage, "b");
        println!("| {}", done.stderr.replace('\n', "\n| "));
        let told = format!("process {pid} of user root");
        done.complains(&[&told, "read-only", "stop it", "tree b is broken"]);
        stage.parity(&["verify"]).expect(1).complains(&[&told]);
        let b = stage.path("b").display().to_string();
        let asked = stage.parity(&["may-install", &b]).expect(1);
        // By the lock, or by what is mounted for that process.
        let (by_lock, by_mount) = ("still runs", format!("process {pid} "));
        assert!(
            [by_lock, &by_mount]
                .iter()
                .any(|told| asked.stderr.contains(told)),
            "{asked:?}"
        );
        signal("-KILL", &pid);
        wait_for("its end", || inside_ended(&pid));
        stage.parity(&["verify"]).expect(0);
        fs::remove_file(stage.path("b/pid")).unwrap();
        let done = stage
            .parity(&["patch", "a", "--reason", "x", &path])
            .expect(3);
        let pid = noted(&stage, "a");
        signal("-KILL", &pid);
        done.complains(&[&format!("process {pid} of user root"), "stop it"]);
    }
}

/// Whether a process has ended, waited for or not.
fn inside_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}
