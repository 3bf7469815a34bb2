//! The text of a profile, read whole.
//!
//! Serde takes what was typed; [`Profile::parse`] judges it. `contrib/profile.toml` documents
//! each key.
//!
//! **Invariants.** No I/O. What is wrong is told with its place in the text.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::data::{RawData, RawReads};
use super::fresh::{self, RawFiles, RawFresh};
use super::jobs::{self, By, RawProgram};
use super::layout::RawLayout;
use super::queues::{self, RawQueues, RawSign};
use super::rehearsal::RawRehearsal;
use super::{
    Address, DataVersion, Lists, Need, Probe, Profile, ReadAs, SiteWide, Words, is_per_list,
};
use crate::list::Verb;
use crate::profile::{BadProfile, Case, Routing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "format")]
    _format: u32,
    about: String,
    #[serde(rename = "case")]
    _case: Case,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(rename = "exists")]
    _exists: Option<IgnoredAny>,
    verbs: BTreeMap<Spanned<String>, RawVerb>,
    web: Option<Spanned<IgnoredAny>>,
    lists: Spanned<RawLists>,
    release: RawProbe,
    data_version: Option<RawDataVersion>,
    data: Option<RawData>,
    owner: Option<RawOwner>,
    #[serde(default)]
    direct: Vec<RawDirect>,
    #[serde(default)]
    site: SiteWide,
    queues: Option<RawQueues>,
    #[serde(default)]
    life: Vec<Spanned<RawSign>>,
    #[serde(default)]
    tree: RawFiles,
    #[serde(default)]
    fresh: Vec<Spanned<RawFresh>>,
    #[serde(default)]
    bin: BTreeMap<Spanned<String>, RawProgram>,
    #[serde(default)]
    cron: BTreeMap<Spanned<String>, RawProgram>,
    layout: Option<RawLayout>,
    rehearsal: Option<RawRehearsal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerb {
    addresses: Vec<Spanned<String>>,
    #[serde(rename = "extension")]
    _extension: Option<String>,
    argv: Option<Spanned<Vec<String>>>,
    #[serde(rename = "recipient")]
    _recipient: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLists {
    directory: Option<String>,
    holds: Option<Vec<String>>,
    name: Option<String>,
    from: Option<From>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum From {
    Aliases,
}

/// One file, or several of which the first that is there counts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Files {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    file: Spanned<Files>,
    regex: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataVersion {
    file: Spanned<Files>,
    regex: Spanned<String>,
    read: ReadAs,
    #[serde(default)]
    reads: Vec<RawReads>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOwner {
    of: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirect {
    verb: Spanned<String>,
    argv: Spanned<Vec<String>>,
}

impl Profile {
    /// Reads the text of a profile.
    ///
    /// # Errors
    /// [`BadProfile`], with the byte offset where that is known.
    pub fn parse(text: &str) -> Result<Profile, BadProfile> {
        let raw: Raw = toml::from_str(text).map_err(|error| BadProfile {
            at: error.span().map(|span| span.start),
            what: error.message().to_owned(),
        })?;
        let routing = Routing::parse(text)?;
        let mut direct = Vec::new();
        for (word, row) in &raw.verbs {
            let verb = verb(word)?;
            if !routing.knows(verb) {
                return Err(bad(
                    word,
                    "a verb stands after another section; verbs come first",
                ));
            }
            if let Some(argv) = &row.argv {
                direct.extend(words(verb, argv)?);
            }
        }
        if let (Some(web), None) = (&raw.web, &routing.web) {
            return Err(BadProfile {
                at: Some(web.span().start),
                what: "[web] stands after another section; it follows the verbs".to_owned(),
            });
        }
        // Verbs of one command in the order of the verbs: the alias's name tells which is meant.
        direct.sort_by_key(|&(verb, _)| verb);
        for form in &raw.direct {
            direct.extend(words(verb(&form.verb)?, &form.argv)?);
        }
        Ok(Profile {
            about: raw.about,
            routing,
            needs: raw.needs,
            addresses: addresses(&raw.verbs)?,
            lists: lists(raw.lists)?,
            release: probe(raw.release.file, &raw.release.regex)?,
            data_version: raw
                .data_version
                .map(|raw| {
                    Ok(DataVersion {
                        probe: probe(raw.file, &raw.regex)?,
                        read: raw.read,
                        reads: raw
                            .reads
                            .into_iter()
                            .map(RawReads::cook)
                            .collect::<Result<_, _>>()?,
                    })
                })
                .transpose()?,
            data: raw.data.map(RawData::cook).transpose()?,
            owned: raw.owner.map(owned).transpose()?,
            direct,
            site: raw.site,
            queues: raw.queues.map(RawQueues::cook).transpose()?,
            life: raw
                .life
                .into_iter()
                .map(queues::sign)
                .collect::<Result<_, _>>()?,
            files: fresh::files(raw.tree)?,
            fresh: raw
                .fresh
                .into_iter()
                .map(fresh::fresh)
                .collect::<Result<_, _>>()?,
            bin: jobs::programs(raw.bin, By::People)?,
            cron: jobs::programs(raw.cron, By::Cron)?,
            layout: raw.layout.map(RawLayout::cook).transpose()?,
            rehearsal: raw.rehearsal.map(RawRehearsal::cook).transpose()?,
        })
    }
}

/// The addresses of a list, each with its verb.
fn addresses(verbs: &BTreeMap<Spanned<String>, RawVerb>) -> Result<Vec<Address>, BadProfile> {
    let mut addresses = Vec::new();
    for (word, row) in verbs {
        let verb = verb(word)?;
        for template in &row.addresses {
            let parts: Vec<&str> = template.get_ref().split("{list}").collect();
            let &[before, after] = parts.as_slice() else {
                return Err(bad(template, "an address has {list} once"));
            };
            // It becomes an alias's name: a blank or a colon in it would end the name.
            let mut rest = before.bytes().chain(after.bytes());
            if let Some(byte) = rest.find(|&b| !is_address_byte(b)) {
                let what = format!(
                    "an address has {{list}} and a-z 0-9 . _ + = - only, not \"{}\"",
                    byte.escape_ascii()
                );
                return Err(bad(template, &what));
            }
            addresses.push(Address {
                verb,
                before: before.to_owned(),
                after: after.to_owned(),
            });
        }
    }
    addresses.sort_by_key(|address| address.verb);
    Ok(addresses)
}

/// The form of a command, where it names a list.
fn words(verb: Verb, argv: &Spanned<Vec<String>>) -> Result<Option<(Verb, Words)>, BadProfile> {
    let words = Words::parse(argv.get_ref()).map_err(|what| BadProfile {
        at: Some(argv.span().start),
        what,
    })?;
    Ok(words.map(|words| (verb, words)))
}

fn lists(raw: Spanned<RawLists>) -> Result<Lists, BadProfile> {
    let at = raw.span().start;
    let bad = |what: &str| BadProfile {
        at: Some(at),
        what: what.to_owned(),
    };
    match raw.into_inner() {
        RawLists {
            directory: Some(directory),
            holds,
            name,
            from: None,
        } if holds.is_some() || name.is_some() => {
            let name = name.as_deref().unwrap_or("{list}");
            let after = ["{list}", "{local}"]
                .into_iter()
                .find_map(|list| name.strip_prefix(list));
            let after = after.ok_or_else(|| bad("`name` begins with {list} or {local}"))?;
            Ok(Lists::Directory {
                directory,
                holds: holds.unwrap_or_default(),
                after: after.to_owned(),
            })
        }
        RawLists {
            directory: None,
            holds: None,
            name: None,
            from: Some(From::Aliases),
        } => Ok(Lists::Aliases),
        _ => Err(bad(
            "[lists] has `directory`, with `holds` or `name` or both, or `from = \"aliases\"` alone",
        )),
    }
}

fn owned(RawOwner { of }: RawOwner) -> Result<String, BadProfile> {
    match is_per_list(of.get_ref()) {
        true => Ok(of.into_inner()),
        false => Err(bad(
            &of,
            "`of` is one list's: {list} or {local} stands in it",
        )),
    }
}

fn probe(file: Spanned<Files>, regex: &Spanned<String>) -> Result<Probe, BadProfile> {
    let at = file.span().start;
    let files = match file.into_inner() {
        Files::One(file) => vec![file],
        Files::Several(files) => files,
    };
    if files.is_empty() {
        return Err(BadProfile {
            at: Some(at),
            what: "no file is named".to_owned(),
        });
    }
    let compiled = Regex::new(regex.get_ref()).map_err(|error| bad(regex, &error.to_string()))?;
    if compiled.captures_len() != 2 {
        return Err(bad(
            regex,
            "the regex has exactly one group: what is looked for",
        ));
    }
    Ok(Probe {
        files,
        regex: compiled,
    })
}

/// What may stand in an alias's name that every MTA reads alike.
fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._+=-".contains(&byte)
}

fn verb(word: &Spanned<String>) -> Result<Verb, BadProfile> {
    Verb::parse(word.get_ref().as_bytes())
        .ok_or_else(|| bad(word, &format!("not a verb: {:?}", word.get_ref())))
}

pub(super) fn bad(at: &Spanned<String>, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at.span().start),
        what: what.to_owned(),
    }
}
