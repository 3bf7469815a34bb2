//! What the guard is told, what it passes to the program, and what it passes on to the MTA.

use std::fs;

use super::Guarded;

#[test]
fn the_program_gets_message_words_environment_and_lock() {
    let guarded = Guarded::new(
        "cat > message\nprintf '<%s>' \"$0\" \"$@\" > argv\nenv | sort > env\nls -l /proc/$$/fd > fds",
    );
    let hostile = ["post", "toy list", "", "$(touch bad)", "--help", "a\nb"];
    let message = b"From x\r\n\0\xff".repeat(1_000);
    let mut line = guarded.line(&hostile);
    line.push("last".to_owned());
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    // Descriptors of the MTA's own do not reach it.
    let mut command = guarded.command("exec 7<lockfile 8</dev/null", &words);
    command.env("SENDER", "x@y;$(z)").env("EXTENSION", "");
    guarded.stage.run(command, &message).expect(0);
    assert_eq!(fs::read(guarded.path("message")).unwrap(), message);
    let program = guarded.path("program");
    let expected = format!(
        "<{}><post><toy list><><$(touch bad)><--help><a\nb><last>",
        program.display()
    );
    assert_eq!(guarded.stage.read("argv"), expected);
    let environment = guarded.stage.read("env");
    assert!(environment.contains("SENDER=x@y;$(z)\n"), "{environment}");
    assert!(environment.contains("EXTENSION=\n"), "{environment}");
    let fds = guarded.stage.read("fds");
    assert!(
        fds.contains(" 9 -> ") && !fds.contains(" 7 -> ") && !fds.contains(" 8 -> "),
        "{fds}"
    );
}

#[test]
fn the_program_ignores_and_blocks_no_signal() {
    let guarded = Guarded::new("grep -E '^Sig(Ign|Blk)' /proc/self/status > signals");
    guarded
        .run_after(
            "trap '' HUP INT QUIT PIPE TERM USR1 CHLD WINCH 40",
            &[],
            b"m",
        )
        .expect(0);
    for line in guarded.stage.read("signals").lines() {
        let set = line.split('\t').nth(1).unwrap();
        // 32 and 33 are the C library's own.
        let set = u64::from_str_radix(set, 16).unwrap() & !(0b11 << 31);
        assert_eq!(set, 0, "{line}");
    }
}

#[test]
fn a_limit_of_size_that_the_mta_lets_pass_kills_no_program() {
    let guarded = Guarded::new("head -c 100000 /dev/zero | tr '\\0' x 2> /dev/null\nexit 0");
    let done = guarded.run_after("trap '' XFSZ; ulimit -f 16", &[], b"m");
    assert!(done.expect(0).stdout.starts_with("xxx"));
    let guarded = Guarded::new("grep -E '^SigIgn' /proc/self/status > signals");
    guarded.run_after("trap '' XFSZ", &[], b"m").expect(0);
    let ignored = guarded.stage.read("signals");
    let set = ignored.trim().rsplit('\t').next().unwrap();
    let set = u64::from_str_radix(set, 16).unwrap() & !(0b11 << 31);
    assert_eq!(set, 1 << (libc::SIGXFSZ - 1), "{ignored}");
}

#[test]
fn silence_stays_silence() {
    let done = Guarded::new("cat > /dev/null").run(b"m").expect(0);
    assert_eq!(done.stdout, "");
}

#[test]
fn what_is_printed_is_passed_on_up_to_16_kib() {
    let loud =
        "i=0; while [ $i -lt 20000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done\nexit $1";
    let guarded = Guarded::new(loud);
    let done = guarded.run_after("", &["0"], b"m").expect(0);
    assert_eq!(done.stdout.len(), 16 * 1024);
    assert!(
        done.stdout.starts_with("out 0\nerr 0\nout 1\n"),
        "{done:#?}"
    );
    let done = guarded.run_after("", &["1"], b"m").expect_kept();
    assert_eq!(done.stderr.len(), 16 * 1024);
    assert!(done.stderr.contains("system\nout 0\nerr 0\n"), "{done:#?}");
    let done = Guarded::new("head -c 1048576 /dev/zero")
        .run(b"m")
        .expect(0);
    assert_eq!(done.stdout.len(), 16 * 1024);
}

#[test]
fn an_output_that_is_opened_anew_has_no_holes() {
    let guarded = Guarded::new("echo first; echo second > /dev/stderr; echo third; exit $1");
    let done = guarded.run_after("", &["0"], b"m").expect(0);
    assert!(!done.stdout.contains('\0'), "{done:#?}");
    assert!(done.stdout.ends_with("second\nthird\n"), "{done:#?}");
    guarded.run_after("", &["1"], b"m").expect_kept();
}

#[test]
fn no_verdict_of_the_programs_stands_first_on_a_deferral() {
    for status in [1, 64, 67, 70, 75, 77, 127] {
        for said in ["5.7.1 x", "4.7.1 x", "2.0.0 ok", "\\n5.7.1 x", "\\0335.1.1"] {
            let body = format!("printf '{said}\\n'\nprintf '{said}\\n' >&2\nexit {status}");
            Guarded::new(&body).run(b"m").expect_kept();
        }
    }
}

#[test]
fn a_program_that_cannot_be_run_keeps_the_message() {
    let guarded = Guarded::new("exit 0");
    for text in ["not a program", "#!/no/such/interpreter\n"] {
        guarded.stage.write("program", text, 0o755);
        guarded.run(b"m").expect_kept();
    }
    guarded.stage.write("program", "#!/bin/sh\nexit 0\n", 0o644);
    guarded.run(b"m").expect_kept();
    fs::remove_file(guarded.path("program")).unwrap();
    guarded
        .run(b"m")
        .expect_kept()
        .complains(&["could not be run"]);
    assert!(
        guarded
            .stage
            .read(&guarded.log())
            .contains("\t75\tnot-run\t")
    );
}

#[test]
fn a_site_that_cannot_be_used_keeps_the_message() {
    let guarded = Guarded::new("echo ran > ran.txt");
    let sound = guarded.stage.read("site.toml");
    for (text, mode) in [("no toml", 0o644), (sound.as_str(), 0o666), ("", 0o644)] {
        guarded.stage.write("site.toml", text, mode);
        guarded.run(b"m").expect_kept();
    }
    assert!(!guarded.path("ran.txt").exists());
}

#[test]
fn a_broken_command_line_keeps_the_message() {
    let guarded = Guarded::new("echo ran > ran.txt");
    let sound = guarded.line(&[]);
    let broken = |from: &str, to: &str| {
        let words = sound
            .iter()
            .map(|word| if word == from { to } else { word });
        let words: Vec<&str> = words.collect();
        let done = guarded.stage.run(guarded.command("", &words), b"m");
        done.expect_kept();
    };
    for (from, to) in [
        ("toylist", "../toylist"),
        ("toylist", ""),
        ("post", "\u{1b}[31m"),
        ("9", "8"),
        ("9", "0"),
        ("9", "99999999999999999999"),
        ("--lock", "--lokc"),
        ("--", "---"),
        ("--site", "--version"),
    ] {
        broken(from, to);
    }
    for length in 0..sound.len() {
        let words: Vec<&str> = sound[..length].iter().map(String::as_str).collect();
        let done = guarded.stage.run(guarded.command("", &words), b"m");
        done.expect_kept();
    }
    assert!(!guarded.path("ran.txt").exists());
}

#[test]
fn a_closed_standard_descriptor_keeps_the_message() {
    let guarded = Guarded::new("echo ran > ran.txt");
    for before in ["exec 0<&-", "exec 1>&-", "exec 2>&-", "exec 0<&- 1>&- 2>&-"] {
        let done = guarded.run_after(before, &[], b"m");
        assert_eq!(done.status, Some(75), "{before}: {done:#?}");
    }
    assert!(!guarded.path("ran.txt").exists());
}

#[test]
fn help_and_version_need_no_site() {
    let guarded = Guarded::new("exit 0");
    let say = |word| {
        guarded
            .stage
            .run(guarded.command("", &[word]), b"")
            .expect(0)
    };
    say("--help").says(&["usage: mm-guard --site FILE", "Exit status: 0"]);
    assert!(say("--help").stdout.lines().all(|line| line.len() <= 80));
    say("--version").says(&["mm-guard 0."]);
}
