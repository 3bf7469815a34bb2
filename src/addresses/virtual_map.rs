//! `mm-aliases virtual`: the map of lists of domains, printed or put in place of a file.
//!
//! **Invariants.** Nothing is written without the writer's lock.

use std::path::Path;

use super::decide::View;
use super::domains::Map;
use super::error::AddressError;
use super::found::Found;
use super::postmap::{Done, Postmap};
use crate::site::Site;
use crate::store::{self, Writer};

/// The text of the map, or what became of the file that it is to replace.
///
/// # Errors
/// Which lists there are cannot be told, none has a domain, or the file cannot be replaced.
pub(super) fn shown(site: &Site, output: Option<&Path>) -> Result<String, AddressError> {
    let Some(path) = output else {
        let parity = store::load(site)?.parity;
        let found = Found::read(site)?;
        let map = Map::of(&View::new(site, &parity, &found)?)?;
        let left = map.left.iter().map(|line| format!("# left: {line}\n"));
        return Ok(map.text() + &left.collect::<String>());
    };
    let writer = Writer::take(site, "mm-aliases virtual")?;
    let found = Found::read(site)?;
    let map = Map::of(&View::new(site, writer.parity(), &found)?)?;
    let path = std::path::absolute(path)
        .map_err(|error| AddressError::Io("find", path.to_owned(), error))?;
    let count = map.lines.len();
    let said = match Postmap::of(site).publish(&path, &map, &writer)? {
        Done::Nothing => "nothing to change\n".to_owned(),
        Done::Written(maps) if maps.is_empty() => {
            format!("{path:?} is written: {count} addresses; virtual_alias_maps has no map of it\n")
        }
        Done::Written(maps) => {
            format!("{path:?} is written, with {maps:?}: {count} addresses\n")
        }
    };
    let left = map.left.iter().map(|line| format!("left: {line}\n"));
    Ok(said + &left.collect::<String>())
}
