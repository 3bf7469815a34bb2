//! Somebody who writes the alias file in place while mm-aliases runs: he loses nothing, and half of
//! his text is never taken for the text.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::stage::{self, Done, Stage};

/// Truncates the file, writes half of it, and the other half when he is told to.
const EDITOR: &str = "exec 3> aliases; cat half >&3; echo; read line; cat rest >&3";

/// A shell that has the alias file open.
struct Editor(Child);

impl Editor {
    /// Returns when half of the text is there.
    fn begin(stage: &Stage) -> Editor {
        let mut shell = Command::new("sh");
        shell.args(["-c", EDITOR]).current_dir(&stage.dir);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut editor = Editor(stage::spawn(&mut shell));
        let begun = editor.0.stdout.as_mut().unwrap().read(&mut [0; 1]);
        assert_eq!(begun.unwrap(), 1);
        editor
    }

    fn end(mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A site whose lists are adopted but for a new one, and somebody who has written `half` of the
/// text: all of ours, or nothing at all, or up to the middle of a line.
fn half_written(half: impl Fn(&str) -> usize) -> (Stage, Editor) {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    stage.add_list("newlist");
    let people = "user1: user1@example.org\nuser2: user2@example.org\n";
    let text = stage.read("aliases") + people;
    let (half, rest) = text.split_at(half(&text));
    stage.write("half", half, 0o644);
    stage.write("rest", rest, 0o644);
    stage.write("aliases", &text, 0o644);
    let editor = Editor::begin(&stage);
    (stage, editor)
}

fn files_of_aliases(stage: &Stage) -> Vec<String> {
    let names = std::fs::read_dir(&stage.dir).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("aliases")).collect()
}

#[test]
fn what_is_added_is_added_to_the_whole_text() {
    let halves: [fn(&str) -> usize; 3] = [
        |_| 0,
        |text| text.find("user1").unwrap(),
        |text| text.find("unsubscribe toylist").unwrap() + 4,
    ];
    for half in halves {
        let (stage, editor) = half_written(half);
        let mut sync = stage.command("mm-aliases", &["sync", "--quiet"]);
        let mut sync = stage::spawn(sync.stdout(Stdio::null()));
        std::thread::sleep(Duration::from_millis(300));
        let ended = sync.try_wait().unwrap();
        editor.end();
        assert!(ended.is_none(), "half a text was taken for the text");
        assert!(sync.wait().unwrap().success());
        let whole = stage.read("half") + &stage.read("rest");
        let after = stage.read("aliases");
        assert!(after.starts_with(&whole), "lost: {after}");
        assert!(after.contains("\nnewlist-owner: "));
        assert_eq!(files_of_aliases(&stage), ["aliases"]);
        stage.aliases(&["check"]).expect(0);
    }
}

#[test]
fn who_does_not_end_is_named_and_nothing_is_changed() {
    let (stage, editor) = half_written(|text| text.find("user1").unwrap());
    let id = editor.0.id();
    let run = |words: &'static [&'static str]| stage.aliases(words);
    let ((sync, move_), check): ((Done, Done), Done) = std::thread::scope(|scope| {
        let sync = scope.spawn(|| (run(&["sync"]), stage.parity(&["upgrade", "toylist"])));
        let check = scope.spawn(|| run(&["check"]));
        (sync.join().unwrap(), check.join().unwrap())
    });
    let named = format!("process {id} of ");
    for done in [sync, move_] {
        done.expect(1).complains(&[
            "is open for writing, so half of it may be missing",
            &named,
            "(\"sh -c exec 3> aliases",
            "nothing has changed",
            "save and close it there",
        ]);
    }
    check.expect(3).says(&["UNKNOWN: aliases: ", &named]);
    assert_eq!(stage.read("aliases"), stage.read("half"));
    // The way back asks no alias file.
    stage.hand_parity(&["toylist"], &[]);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    editor.end();
    let whole = stage.read("half") + &stage.read("rest");
    assert_eq!(stage.read("aliases"), whole);
    assert_eq!(files_of_aliases(&stage), ["aliases"]);
    stage.aliases(&["sync"]).expect(0);
}
