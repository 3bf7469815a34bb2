//! The senders: numbered messages to lists at random, as fast as Postfix takes them and the
//! moves allow.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::random::Random;
use crate::rig::{HOST, Machine, sender};

/// What was sent.
pub(crate) struct Mail<'a> {
    lists: &'a [String],
    /// How many there will be.
    messages: usize,
    /// How many there may be by now: mail comes all the while, not before the moves.
    allowed: AtomicUsize,
    numbers: AtomicUsize,
    /// The list of each message that Postfix took, by number.
    accepted: Mutex<BTreeMap<usize, String>>,
    refused: AtomicUsize,
    pub(crate) done: AtomicBool,
}

impl<'a> Mail<'a> {
    pub(crate) fn new(lists: &'a [String], messages: usize) -> Mail<'a> {
        Mail {
            lists,
            messages,
            allowed: AtomicUsize::new(0),
            numbers: AtomicUsize::new(0),
            accepted: Mutex::default(),
            refused: AtomicUsize::new(0),
            done: AtomicBool::new(false),
        }
    }

    pub(crate) fn allow(&self, messages: usize) {
        let messages = messages.min(self.messages);
        self.allowed.store(messages, Ordering::Relaxed);
    }

    /// How many Postfix took.
    pub(crate) fn sent(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// How many Postfix did not take: their senders know.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> BTreeMap<usize, String> {
        self.accepted.lock().unwrap().clone()
    }

    /// Sends one message after the other until it is told to stop.
    pub(crate) fn keep_sending(&self, machine: &Machine, mut random: Random) {
        let mut client = machine.connect();
        while !self.done.load(Ordering::Relaxed) {
            if self.numbers.load(Ordering::Relaxed) - self.refused()
                >= self.allowed.load(Ordering::Relaxed)
            {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            // A number is used once: what was not taken for sure may have been taken.
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let list = &self.lists[random.below(self.lists.len())];
            let message = message(number, list);
            match client.send(&sender(), &format!("{list}@{HOST}"), &message) {
                Ok(_) => {
                    let mut accepted = self.accepted.lock().unwrap();
                    accepted.insert(number, list.clone());
                }
                Err(error) => {
                    println!("message {number} to {list} was not taken: {error}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    client = machine.connect();
                }
            }
        }
    }
}

fn message(number: usize, list: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: {list}@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{number}@client.example>\nSubject: {number}\nX-Number: {number}\n\nhello\n"
    )
    .into_bytes()
}
