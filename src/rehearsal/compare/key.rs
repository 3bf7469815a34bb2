//! By what a difference of one message is the same as that of another: which words became which.
//!
//! What stands around them is each message's own, and so are numbers, cookies, the recipient, and the
//! words of the message's Subject and From in its headers: they are left open.
//!
//! **Invariants.** A header that comes or goes is one difference, whatever it says.

use std::collections::BTreeSet;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::judge::Difference;
use super::tokens::{general, words};
use super::verdict::Verdict;
use crate::rehearsal::outcome::Letter;

/// So many characters of each side are looked at.
const READ: usize = 4_000;
/// So many of what changed tell one difference from another.
const TOLD: usize = 400;

/// By what two differences are one.
pub(super) type Key = (Verdict, String, String, String);

/// That of a difference of this message.
pub(super) fn key(difference: &Difference, letter: &Letter) -> Key {
    let Difference {
        verdict,
        about,
        old,
        new,
        ..
    } = difference;
    let (old, new) = match verdict {
        Verdict::HeadersDiffer if old.is_empty() => (String::new(), "+".to_owned()),
        Verdict::HeadersDiffer if new.is_empty() => ("-".to_owned(), String::new()),
        Verdict::HeadersDiffer | Verdict::TextDiffers | Verdict::Failed => {
            let own = match verdict {
                Verdict::HeadersDiffer => own_words(letter),
                _ => BTreeSet::new(),
            };
            let [old, new] = [old, new].map(|text| open_recipient(text, &difference.person));
            changed(&old, &new, &own)
        }
        // Its paths are told in general.
        Verdict::DataDiffer => {
            let [old, new] = [old, new].map(|text| text.chars().take(TOLD).collect());
            (old, new)
        }
        _ => (String::new(), String::new()),
    };
    (*verdict, about.clone(), old, new)
}

/// The words of a message's From and Subject: what its headers say of it.
fn own_words(letter: &Letter) -> BTreeSet<String> {
    let all = words(&letter.about).into_iter();
    let said = all.filter(|word| word.starts_with(char::is_alphanumeric));
    said.map(str::to_lowercase).collect()
}

fn open_recipient(text: &str, person: &str) -> String {
    let text: String = text.chars().take(READ).collect();
    let Some((local, domain)) = person.rsplit_once('@') else {
        return text;
    };
    [
        person.to_owned(),
        format!("{local}={domain}"),
        format!("{local}%40{domain}"),
    ]
    .iter()
    .fold(text, |text, form| text.replace(form, "\u{fffc}"))
}

/// The words that went, and those that came.
fn changed(old: &str, new: &str, own: &BTreeSet<String>) -> (String, String) {
    let (old, new) = (words(old), words(new));
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if !matches!(op, DiffOp::Equal { .. }) {
            for (side, words) in [
                (&mut gone, &old[op.old_range()]),
                (&mut come, &new[op.new_range()]),
            ] {
                side.extend_from_slice(words);
                side.push("\n");
            }
        }
    }
    let cut = |words: &[&str]| in_general(words, own).chars().take(TOLD).collect();
    (cut(&gone), cut(&come))
}

/// `words` with what is one message's alone left open; several such words in a row are as one.
fn in_general(words: &[&str], own: &BTreeSet<String>) -> String {
    const OPEN: char = '…';
    let mut text = String::new();
    let mut between = String::new();
    for word in words {
        if !word.starts_with(char::is_alphanumeric) {
            between.push_str(word);
        } else if !own.contains(&word.to_lowercase()) {
            text += &between;
            text += &general(word);
            between.clear();
        } else if text.ends_with(OPEN) {
            between.clear();
        } else {
            text += &between;
            text.push(OPEN);
            between.clear();
        }
    }
    text + between.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(about: &str, person: &str, old: &str, new: &str) -> Key {
        let letter = Letter {
            name: String::new(),
            about: about.to_owned(),
            verb: "post".to_owned(),
        };
        let difference = Difference {
            verdict: Verdict::HeadersDiffer,
            about: "x".to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
            person: person.to_owned(),
        };
        key(&difference, &letter)
    }

    #[test]
    fn an_author_who_is_replaced_is_the_same_difference_for_every_author() {
        let ann = of(
            "Ann <ann@a.example>",
            "x@y",
            "From: Ann <ann@a.example>",
            "From: Ann via L <l@l.example>",
        );
        let bob = of(
            "Bob B <b.bob@bob.example>",
            "x@y",
            "From: Bob B <b.bob@bob.example>",
            "From: Bob B via L <l@l.example>",
        );
        assert_eq!(ann, bob);
        let other = of(
            "Ann <ann@a.example>",
            "x@y",
            "From: Ann <ann@a.example>",
            "From: Ann by L <l@l.example>",
        );
        assert_ne!(ann, other);
    }

    #[test]
    fn the_recipient_makes_no_difference_of_its_own_but_other_words_do() {
        let of = |person: &str, word: &str| {
            of(
                "",
                person,
                &format!("To: {person}"),
                &format!("To: {person}, {word}"),
            )
        };
        assert_eq!(of("a@x", "you"), of("bcd-e@y", "you"));
        assert_ne!(of("a@x", "you"), of("a@x", "me"));
    }
}
