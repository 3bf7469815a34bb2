//! Pages for a browser: one file, whole in itself.
//!
//! No script, no font and no picture from elsewhere, so that a page can be mailed, printed and put
//! on any server. Light or dark as the reader has it; rows become cards on a small screen.
//!
//! **Invariants.** What stands in a page is escaped by its type ([`Markup`]); only the style sheet
//! beside this file is not. The page itself forbids scripts and loads (its security policy).

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::syslog::turns;

/// The style of every page.
const STYLE: &str = include_str!("page.css");
/// Nothing is loaded and nothing runs, whatever an escape might have missed.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'";

/// A page with this title and body.
pub fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    seen(&page.into_string()) + "\n"
}

/// The same with what cannot be seen, and turns or hides what stands around it, written out.
fn seen(page: &str) -> String {
    let is_odd = |c: char| turns(c) || c.is_control() && !matches!(c, '\n' | '\t');
    if !page.contains(is_odd) {
        return page.to_owned();
    }
    let mut seen = String::with_capacity(page.len());
    for c in page.chars() {
        match is_odd(c) {
            true => seen.extend(c.escape_unicode()),
            false => seen.push(c),
        }
    }
    seen
}

/// A word with a colour of its own, where its meaning has one; the word says it all the same.
/// A blank follows it, for who reads the text alone.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (word) } " " }
}

/// What a word means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Notice,
    /// Mail waits, or worse.
    Bad,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Good => "good",
            Tone::Notice => "notice",
            Tone::Bad => "bad",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_and_nothing_is_loaded() {
        let hostile = "</title><script>alert(1)</script>\"'&\u{202e}\u{1b}";
        let body = html! { p title=(hostile) { (hostile) } (badge(Tone::Bad, hostile)) };
        let page = page(hostile, &body);
        assert!(!page.contains("<script"), "{page}");
        assert!(
            !page.contains(['\u{202e}', '\u{1b}']) && page.contains("\\u{202e}"),
            "{page}"
        );
        assert_eq!(page.matches("&lt;script&gt;").count(), 4);
        for word in ["http:", "https:", "url(", "@import", "src="] {
            assert!(!page.contains(word), "{word} in {page}");
        }
    }
}
