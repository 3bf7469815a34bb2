//! The lines by which an MTA itself sends lists' addresses to a tree by LMTP.
//!
//! No alias can lead straight into such a tree, so there is nothing that unadopt could write:
//! it is refused, and these lines are what an admin uses in the place of aliases.
//!
//! **Invariants.** No I/O, no change.

use std::collections::BTreeSet;

use super::error::AddressError;
use super::found::Found;
use super::pipe::Trees;
use super::turning::ours;
use crate::endpoint::Endpoint;
use crate::list::ListName;
use crate::parity::Parity;

/// Asks that each entry that is to be put back has something to be put back to.
///
/// # Errors
/// `NoDirect`: some of the lists' tree takes mail by LMTP.
pub(super) fn refuse(
    trees: &Trees<'_>,
    parity: &Parity,
    found: &Found,
    lists: Option<&BTreeSet<ListName>>,
) -> Result<(), AddressError> {
    let (mut lines, mut of_tree) = (BTreeSet::new(), None);
    for place in found.about(lists) {
        let its = ours(trees, found, place);
        let asked = its.filter(|(_, list)| lists.is_none_or(|lists| lists.contains(list)));
        let Some((verb, list)) = asked else { continue };
        let Some((tree, profile)) = trees.of(parity, &list) else {
            continue;
        };
        if let (Some(address), Some(server)) = (profile.recipient(tree, verb, &list), &tree.lmtp) {
            lines.insert(line(&address, server));
            of_tree = Some(tree.name.clone());
        }
    }
    match of_tree {
        None => Ok(()),
        Some(tree) => Err(AddressError::NoDirect(
            tree,
            lines.into_iter().collect(),
            trees.site.config.mta,
        )),
    }
}

/// One address, as a line of Postfix' transport(5).
fn line(address: &str, server: &Endpoint) -> String {
    match server {
        Endpoint::Tcp(server) => format!("{address}\tlmtp:[{}]:{}", server.ip(), server.port()),
        Endpoint::Unix(path) => format!("{address}\tlmtp:unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_line_is_one_of_postfixs_transport_table() {
        for (server, wanted) in [
            ("127.0.0.1:8024", "a@b\tlmtp:[127.0.0.1]:8024"),
            ("[::1]:8024", "a@b\tlmtp:[::1]:8024"),
            ("unix:/run/x.sock", "a@b\tlmtp:unix:/run/x.sock"),
        ] {
            assert_eq!(line("a@b", &Endpoint::parse(server).unwrap()), wanted);
        }
    }
}
