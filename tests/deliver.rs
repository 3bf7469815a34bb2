//! mm-deliver: which program gets the message, and what happens to mail when none can.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::stage::{Done, Stage, TAILS};

const MESSAGE: &[u8] = b"From: a@example.org\nSubject: x\n\nbody\n";

/// The message is kept: 75, one line for strangers, nothing run.
#[track_caller]
fn kept(stage: &Stage, done: Done) {
    assert_eq!(done.status, Some(75), "{done:#?}");
    assert_eq!(done.stdout, "", "{done:#?}");
    assert!(done.stderr.starts_with("4.3.0 mm-deliver: "), "{done:#?}");
    assert_eq!(done.stderr.matches('\n').count(), 1, "{done:#?}");
    assert!(done.stderr.ends_with('\n'), "{done:#?}");
    assert!(
        !done.stderr.contains('/'),
        "a path for a stranger: {done:#?}"
    );
    assert!(stage.ran().is_empty(), "a tree's program ran: {done:#?}");
}

/// Delivers to `toylist`, which is on future, and `reallist1`, which is on current: both kept.
#[track_caller]
fn keeps_all_mail(stage: &Stage) {
    for list in ["toylist", "reallist1"] {
        kept(stage, stage.deliver(&["post", list], MESSAGE));
    }
}

fn split_stage() -> Stage {
    let stage = Stage::bare();
    stage.hand_parity(&["toylist"], &["reallist2"]);
    stage
}

#[test]
fn a_lists_mail_goes_to_the_tree_that_its_parity_names() {
    let stage = split_stage();
    for (list, tree) in [
        ("toylist", "b"),
        ("reallist1", "a"),
        ("never-heard-of", "a"),
        ("ToyList", "b"),
    ] {
        for verb in TAILS.into_iter().chain(["post"]) {
            let message = [MESSAGE, b"\0\xff\r\nFrom x\n.\n", &[b'x'; 70_000]].concat();
            stage.deliver(&[verb, list], &message).expect(0);
            let ran = stage.ran();
            assert_eq!(ran.len(), 1);
            assert_eq!(ran[0].tree, tree, "{list}");
            let program = stage.path(&format!("{tree}/mail/mailman"));
            assert_eq!(
                ran[0].argv,
                [program.to_str().unwrap(), verb, &list.to_lowercase()]
            );
            assert!(ran[0].stdin == message, "not the message that came");
        }
    }
}

#[test]
fn a_delivery_changes_no_file() {
    let stage = split_stage();
    let before = (
        stage.snapshot("state"),
        stage.snapshot("site.toml"),
        stage.snapshot("aliases"),
    );
    stage.deliver(&["post", "toylist"], MESSAGE).expect(0);
    stage.deliver(&["post", "reallist2"], MESSAGE);
    assert_eq!(
        before,
        (
            stage.snapshot("state"),
            stage.snapshot("site.toml"),
            stage.snapshot("aliases")
        )
    );
}

#[test]
fn the_trees_own_status_passes_unchanged() {
    let stage = split_stage();
    for status in [0, 1, 2, 64, 67, 70, 71, 75, 77, 99, 111, 126, 127, 128, 255] {
        stage.write("status", status.to_string(), 0o644);
        let done = stage.deliver(&["post", "toylist"], MESSAGE);
        assert_eq!((done.status, done.stderr.as_str()), (Some(status), ""));
    }
}

#[test]
fn the_program_gets_the_mtas_words_and_nothing_else_of_the_environment() {
    let stage = split_stage();
    let mut command = stage.command("mm-deliver", &["post", "toylist"]);
    command
        .env("SENDER", "a@example.org")
        .env("EXTENSION", "x=y")
        .env("LD_PRELOAD", "/nonexistent.so");
    command
        .env("PYTHONPATH", "/tmp")
        .env("MM_SITE", "/tmp/evil.toml")
        .env("PATH", "/tmp");
    stage.run(command, MESSAGE);
    let environment = stage.ran().remove(0).environment;
    assert!(
        environment.contains(&"SENDER=a@example.org".to_owned()),
        "{environment:?}"
    );
    assert!(
        environment.contains(&"EXTENSION=x=y".to_owned()),
        "{environment:?}"
    );
    assert!(
        environment.contains(&"PATH=/usr/local/bin:/usr/bin:/bin".to_owned()),
        "{environment:?}"
    );
    for name in ["LD_PRELOAD", "PYTHONPATH", "MM_SITE"] {
        assert!(
            !environment.iter().any(|pair| pair.starts_with(name)),
            "{environment:?}"
        );
    }
}

#[test]
fn descriptors_and_signal_dispositions_are_the_mtas() {
    let stage = split_stage();
    let script = "#!/bin/sh\nls -l /proc/$$/fd >&2\ngrep SigIgn /proc/$$/status >&2\n";
    stage.write("b/mail/mailman", script, 0o755);
    let run = |shell: &str| {
        let mut command = Command::new("/bin/sh");
        let program = stage.path("bin/mm-deliver");
        command
            .args(["-c", shell, "sh"])
            .arg(program)
            .arg("--site")
            .arg(stage.path("site.toml"));
        command.args(["post", "toylist"]);
        stage.run(command, MESSAGE).stderr
    };
    let ignored = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("SigIgn"))
            .unwrap()
            .to_owned();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    const PIPE: u64 = 1 << (libc::SIGPIPE - 1);
    const HUP: u64 = 1 << (libc::SIGHUP - 1);
    let plain = run("exec \"$@\" 7</dev/null 9</dev/zero");
    assert_eq!(ignored(&plain) & (PIPE | HUP), 0, "{plain}");
    assert!(
        !plain.contains("/dev/null") && !plain.contains("/dev/zero"),
        "{plain}"
    );
    let ignoring = run("trap '' PIPE HUP; exec \"$@\"");
    assert_eq!(ignored(&ignoring) & (PIPE | HUP), PIPE | HUP, "{ignoring}");
}

#[test]
fn a_broken_command_line_keeps_the_message() {
    let stage = split_stage();
    for words in [
        &[][..],
        &["post"],
        &["post", "toylist", "more"],
        &["posts", "toylist"],
        &["Post", "toylist"],
        &["", "toylist"],
        &["post", ""],
        &["--frobnicate", "post", "toylist"],
        &["-h"],
        &["--site"],
        &["--site", "/x", "post", "toylist"],
        &["post", "toylist", "--explain"],
        &["--", "post", "toylist"],
        &["post", "--site"],
        &["editor", "toylist"],
        &["post", "--help"],
        &["post", "--version"],
        &["post", "toylist", "--version"],
        &["--help", "post", "toylist"],
        &["--version", "post", "toylist"],
    ] {
        kept(&stage, stage.deliver(words, MESSAGE));
    }
    let plain = Command::new(stage.path("bin/mm-deliver"));
    kept(&stage, stage.run(plain, MESSAGE));
}

#[test]
fn a_bad_list_name_keeps_the_message_and_goes_nowhere() {
    let stage = split_stage();
    for name in [
        "../toylist",
        "toy list",
        "toylist;id",
        "toylist\n5.7.1 refused",
        "-toylist",
        "toylist\u{1b}[31m",
        "toylist@",
        "@x",
        "t\u{f6}ylist",
        "$HOME",
        &"x".repeat(129),
    ] {
        kept(&stage, stage.deliver(&["post", name], MESSAGE));
    }
}

#[test]
fn a_closed_standard_descriptor_keeps_the_message() {
    let stage = split_stage();
    for closed in ["<&-", ">&-", "2>&-"] {
        let mut command = Command::new("/bin/sh");
        let program = stage.path("bin/mm-deliver");
        command
            .args(["-c", &format!("exec \"$@\" {closed}"), "sh"])
            .arg(program);
        command
            .arg("--site")
            .arg(stage.path("site.toml"))
            .args(["post", "toylist"]);
        let done = stage.run(command, MESSAGE);
        assert_eq!(done.status, Some(75), "{closed}: {done:#?}");
        assert_eq!(
            done.stderr.is_empty(),
            closed == "2>&-",
            "{closed}: {done:#?}"
        );
        assert!(stage.ran().is_empty());
    }
}

#[test]
fn a_fatal_signal_keeps_the_message() {
    let stage = split_stage();
    let others = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    let harmless = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    for signal in (1..=31)
        .chain(34..=64)
        .filter(|signal| !others.contains(signal) && !harmless.contains(signal))
    {
        // Its stdout is a pipe that is full, so it waits in the middle of its work.
        let (reader, mut writer) = std::io::pipe().unwrap();
        fill(&mut writer);
        let mut command = stage.command("mm-deliver", &["--help"]);
        command.stdout(writer).stderr(std::process::Stdio::piped());
        let mut child = crate::stage::spawn(&mut command);
        wait_until_blocked(child.id());
        send(signal, child.id());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(75), "signal {signal}: {status:?}");
        drop(reader);
    }
}

#[expect(unsafe_code, reason = "std sends SIGKILL alone")]
pub(crate) fn send(signal: i32, pid: u32) {
    // SAFETY: plain numbers; the process is a child of ours that was not waited for yet.
    assert_eq!(
        unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) },
        0
    );
}

/// Writes until the pipe takes no more.
fn fill(pipe: &mut std::io::PipeWriter) {
    use std::io::Write;
    // A pipe holds 64 KiB unless somebody changed that (pipe(7)).
    pipe.write_all(&[0; 65_536]).unwrap();
}

fn wait_until_blocked(pid: u32) {
    for _ in 0..1_000 {
        let wchan = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        // write(2) is number 1 on x86-64 and 64 on arm64.
        if wchan.starts_with("1 ") || wchan.starts_with("64 ") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("mm-deliver --help never waited for its stdout");
}

#[test]
fn exhausted_memory_keeps_the_message() {
    let stage = split_stage();
    let limited = |kib: u32, words: &str| {
        let mut command = Command::new("/bin/sh");
        let program = stage.path("bin/mm-deliver");
        command
            .args(["-c", &format!("ulimit -v {kib}; exec \"$0\" {words}")])
            .arg(program);
        stage.run(command, MESSAGE)
    };
    let deliver = format!("--site {} post toylist", stage.path("site.toml").display());
    // A file in no line shape is read whole: the largest that is allowed needs the most memory.
    let parity = stage.read("state/parity.toml");
    let filler = format!("x = [{}]", "\"y\",".repeat(60_000));
    stage.write("state/parity.toml", parity.clone() + &filler, 0o644);
    let start = (512..65_536)
        .step_by(64)
        .find(|&kib| limited(kib, "--version").status == Some(0))
        .unwrap();
    let mut out_of_memory = 0;
    for kib in (start..start + 4_096).step_by(64) {
        let done = limited(kib, &deliver);
        assert_eq!(done.status, Some(75), "{kib} KiB: {done:#?}");
        out_of_memory += u32::from(done.stderr.contains("out of memory"));
    }
    assert!(out_of_memory > 0, "the limits never mattered");
}

#[test]
fn a_broken_site_keeps_all_mail() {
    let sound = split_stage().read("site.toml");
    assert!(!sound.is_empty());
    let stage = split_stage();
    let site = stage.read("site.toml");
    for (text, mode) in [
        (String::new(), 0o644),
        ("this is not TOML".to_owned(), 0o644),
        (site.replace("root = ", "toor = "), 0o644),
        (site.replace("\"mailman2\"", "\"no-such-profile\""), 0o644),
        (format!("{site}{}", "# filler\n".repeat(10_000)), 0o644),
        (site.replace("state", "state\u{0}"), 0o644),
        (site.clone(), 0o664),
        (site.clone(), 0o646),
    ] {
        stage.write("site.toml", text, mode);
        keeps_all_mail(&stage);
    }
    stage.write("site.toml", b"owner = \"\xff\"", 0o644);
    keeps_all_mail(&stage);
    fs::remove_file(stage.path("site.toml")).unwrap();
    keeps_all_mail(&stage);
    stage.make_dir("site.toml");
    keeps_all_mail(&stage);
    fs::remove_dir(stage.path("site.toml")).unwrap();
    make_fifo(&stage, "site.toml");
    keeps_all_mail(&stage);
}

fn make_fifo(stage: &Stage, name: &str) {
    let mut make = Command::new("mkfifo");
    let made = crate::stage::spawn(make.arg(stage.path(name))).wait();
    assert!(made.unwrap().success());
}

#[test]
fn a_broken_parity_keeps_all_mail() {
    let stage = split_stage();
    let sound = stage.read("state/parity.toml");
    for text in [
        String::new(),
        sound.replace("current = \"a\"", "current = \"c\""),
        sound.replace("\"ready\"", "\"raedy\""),
        sound.replace("format = 1", "format = 2"),
        sound.replace("guarded = []\n", ""),
        sound.replace("pinned", "pined"),
        sound.replace("]\non_future", "\non_future"),
        sound.replace("\"toylist\",\n]", "\"toylist\",\n"),
        sound.replace("\"toylist\",", "\"../toylist\","),
        sound.replace("generation = 7", "generation = -7"),
        format!("{sound}{sound}"),
        sound
            .replace(
                "[\n\"toylist\",\n]",
                &format!("[\"toylist\"]\n{}", "# filler\n".repeat(40_000)),
            )
            .replace("paused = [\n", "paused = [ [\n"),
    ] {
        stage.write("state/parity.toml", &text, 0o644);
        keeps_all_mail(&stage);
    }
    for mode in [0o664, 0o646] {
        stage.write("state/parity.toml", &sound, mode);
        keeps_all_mail(&stage);
    }
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    keeps_all_mail(&stage);
    make_fifo(&stage, "state/parity.toml");
    keeps_all_mail(&stage);
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    symlink("parity.toml", stage.path("state/parity.toml")).unwrap();
    keeps_all_mail(&stage);
}

#[test]
fn a_tree_that_cannot_serve_keeps_its_mail_and_the_other_one_never_helps_out() {
    let stage = split_stage();
    let program = stage.path("b/mail/mailman");
    let breaks: [(&str, &dyn Fn()); 6] = [
        ("missing", &|| fs::remove_file(&program).unwrap()),
        ("not executable", &|| {
            stage.write("b/mail/mailman", "#!/bin/sh\n", 0o644)
        }),
        ("others write it", &|| {
            stage.write("b/mail/mailman", "#!/bin/sh\n", 0o757)
        }),
        ("no interpreter", &|| {
            stage.write("b/mail/mailman", "#!/no/such/thing\n", 0o755)
        }),
        ("not a program", &|| {
            stage.write("b/mail/mailman", "\0\0\0\0", 0o755)
        }),
        ("a directory", &|| {
            fs::remove_file(&program).unwrap();
            fs::create_dir(&program).unwrap();
        }),
    ];
    for (what, make) in breaks {
        make();
        kept(&stage, stage.deliver(&["post", "toylist"], MESSAGE));
        stage.deliver(&["post", "reallist1"], MESSAGE).expect(0);
        assert_eq!(stage.ran()[0].tree, "a", "{what}");
        if program.is_dir() {
            fs::remove_dir(&program).unwrap();
        }
        stage.put_program("b");
    }
    fs::set_permissions(stage.path("b/mail"), fs::Permissions::from_mode(0o777)).unwrap();
    kept(&stage, stage.deliver(&["post", "toylist"], MESSAGE));
    fs::set_permissions(stage.path("b/mail"), fs::Permissions::from_mode(0o755)).unwrap();
    for state in ["empty", "installing", "broken", "retired"] {
        let text = stage
            .read("state/parity.toml")
            .replace("\"ready\"", &format!("{state:?}"));
        stage.write("state/parity.toml", text, 0o644);
        kept(&stage, stage.deliver(&["post", "toylist"], MESSAGE));
        stage.hand_parity(&["toylist"], &[]);
    }
}

#[test]
fn what_cannot_be_read_keeps_all_mail() {
    let stage = split_stage();
    for file in ["site.toml", "state/parity.toml"] {
        fs::set_permissions(stage.path(file), fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = stage.command("mm-deliver", &["post", "toylist"]);
        if ids() == 0 {
            use std::os::unix::process::CommandExt;
            command.uid(65_534).gid(65_534);
        } else {
            fs::set_permissions(stage.path(file), fs::Permissions::from_mode(0o0)).unwrap();
        }
        kept(&stage, stage.run(command, MESSAGE));
        fs::set_permissions(stage.path(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
}

fn ids() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid()
}

#[test]
fn a_paused_lists_mail_is_kept() {
    let stage = split_stage();
    kept(&stage, stage.deliver(&["post", "reallist2"], MESSAGE));
    stage.deliver(&["post", "reallist1"], MESSAGE).expect(0);
}

#[test]
fn an_address_that_only_the_other_tree_has_does_not_exist() {
    let stage = split_stage();
    let site = stage.read("site.toml").replacen("mailman2", "mailman1", 1);
    stage.write("site.toml", site, 0o644);
    stage.write("a/mail/wrapper", "#!/bin/sh\nexit 0\n", 0o755);
    let done = stage.deliver(&["bounces", "reallist1"], MESSAGE);
    assert_eq!(
        (done.status, done.stderr.as_str()),
        (Some(67), "5.1.1 mm-deliver: no such address\n")
    );
    stage.deliver(&["owner", "reallist1"], MESSAGE).expect(0);
    stage.deliver(&["bounces", "toylist"], MESSAGE).expect(0);
    assert_eq!(stage.ran()[0].tree, "b");
    // Neither knows it: a broken alias, not a missing address.
    kept(&stage, stage.deliver(&["editor", "reallist1"], MESSAGE));
}

#[test]
fn an_admins_own_profile_replaces_the_shipped_one_whole() {
    let stage = split_stage();
    stage.make_dir("profiles");
    let own = "format = 1\nabout = \"ours\"\ncase = \"as-written\"\n[verbs.post]\naddresses = [\"{list}\"]\n\
               argv = [\"{tree}/mail/mailman\", \"-x\", \"{list}\"]\n[lists]\nnot read by a delivery\n";
    stage.write("profiles/mailman2.toml", own, 0o644);
    stage.deliver(&["post", "ToyList"], MESSAGE).expect(0);
    assert_eq!(stage.ran()[0].argv[1..], ["-x", "ToyList"]);
    kept(&stage, stage.deliver(&["owner", "toylist"], MESSAGE));
    for (text, mode) in [
        (own.replace("case", "caze"), 0o644),
        (own.repeat(600), 0o644),
        (own.to_owned(), 0o666),
    ] {
        stage.write("profiles/mailman2.toml", text, mode);
        keeps_all_mail(&stage);
    }
}

#[test]
fn a_guarded_tree_is_never_run_without_its_guard() {
    let stage = split_stage();
    let text = stage
        .read("state/parity.toml")
        .replace("guarded = []", "guarded = [\"b\"]");
    stage.write("state/parity.toml", text, 0o644);
    std::fs::remove_file(stage.path("bin/mm-guard")).unwrap();
    kept(&stage, stage.deliver(&["post", "toylist"], MESSAGE));
    stage.deliver(&["post", "reallist1"], MESSAGE).expect(0);
    // No list moves to where its mail would wait, and check says what waits already.
    stage
        .parity(&["upgrade", "reallist1"])
        .expect(1)
        .complains(&["bin/mm-guard"]);
    let check = stage.parity(&["check"]);
    assert_eq!(check.status, Some(2), "{check:?}");
    check.says(&["bin/mm-guard"]);
}

#[test]
fn explain_tells_what_would_run_and_runs_nothing() {
    let stage = split_stage();
    let program = format!("{:?} \"post\" \"toylist\"", stage.path("b/mail/mailman"));
    let told = stage
        .deliver(&["--explain", "post", "toylist"], b"")
        .expect(0);
    told.says(&[
        "tree         b (future)\n",
        "release      2.1.40\n",
        "it is in on_future",
        &program,
        "PATH=",
    ]);
    let told = stage
        .deliver(&["--explain", "--tree", "a", "post", "toylist"], b"")
        .expect(0);
    told.says(&["tree         a (current)\n", "--tree a"]);
    stage.remove_program("b");
    let told = stage.deliver(&["--explain", "post", "toylist"], b"");
    assert_eq!(told.status, Some(75));
    told.complains(&["/b/mail/mailman", "No such file", "would end with 75"]);
    stage
        .deliver(&["--explain", "post", "reallist2"], b"")
        .complains(&["paused since 2026-11-20T10:02:00Z"]);
    assert!(stage.ran().is_empty());
}

#[test]
fn explain_as_a_user_who_may_not_says_so() {
    let stage = split_stage();
    if ids() == 0 {
        stage
            .deliver(&["--explain", "--as", "nobody", "post", "toylist"], b"")
            .expect(0)
            .says(&["user         65534"]);
        fs::set_permissions(stage.path("b/mail"), fs::Permissions::from_mode(0o750)).unwrap();
        let done = stage.deliver(&["--explain", "--as", "nobody", "post", "toylist"], b"");
        assert_eq!(done.status, Some(75));
        done.complains(&["Permission denied"]);
    } else {
        let done = stage.deliver(&["--explain", "--as", "root", "post", "toylist"], b"");
        assert_eq!(done.status, Some(75));
        done.complains(&["cannot become user \"root\""]);
    }
    stage
        .deliver(&["--explain", "--as", "no-such-user", "post", "l"], b"")
        .complains(&["not in /etc/passwd"]);
}

#[test]
fn help_and_version_work_where_the_site_is_broken() {
    let stage = split_stage();
    fs::remove_file(stage.path("site.toml")).unwrap();
    stage
        .deliver(&["--help"], b"")
        .expect(0)
        .says(&["usage: mm-deliver [--site FILE] VERB LIST"]);
    stage
        .deliver(&["--version"], b"")
        .expect(0)
        .says(&["mm-deliver 0."]);
}

#[test]
fn no_message_waits_because_parity_is_replaced_at_this_moment() {
    let stage = split_stage();
    let text = stage.read("state/parity.toml");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                stage.write("state/next", &text, 0o644);
                fs::rename(stage.path("state/next"), stage.path("state/parity.toml")).unwrap();
            }
        });
        let runs: Vec<Done> = (0..300)
            .map(|_| stage.deliver(&["--explain", "post", "toylist"], b""))
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let waited: Vec<&Done> = runs.iter().filter(|done| done.status != Some(0)).collect();
        assert!(
            waited.is_empty(),
            "{} of 300: {:?}",
            waited.len(),
            waited[0]
        );
    });
}

#[test]
fn a_full_stderr_is_not_waited_for() {
    let stage = split_stage();
    let (reader, mut writer) = std::io::pipe().unwrap();
    fill(&mut writer);
    let mut command = stage.command("mm-deliver", &["post", "reallist2"]);
    let mut child = crate::stage::spawn(command.stdin(std::process::Stdio::null()).stderr(writer));
    for _ in 0..500 {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(75));
            drop(reader);
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("mm-deliver waits for whoever does not read its stderr");
}

#[test]
fn explain_sees_a_program_that_no_exec_could_run() {
    let stage = split_stage();
    for (text, why) in [
        ("#!/no/such/python1.5\n", "its interpreter"),
        ("echo hello\n", "neither ELF nor"),
        ("", "neither ELF nor"),
    ] {
        stage.write("b/mail/mailman", text, 0o755);
        let done = stage.deliver(&["--explain", "post", "toylist"], b"");
        assert_eq!(done.status, Some(75), "{text:?}");
        done.complains(&[why]);
        stage
            .parity(&["upgrade", "reallist1"])
            .expect(1)
            .complains(&[why]);
    }
}

#[test]
fn an_unknown_tree_in_guarded_keeps_all_mail() {
    let stage = split_stage();
    let text = stage
        .read("state/parity.toml")
        .replace("guarded = []", "guarded = [\"nosuch\"]");
    stage.write("state/parity.toml", text, 0o644);
    keeps_all_mail(&stage);
}
