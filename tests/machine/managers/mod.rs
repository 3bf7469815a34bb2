//! Real list managers in the trees: their own programs take the mail, and their members get it.

/// From Mailman 2.1 to Mailman 3 by the hooks of contrib.
mod from21;
/// Mailman 3's lists through mm-deliver and mm-lmtp.
pub(crate) mod lmtp;
/// Mailman 3 in two releases, each with data of its own.
pub(crate) mod mailman3;
/// mlmmj in two releases on one spool.
pub(crate) mod mlmmj;
/// Where their mail ends.
mod sink;
/// Two list managers on one site.
mod unlike;

use crate::rig::{HOST, Machine, sender};

/// A message to the local part `to`, from whom `from` says.
fn post(to: &str, from: &str, subject: &str) -> Vec<u8> {
    format!(
        "From: <{from}>\nTo: {to}@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{}.{to}@client.example>\nSubject: {subject}\n\nhello\n",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

/// Sends a message and waits until the MTA handed it over; `to` is a local part.
#[track_caller]
fn deliver(machine: &Machine, to: &str, subject: &str) {
    let id = machine.send(to, &post(to, &sender(), subject));
    println!("| {}", machine.wait_until_delivered(&id));
}
