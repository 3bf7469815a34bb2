//! Postfix: its listener, how its log tells of a delivery, and its queue.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Delivery, Machine, PATIENCE};

/// Adds the listener to master.cf.
pub(super) fn listen(run: &Path, port: u16) {
    let master = run.join("etc/postfix/master.cf");
    let mut services = fs::read_to_string(&master).unwrap();
    services += &format!("127.0.0.1:{port} inet n - n - - smtpd\n");
    fs::write(&master, services).unwrap();
}

impl Machine {
    /// command that Postfix ran, and what arrived.
    #[track_caller]
    pub(crate) fn send_and_take(&self, to: &str, message: &[u8]) -> (String, Delivery) {
        let id = self.send(to, message);
        self.wait_for(&id, ": removed");
        let line = self.wait_for(&format!("{id}: to="), "status=");
        println!("| {line}");
        let ran = line.split_once("(delivered to command: ");
        let ran = ran.and_then(|(_, command)| command.split(' ').next());
        let ran = ran.unwrap_or_else(|| panic!("not delivered to a command: {line}"));
        (ran.to_owned(), self.take_one())
    }

    /// Tries everything that was deferred again, until Postfix has no message any more.
    ///
    /// One `postqueue -f` is not enough: it passes over a message that is being tried, or
    /// that was logged as deferred and does not lie in that queue yet.
    #[track_caller]
    pub(crate) fn flush(&self) {
        self.expect("postqueue -f");
        let start = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let output = self.command("postqueue -j").output().unwrap();
            if output.status.success() && output.stdout.is_empty() {
                return;
            }
            if start.elapsed() > PATIENCE {
                let queue = String::from_utf8_lossy(&output.stdout).into_owned();
                panic!("still in the queue:\n{queue}");
            }
            let _ = self.command("postqueue -f").output();
        }
    }

    /// Tries this message again, until it was deferred once more.
    pub(crate) fn flush_in_vain(&self, id: &str) {
        let line = format!("{id}: to=");
        let before = self.count_log(&line);
        let start = Instant::now();
        while self.count_log(&line) == before {
            assert!(start.elapsed() < PATIENCE, "not tried again: {id}");
            self.command(&format!("postqueue -i {id}"))
                .output()
                .unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asserts that no message was bounced.
    #[track_caller]
    pub(crate) fn expect_no_bounce(&self) {
        self.show_log("status=bounced");
        assert_eq!(self.count_log("status=bounced"), 0, "mail bounced");
        let box_ = self.path("/var/mail/sender");
        assert!(!box_.exists(), "the sender got mail: {box_:?}");
    }
}
