//! In which maps Postfix' local(8) looks a name up, in its order: those of alias_maps alone.
//!
//! WHAT IS BUILT IS NOT WHAT IS READ. alias_database says what newaliases builds, and names
//! /etc/aliases unless somebody set it: a file that stands there alone has a map, and no mail goes
//! by it. The first map of alias_maps that has a name wins.
//!
//! **Invariants**: asks only maps that are files of this host: nothing here waits for a server.
//!
//! Source: postconf(5), local(8); Postfix 3.7 as measured.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::{Postfix, map_of, words};
use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::entry::right_side;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::master::Override;

/// The service that delivers to local users.
const LOCAL: &str = "local/unix";

/// The types of maps that are files, which a tool reads as local(8) does.
const FILES: [&str; 9] = [
    "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "regexp", "pcre",
];

/// The types whose maps stand in braces behind them, and are looked at one by one.
const OF_OTHERS: [&str; 2] = ["unionmap", "pipemap"];

/// A map that Postfix looks a name up in before it does so in one of the files asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// As alias_maps has it, the type filled in.
    pub map: String,
    /// The files before which it stands, by their numbers.
    pub before: BTreeSet<usize>,
}

/// What says in which maps names are looked up.
struct Order {
    default: String,
    maps: String,
    database: String,
    services: Vec<Override>,
}

impl Order {
    fn local(&self) -> Option<&Override> {
        self.services.iter().find(|of| of.service == LOCAL)
    }

    /// alias_maps of local(8).
    fn of_local(&self) -> &str {
        self.local().map_or(&self.maps, |of| &of.value)
    }

    fn has(&self, value: &str, original: &Original) -> bool {
        words(value).any(|word| map_of(word, &self.default, original).is_some())
    }
}

impl Postfix {
    fn order(&self) -> Result<Order, MtaError> {
        let printed =
            self.configured(&["default_database_type", "alias_maps", "alias_database"])?;
        let mut lines = printed.lines().map(|line| line.trim().to_owned());
        let mut next = || lines.next().unwrap_or_default();
        let (default, maps, database) = (next(), next(), next());
        let mut services = self.of_services()?;
        services.retain(|of| of.parameter == "alias_maps");
        Ok(Order {
            default,
            maps,
            database,
            services,
        })
    }

    /// Whether some local(8) looks names up in the file: by main.cf, or by a service of master.cf.
    ///
    /// # Errors
    /// `NotRead`; `Tool` if postconf cannot say.
    pub fn check_read(&self, original: &Original) -> Result<(), MtaError> {
        if !self.table.is_aliases {
            return Ok(());
        }
        let order = self.order()?;
        let mut services = order.services.iter();
        if order.has(order.of_local(), original)
            || services.any(|of| order.has(&of.value, original))
        {
            return Ok(());
        }
        let maps = order.of_local().to_owned();
        let built = words(&order.database).find_map(|word| map_of(word, &order.default, original));
        let kind = built.map_or(order.default.as_str(), |(kind, _)| kind);
        let own = format!("{kind}:{}", original.path().display());
        Err(MtaError::NotRead {
            path: original.path().to_owned(),
            service: order.local().map(|of| of.service.clone()),
            wanted: match maps.as_str() {
                "" => own,
                maps => format!("{maps}, {own}"),
            },
            maps,
        })
    }

    /// The maps that are of none of the files, and in which local(8) looks a name up before it
    /// does so in one of them; in its order.
    ///
    /// # Errors
    /// `Tool` if postconf cannot say.
    pub fn earlier(&self, files: &[&Original]) -> Result<Vec<Earlier>, MtaError> {
        let order = self.order()?;
        let words: Vec<&str> = words(order.of_local())
            .filter(|it| !it.is_empty())
            .collect();
        let file_of = |word: &&str| {
            let is_it = |file: &&Original| map_of(word, &order.default, file).is_some();
            files.iter().position(is_it)
        };
        let files_of: Vec<Option<usize>> = words.iter().map(file_of).collect();
        let mut earlier = Vec::new();
        for (n, word) in words.iter().enumerate() {
            let (None, Some(map)) = (files_of[n], map_with_type(word, &order.default)) else {
                continue;
            };
            let asked: BTreeSet<usize> = files_of[..n].iter().flatten().copied().collect();
            let later: BTreeSet<usize> = files_of[n..].iter().flatten().copied().collect();
            let before: BTreeSet<usize> = later.difference(&asked).copied().collect();
            if !before.is_empty() {
                earlier.push(Earlier { map, before });
            }
        }
        Ok(earlier)
    }

    /// Those of the names that such a map has, and leads elsewhere; none if the map is of a type
    /// that is not asked.
    ///
    /// # Errors
    /// `Tool` if the map cannot be read: then local(8) cannot either, and mail waits.
    pub fn led_by(
        &self,
        earlier: &Earlier,
        expected: &[Expected],
    ) -> Result<Option<Vec<Astray>>, MtaError> {
        let map = earlier.map.strip_prefix("proxy:").unwrap_or(&earlier.map);
        let is_file =
            |(kind, path): (&str, &str)| FILES.contains(&kind) && Path::new(path).is_absolute();
        if !map.split_once(':').is_some_and(is_file) {
            return Ok(None);
        }
        let names: Vec<&[u8]> = expected.iter().map(|one| one.name.as_slice()).collect();
        let answers = self.ask(OsStr::new(map), &names)?;
        let astray = |(expected, answer): (&Expected, Option<Vec<u8>>)| {
            expected.astray(Some(right_side(&answer?, Dialect::Postfix)))
        };
        Ok(Some(
            expected.iter().zip(answers).filter_map(astray).collect(),
        ))
    }
}

/// A word of alias_maps with its type; none if it is no map by itself.
fn map_with_type(word: &str, default: &str) -> Option<String> {
    match word.split_once(':') {
        Some((kind, "")) if OF_OTHERS.contains(&kind) => None,
        Some(_) => Some(word.to_owned()),
        // What stands in the braces of a map that is written out.
        None if !word.starts_with('/') => None,
        None => Some(format!("{default}:{word}")),
    }
}
