//! `mm-aliases deliver`: one message to one address, as the MTA would take it there.
//!
//! The address is expanded through the alias files, and each pipe is run by `agent`.
//!
//! **Invariants.** Runs programs that the alias files name, as the user who delivers; sends nothing to
//! another host and writes into no mailbox.

use super::agent::{self, Envelope, Verdict};
use super::error::AddressError;
use super::expansion::{self, End, Step};
use super::found::Found;
use super::leads::words;
use crate::accounts::{self, Account, User};
use crate::site::Site;
use crate::sysexits::{NOUSER, OK, TEMPFAIL};

/// What became of the message.
#[derive(Debug)]
pub(super) struct Delivered {
    /// One sentence for each destination.
    pub(super) lines: Vec<String>,
    /// 0 delivered, 75 kept and tried again, 67 unknown address, else bounced.
    pub(super) status: u8,
}

/// Delivers `message` to `address`.
///
/// # Errors
/// Nothing was run: the alias files or the user are not there.
pub(super) fn deliver(
    site: &Site,
    address: &str,
    sender: Option<&str>,
    user: Option<&str>,
    message: &[u8],
) -> Result<Delivered, AddressError> {
    let found = Found::read(site)?;
    let user = runner(site, user)?;
    let (local, domain) = address.split_once('@').unwrap_or((address, "localhost"));
    let folded = local.to_ascii_lowercase();
    let steps = expansion::expand(&found, &folded);
    if steps.is_empty() {
        return Ok(unknown(&found, address, &folded));
    }
    let envelope = Envelope {
        sender: sender.map_or_else(|| sender_of(message), str::to_owned),
        recipient: format!("{local}@{domain}"),
        local: local.to_owned(),
        domain: domain.to_owned(),
        extension: None,
        alias: String::new(),
    };
    let message = agent::with_from_line(message, &envelope.sender);
    let mut verdicts = Vec::new();
    let mut lines = Vec::new();
    for step in &steps {
        let extension = step
            .extension
            .clone()
            .or_else(|| steps[0].extension.clone());
        let envelope = Envelope {
            extension,
            alias: step.name.clone(),
            ..envelope.clone()
        };
        run_step(
            &found,
            step,
            &envelope,
            &message,
            user.as_ref(),
            &mut lines,
            &mut verdicts,
        );
    }
    Ok(Delivered {
        lines,
        status: worst(&verdicts),
    })
}

/// What the MTA says of an address that no alias has.
fn unknown(found: &Found, address: &str, folded: &str) -> Delivered {
    let mut lines = vec![format!("{address:?}: no such alias: bounced")];
    let near = expansion::near(found, folded);
    if !near.is_empty() {
        lines.push(format!("near it: {}", near.join(", ")));
    }
    Delivered {
        lines,
        status: status(NOUSER),
    }
}

fn run_step(
    found: &Found,
    step: &Step,
    envelope: &Envelope,
    message: &[u8],
    user: Option<&User>,
    lines: &mut Vec<String>,
    verdicts: &mut Vec<Verdict>,
) {
    let place = found.shown(step.place);
    for end in &step.ends {
        let told = match end {
            End::Pipe(command) => {
                let (verdict, told) = run_pipe(command, envelope, message, user);
                verdicts.push(verdict);
                told
            }
            End::Alias(name) => format!("the alias {name:?}"),
            End::Loop(name) => format!("{name:?} again: passed over"),
            End::Mailbox(name) => format!("the mailbox of {name:?}: not delivered here"),
            End::Outside(address) => format!("the address {address:?}: not sent"),
            End::File(path) => format!("the file {path:?}: not written"),
            End::Verdict(words) => format!("what the MTA does itself, not done here: {words:?}"),
            End::Include(path) => {
                format!("what stands in {path:?}, which the MTA reads: not followed here")
            }
        };
        lines.push(format!("{place}: {}: {told}", step.name.escape_debug()));
    }
}

fn run_pipe(
    command: &[u8],
    envelope: &Envelope,
    message: &[u8],
    user: Option<&User>,
) -> (Verdict, String) {
    let shown = String::from_utf8_lossy(command);
    let Some(words) = words(command) else {
        let told = format!("{shown:?}: it needs a shell, and is not run here: kept");
        return (Verdict::Kept, told);
    };
    match agent::run(&words, envelope, message, user) {
        Err(error) => (
            Verdict::Kept,
            format!("{shown:?}: {error}: kept and tried again"),
        ),
        Ok(ended) => {
            let what = match ended.verdict {
                Verdict::Delivered => "delivered",
                Verdict::Kept => "kept and tried again",
                Verdict::Bounced(_) => "bounced",
            };
            let said = match ended.said.as_str() {
                "" => String::new(),
                said => format!(" ({said})"),
            };
            (
                ended.verdict,
                format!("{shown:?}: {}: {what}{said}", ended.how),
            )
        }
    }
}

/// A bounce is the worst; nothing that could be run is a delivery as far as we can tell.
fn worst(verdicts: &[Verdict]) -> u8 {
    let bounced = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Bounced(status) => Some(*status),
        _ => None,
    });
    match bounced {
        Some(status) => status,
        None if verdicts.contains(&Verdict::Kept) => status(TEMPFAIL),
        None => status(OK),
    }
}

fn status(code: std::ffi::c_int) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Who runs the pipes; `None`: who we are.
fn runner(site: &Site, asked: Option<&str>) -> Result<Option<User>, AddressError> {
    let account = match asked {
        Some(name) => Account::new(name),
        None if accounts::runner() == 0 => match site.config.users.first() {
            Some(first) => first.clone(),
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    let user = account
        .user()
        .map_err(|error| AddressError::User(account.to_string(), error.to_string()))?;
    // As root only where site.toml itself says so, as a toy site of root's does.
    if user.uid == 0 && asked.is_some() {
        return Err(AddressError::User(
            user.name,
            "pipes are never run as root".to_owned(),
        ));
    }
    Ok((user.uid != accounts::runner()).then_some(user))
}

/// The envelope sender that the message's header lets guess: Return-Path, else From.
fn sender_of(message: &[u8]) -> String {
    let (headers, _) = match mailparse::parse_headers(skip_from_line(message)) {
        Ok(parsed) => parsed,
        Err(_) => return String::new(),
    };
    let value = |name: &str| {
        let header = headers
            .iter()
            .find(|header| header.get_key_ref().eq_ignore_ascii_case(name))?;
        if header.get_value().trim() == "<>" {
            return Some(String::new());
        }
        let addresses = mailparse::addrparse_header(header).ok()?;
        addresses.iter().find_map(|address| match address {
            mailparse::MailAddr::Single(info) => Some(info.addr.clone()),
            mailparse::MailAddr::Group(_) => None,
        })
    };
    value("Return-Path")
        .or_else(|| value("From"))
        .unwrap_or_default()
}

fn skip_from_line(message: &[u8]) -> &[u8] {
    match message.starts_with(b"From ") {
        true => message
            .iter()
            .position(|&b| b == b'\n')
            .map_or(&[], |end| &message[end + 1..]),
        false => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_the_return_path_else_the_author() {
        let sender = |text: &str| sender_of(text.as_bytes());
        assert_eq!(sender("Return-Path: <a@b>\nFrom: Al <c@d>\n\nx"), "a@b");
        assert_eq!(sender("From: Al <c@d>, e@f\n\nx"), "c@d");
        assert_eq!(sender("Return-Path: <>\nFrom: c@d\n\nx"), "");
        assert_eq!(sender("From x@y Mon\nFrom: c@d\n\nx"), "c@d");
        assert_eq!(sender("no header\n"), "");
        assert_eq!(sender(""), "");
    }

    #[test]
    fn one_bounce_is_worse_than_any_wait() {
        assert_eq!(worst(&[Verdict::Delivered, Verdict::Kept]), 75);
        assert_eq!(worst(&[Verdict::Bounced(1), Verdict::Kept]), 1);
        assert_eq!(worst(&[Verdict::Delivered]), 0);
        assert_eq!(worst(&[]), 0);
    }
}
