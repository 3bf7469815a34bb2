//! mm-parity status as a page and in figures, and files of which nobody reads half.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::stage::Stage;

/// What a browser shows of `page`, without its style: a line for each piece of text.
fn visible(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let mut text = String::new();
    for piece in body.split('<') {
        let shown = piece.split_once('>').map_or("", |(_, shown)| shown);
        if !shown.is_empty() {
            text += &format!("{shown}\n");
        }
    }
    for (escape, plain) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ] {
        text = text.replace(escape, plain);
    }
    text
}

#[test]
fn a_page_shows_who_is_on_what_and_what_to_type() {
    let stage = Stage::new();
    let page = stage
        .parity(&["status", "--format", "html"])
        .expect(0)
        .stdout;
    let text = visible(&page);
    for shown in [
        "All 3 lists are on tree a 2.1.39",
        "toylist",
        "ready",
        "guarded",
        "init",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    assert!(!text.contains("Trouble"), "{text}");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let text = visible(
        &stage
            .parity(&["status", "--format", "html"])
            .expect(0)
            .stdout,
    );
    for shown in [
        "1 of 3 lists on the future tree b 2.1.40",
        "downgrade LIST",
        "upgrade toylist",
        "3 lists: 2 on current, 1 on future",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

#[test]
fn no_reason_and_no_word_of_a_program_becomes_markup() {
    const HOSTILE: &str = "</td></body><script>alert(1)</script>\"'&amp;";
    let stage = Stage::counted();
    stage.write(
        "b/mail/mailman",
        format!(
            "#!/bin/sh\ncat >/dev/null\nprintf '%s\\n' '{}' >&2\nexit 1\n",
            HOSTILE.replace('\'', "")
        ),
        0o755,
    );
    stage
        .parity(&["upgrade", "toylist", "--reason", HOSTILE])
        .expect(0);
    stage
        .deliver(&["post", "toylist"], b"Subject: x\n\n")
        .expect(75);
    let page = stage
        .parity(&["status", "--format", "html"])
        .expect(0)
        .stdout;
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("</body>").count(), 1);
    let text = visible(&page);
    assert!(text.contains(HOSTILE), "{text}");
    for shown in ["Trouble", "the last post for toylist", "mail waits"] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

#[test]
fn figures_are_of_this_moment_and_of_what_could_be_looked_at() {
    let stage = Stage::counted();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.deliver(&["post", "toylist"], b"x\n").expect(0);
    let text = stage
        .parity(&["status", "--format", "prometheus"])
        .expect(0)
        .stdout;
    for shown in [
        "mm_deliver_status_time_seconds{",
        "parity=\"future\"} 1\n",
        "parity=\"current\"} 2\n",
        "tree=\"b\",end=\"delivered\"} 1\n",
        "tree=\"b\",parity=\"future\",release=\"2.1.40\",state=\"ready\",guarded=\"yes\"} 1\n",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('{').next().unwrap();
        assert_eq!(
            text.matches(&format!("# TYPE {name} gauge\n")).count(),
            1,
            "{line}"
        );
    }
    fs::rename(stage.path("var/lists"), stage.path("var/gone")).unwrap();
    let text = stage
        .parity(&["status", "--format", "prometheus"])
        .expect(0)
        .stdout;
    assert!(!text.contains("parity=\"current\"} "), "{text}");
}

#[test]
fn what_turns_or_hides_the_text_around_it_is_written_out() {
    let stage = Stage::new();
    let reason = "good\u{202e}lla si\u{200b}";
    stage
        .parity(&["upgrade", "toylist", "--reason", reason])
        .expect(0);
    let words = ["status", "--format", "html", "--output", "-"];
    let page = stage.parity(&words).expect(0).stdout;
    assert!(!stage.path("-").exists(), "a file called -");
    assert!(page.contains("good\\u{202e}lla si\\u{200b}"), "{page}");
    let said = stage.parity(&["history"]).expect(0).stdout;
    assert!(
        said.contains("good") && !said.contains(['\u{202e}', '\u{200b}']),
        "{said}"
    );
}

#[test]
fn a_file_that_is_written_is_replaced_whole() {
    let stage = Stage::new();
    stage.write("page.html", "old", 0o600);
    let before = fs::metadata(stage.path("page.html")).unwrap().ino();
    symlink(stage.path("page.html"), stage.path("link")).unwrap();
    let link = stage.path("link");
    let done = stage
        .parity(&[
            "status",
            "--format",
            "html",
            "--output",
            link.to_str().unwrap(),
        ])
        .expect(0);
    assert_eq!(done.stdout, "");
    let meta = fs::metadata(stage.path("page.html")).unwrap();
    assert!(stage.read("page.html").ends_with("</html>\n"));
    // A new file under the old name: who reads the old one reads it to its end.
    assert_ne!(meta.ino(), before);
    assert_eq!(meta.permissions().mode() & 0o777, 0o644);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

    let done = stage.parity(&[
        "check",
        "--format",
        "prometheus",
        "--output",
        link.to_str().unwrap(),
    ]);
    assert_eq!(done.stdout, "");
    assert!(
        stage
            .read("page.html")
            .starts_with("# HELP mm_deliver_check_status")
    );
    let gone = stage.path("nowhere/page.html");
    stage
        .parity(&["status", "--output", gone.to_str().unwrap()])
        .expect(1)
        .complains(&["cannot tell the status: write", "nowhere/page.html"]);
    // What monitoring reads as "cannot tell" is not "all is well".
    assert_eq!(
        stage
            .parity(&["check", "--output", gone.to_str().unwrap()])
            .status,
        Some(3)
    );
    // Nobody's link leads root to a file of somebody else's.
    if fs::metadata(&stage.dir).unwrap().uid() == 0 {
        stage.write("secret", "secret", 0o600);
        let planted = stage.path("planted");
        symlink(stage.path("secret"), &planted).unwrap();
        std::os::unix::fs::lchown(&planted, Some(65_534), None).unwrap();
        let planted = planted.to_str().unwrap();
        stage
            .parity(&["status", "--format", "html", "--output", planted])
            .expect(1)
            .complains(&["cannot tell the status: write", "planted"]);
        assert_eq!(stage.read("secret"), "secret");
    }
    // No temporary file stays.
    let names = || {
        fs::read_dir(&stage.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
    };
    assert!(names().all(|name| !name.to_string_lossy().contains(".new-")));
}

#[test]
fn a_tree_that_cannot_take_mail_is_told_once_whatever_form_one_asks_for() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.remove_program("b");
    for (form, shown) in [
        ("text", "trouble: tree b takes no mail"),
        ("html", "tree b takes no mail, which waits in the MTA"),
        ("json", "\"kind\": \"program\""),
        (
            "prometheus",
            "mm_deliver_tree_troubles{program=\"mm-parity\"",
        ),
    ] {
        let said = stage.parity(&["status", "--format", form]).expect(0);
        let text = said.stdout.replace("&#39;", "'");
        assert!(text.contains(shown), "{form}: {text}");
        if form == "prometheus" {
            assert!(text.contains("tree=\"b\"} 1\n"), "{text}");
        }
    }
    // A whole tree that is gone is one thing, not one for each of its programs.
    fs::rename(stage.path("b"), stage.path("gone")).unwrap();
    let text = stage.parity(&["status"]).expect(0).stdout;
    assert_eq!(text.matches("takes no mail").count(), 1, "{text}");
    let found = stage
        .parity(&["check", "--format", "json"])
        .expect(2)
        .stdout;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let gone = |finding: &&serde_json::Value| finding["what"] == "tree b is gone";
    assert_eq!(findings.iter().filter(gone).count(), 1, "{found:#}");
    let programs = findings
        .iter()
        .filter(|finding| finding["kind"] == "program");
    assert_eq!(programs.count(), 0, "{found:#}");
}

#[test]
fn a_status_that_cannot_be_told_takes_the_place_of_the_old_one() {
    let stage = Stage::new();
    let file = stage.path("page").to_string_lossy().into_owned();
    for (form, told) in [
        ("html", "The status cannot be told"),
        ("prometheus", "mm_deliver_status_told{program=\"mm-parity\""),
        ("json", "\"refused\""),
        ("text", "the status cannot be told: "),
    ] {
        let words = ["status", "--format", form, "--output", &file];
        stage.parity(&words).expect(0);
        assert!(!stage.read("page").contains("cannot be told"), "{form}");
        for broken in ["site.toml", "state/parity.toml"] {
            let kept = stage.read(broken);
            stage.write(broken, "no [toml", 0o644);
            let done = stage.parity(&words);
            assert_eq!(done.status, Some(1), "{form}, {broken}: {done:?}");
            assert!(done.stderr.contains("mm-parity: cannot "), "{done:?}");
            let text = stage.read("page");
            assert!(text.contains(told), "{form}, {broken}: {text}");
            if form == "prometheus" {
                assert!(
                    text.contains("} 0\n") && !text.contains("generation"),
                    "{text}"
                );
            }
            stage.write(broken, kept, 0o644);
        }
    }
}

#[test]
fn no_figure_is_in_both_of_the_files_that_a_collector_reads() {
    let stage = Stage::new();
    let names = |command: &str| -> std::collections::BTreeSet<String> {
        let text = stage.parity(&[command, "--format", "prometheus"]).stdout;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = types.filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect()
    };
    let (status, check) = (names("status"), names("check"));
    assert!(status.contains("mm_deliver_lists") && check.contains("mm_deliver_findings"));
    let both: Vec<&String> = status.intersection(&check).collect();
    assert!(both.is_empty(), "{both:?}");
}
