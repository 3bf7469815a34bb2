//! Where it stands that a name is somebody's, so that no list takes it unasked.
//!
//! **Invariants.** Reads /etc/passwd, and writes nothing.

use super::group::spot;
use crate::addresses::found::Means;
use crate::addresses::reserved::Holder;
use crate::addresses::view::View;
use crate::finding::Spot;

/// Where it stands that somebody else has a name, if a file says so.
pub(super) fn held(view: &View<'_>, holder: Holder, name: &str) -> Option<Spot> {
    const USERS: &str = "/etc/passwd";
    match holder {
        Holder::User => {
            let users = std::fs::read_to_string(USERS).ok()?;
            let is_his = |line: &str| {
                line.split(':')
                    .next()
                    .is_some_and(|n| n.eq_ignore_ascii_case(name))
            };
            let line = users.lines().position(is_his)?;
            Some(Spot::line(USERS, line + 1).named(name))
        }
        Holder::Destination => {
            let is_it = |means: &Means| {
                matches!(means, Means::Address(to)
                if to.eq_ignore_ascii_case(name.as_bytes()))
            };
            let mut places = view.found.all();
            let place = places.find(|&place| view.found.destinations(place).iter().any(is_it))?;
            Some(spot(view, place, &view.found.folded(place)))
        }
        Holder::Everybody | Holder::Site | Holder::Domain => None,
    }
}
