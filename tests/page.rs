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
