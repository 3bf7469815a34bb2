//! How often a command opens the alias file: a file of a million entries is read once, not once
//! for every question. What else tests count openings of is watched by this, too.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::stage::Stage;

/// Counts how often a file, or one in a directory, is opened, under whatever name, from now on.
pub(crate) struct Watch(OwnedFd);

impl Watch {
    pub(crate) fn on(stage: &Stage, name: &str) -> Watch {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        // With the closings between them no two openings become one event.
        let events = WatchFlags::OPEN | WatchFlags::CLOSE;
        inotify::add_watch(&fd, stage.path(name), events).unwrap();
        Watch(fd)
    }

    fn opened(self) -> usize {
        self.names().len()
    }

    /// What was opened since it was asked last: the name of a file in the directory, nothing for
    /// what is watched itself.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::OPEN) => {
                    let name = event.file_name().map(|name| name.to_string_lossy());
                    names.push(name.unwrap_or_default().into_owned());
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => return names,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn what_changes_nothing_reads_the_file_once() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    for words in [&["sync"][..], &["adopt"], &["adopt", "toylist"], &["diff"]] {
        let watch = Watch::on(&stage, "aliases");
        stage.aliases(words).expect(0);
        assert_eq!(watch.opened(), 1, "{words:?}");
    }
}

#[test]
fn a_change_reads_the_file_asks_how_it_looks_and_compares_what_came_out() {
    let stage = Stage::new();
    for words in [&["adopt", "toylist"][..], &["adopt"], &["unadopt"]] {
        let watch = Watch::on(&stage, "aliases");
        stage.aliases(words).expect(0);
        // The last time only to ask whether somebody writes on in it.
        assert_eq!(watch.opened(), 4, "{words:?}");
    }
}
