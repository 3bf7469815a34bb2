//! What a person at a terminal gets beyond what a pipe gets: colours, and how far something is.
//! `script` (Essential on Debian) gives the terminal.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output, Stdio};

use crate::closing::{let_go, with_one_inside};
use crate::stage::Stage;

/// Runs a line of shell on a terminal of its own; what came there is its standard output.
fn on_terminal(stage: &Stage, line: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .envs(variables.iter().copied())
        .current_dir(&stage.dir)
        .stdin(Stdio::null());
    command.output().unwrap()
}

fn parity(stage: &Stage, words: &str) -> String {
    let program = env!("CARGO_BIN_EXE_mm-parity");
    let site = stage.path("site.toml");
    format!("'{program}' --site '{}' {words}", site.display())
}

fn aliases(stage: &Stage, words: &str) -> String {
    parity(stage, words).replacen("mm-parity", "mm-aliases", 1)
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let stage = Stage::new();
    let refused = parity(&stage, "upgrade nosuch");
    let shown = |line: &str, variables: &[(&str, &str)]| {
        let done = on_terminal(&stage, line, variables);
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.contains("nosuch"), "{text:?}");
        text
    };
    let painted = shown(&refused, &[]);
    assert!(
        painted.contains("\x1b[1;31mmm-parity:\x1b[0m cannot upgrade"),
        "{painted:?}"
    );
    let other = shown(&aliases(&stage, "adopt nosuch"), &[]);
    assert!(
        other.contains("\x1b[1;31mmm-aliases:\x1b[0m cannot"),
        "{other:?}"
    );
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let plain = shown(&refused, &variables);
        assert!(!plain.contains('\x1b'), "{plain:?}");
    }
    // Into a pipe, whatever stands at the other end of its other descriptors.
    let piped = shown(&format!("{refused} 2>&1 | cat"), &[]);
    assert!(!piped.contains('\x1b'), "{piped:?}");
}

#[test]
fn a_name_with_an_escape_paints_nothing() {
    let stage = Stage::new();
    let line = parity(&stage, "upgrade \"$(printf 'x\\033[31mnosuch')\"");
    let done = on_terminal(&stage, &line, &[("NO_COLOR", "1")]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.contains("nosuch") && !text.contains('\x1b'),
        "{text:?}"
    );
}

#[test]
fn who_waits_at_a_terminal_is_told_and_a_pipe_is_not() {
    let (stage, running) = with_one_inside("a");
    let upgrade = parity(&stage, "upgrade toylist --closed 1500ms");
    let done = on_terminal(&stage, &upgrade, &[]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{text:?}");
    assert!(
        text.contains("\rwaiting for deliveries in flight: 1 s of at most 1 s\x1b[K"),
        "{text:?}"
    );
    // The line is gone before anything else is said.
    let (_, after) = text.rsplit_once("waiting for deliveries").unwrap();
    assert!(after.contains("\r\x1b[K"), "{text:?}");
    let piped = stage
        .parity(&["upgrade", "toylist", "--closed", "1500ms"])
        .expect(1);
    assert!(
        !piped.stderr.contains("waiting for deliveries"),
        "{}",
        piped.stderr
    );
    let_go(&stage, running);
}
