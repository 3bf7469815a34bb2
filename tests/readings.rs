//! How often a command opens the alias file: a file of a million entries is read once, not once
//! for every question.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::stage::Stage;

/// Counts how often the file is opened, under whatever name, from now on.
struct Watch(OwnedFd);

impl Watch {
    fn on(stage: &Stage) -> Watch {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        // With the closings between them no two openings become one event.
        let events = WatchFlags::OPEN | WatchFlags::CLOSE;
        inotify::add_watch(&fd, stage.path("aliases"), events).unwrap();
        Watch(fd)
    }

    fn opened(self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut count = 0;
        loop {
            match reader.next() {
                Ok(event) => count += usize::from(event.events().contains(ReadFlags::OPEN)),
                Err(Errno::AGAIN) => return count,
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
        let watch = Watch::on(&stage);
        stage.aliases(words).expect(0);
        assert_eq!(watch.opened(), 1, "{words:?}");
    }
}

#[test]
fn a_change_reads_the_file_asks_how_it_looks_and_compares_what_came_out() {
    let stage = Stage::new();
    for words in [&["adopt", "toylist"][..], &["adopt"], &["unadopt"]] {
        let watch = Watch::on(&stage);
        stage.aliases(words).expect(0);
        assert_eq!(watch.opened(), 3, "{words:?}");
    }
}
