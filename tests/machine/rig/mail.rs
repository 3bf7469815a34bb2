//! Mail into the machine, and what became of it: sending, waiting, trying again.

use std::time::{Duration, Instant};

use super::agent::{Answer, Event};
use super::{Delivery, HOST, Machine, PATIENCE, sender};
use crate::smtp;

impl Machine {
    pub(crate) fn connect(&self) -> smtp::Client {
        let start = Instant::now();
        loop {
            match smtp::Client::connect(self.port) {
                Ok(client) => return client,
                Err(error) if start.elapsed() > PATIENCE => panic!("no SMTP: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Sends a message; returns its queue id.
    #[track_caller]
    pub(crate) fn send(&self, to: &str, message: &[u8]) -> String {
        let to = format!("{to}@{HOST}");
        let reply = self.connect().send(&sender(), &to, message).unwrap();
        let id = self.agent.queue_id(&reply);
        id.unwrap_or_else(|| panic!("no queue id in {reply:?}"))
    }

    /// Sends a message, waits until it was handed over, and returns the first word of the
    /// command that the MTA ran, and what arrived.
    #[track_caller]
    pub(crate) fn send_and_take(&self, to: &str, message: &[u8]) -> (String, Delivery) {
        let id = self.send(to, message);
        let (line, event) = self.wait_for_event(&id, |_| true);
        println!("| {line}");
        let Event::Delivered(ran) = event else {
            panic!("not delivered: {line}");
        };
        let got = self.take_one();
        let ran = ran.or_else(|| got.ran_by().map(str::to_owned));
        (
            ran.unwrap_or_else(|| panic!("not delivered to a command: {line}")),
            got,
        )
    }

    /// Waits until the message was delivered; returns the line of the log that says so.
    #[track_caller]
    pub(crate) fn wait_until_delivered(&self, id: &str) -> String {
        self.wait_for_event(id, |event| matches!(event, Event::Delivered(_)))
            .0
    }

    /// Waits until the message was deferred; returns the line of the log that says so.
    #[track_caller]
    pub(crate) fn wait_until_deferred(&self, id: &str) -> String {
        self.wait_for_event(id, |event| *event == Event::Deferred).0
    }

    #[track_caller]
    fn wait_for_event(&self, id: &str, is_it: fn(&Event) -> bool) -> (String, Event) {
        self.wait_for_line(&format!("about {id}"), |line| {
            let event = self.agent.event(line, id)?;
            is_it(&event).then(|| (line.to_owned(), event))
        })
    }

    /// Prints the lines of the log that say what became of the message.
    pub(crate) fn show_events(&self, id: &str) {
        for line in self.log().lines() {
            if self.agent.event(line, id).is_some() {
                println!("| {line}");
            }
        }
    }

    /// Tries everything that was deferred again, until the MTA has no message any more.
    #[track_caller]
    pub(crate) fn flush(&self) {
        let start = Instant::now();
        loop {
            self.agent.retry(self, None);
            std::thread::sleep(Duration::from_millis(200));
            let queue = self.agent.queue(self);
            if queue.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "still in the queue:\n{queue}");
        }
    }

    /// Tries this message again, until it was deferred once more.
    pub(crate) fn flush_in_vain(&self, id: &str) {
        // One try may log several lines: of this one recipient's others, too.
        let is_deferred = |line: &&str| self.agent.event(line, id) == Some(Event::Deferred);
        let tries = || self.log().lines().filter(is_deferred).count();
        let before = tries();
        let start = Instant::now();
        while tries() == before {
            assert!(start.elapsed() < PATIENCE, "not tried again: {id}");
            self.agent.retry(self, Some(id));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What the MTA says of a local part.
    pub(crate) fn look_up(&self, name: &str) -> Answer {
        self.agent.look_up(self, name)
    }

    /// Brings the MTA's database in line with the alias file, by the MTA's own tools.
    pub(crate) fn rebuild(&self) {
        self.agent.rebuild(self);
    }

    /// Asserts that no message was bounced.
    #[track_caller]
    pub(crate) fn expect_no_bounce(&self) {
        let mark = self.agent.bounce();
        self.show_log(mark);
        assert_eq!(self.count_log(mark), 0, "mail bounced");
        let box_ = self.path("/var/mail/sender");
        assert!(!box_.exists(), "the sender got mail: {box_:?}");
    }
}
