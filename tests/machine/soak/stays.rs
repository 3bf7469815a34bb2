//! Which tree each list was on, and when that was sure.
//!
//! A stay begins when the command that moved the list has returned, and ends when the next one
//! that moves it is begun; in between a list is on either tree.

use std::collections::BTreeMap;

/// Nanoseconds of CLOCK_MONOTONIC, which the trees' program reads as well.
#[expect(
    unsafe_code,
    reason = "std has no clock that two processes can compare"
)]
pub(super) fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is ours and outlives the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(status, 0, "no clock");
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// One list on one tree, for sure from `from` until `to`.
#[derive(Debug, Clone)]
struct Stay {
    tree: String,
    from: u64,
    to: u64,
}

/// The stays of all lists.
#[derive(Debug, Default)]
pub(super) struct Stays(BTreeMap<String, Vec<Stay>>);

impl Stays {
    /// This list is on `tree` from `from` on.
    pub(super) fn begin(&mut self, list: &str, tree: &str, from: u64) {
        let stays = self.0.entry(list.to_owned()).or_default();
        stays.push(Stay {
            tree: tree.to_owned(),
            from,
            to: u64::MAX,
        });
    }

    /// From `to` on this list may be on another tree.
    pub(super) fn end(&mut self, list: &str, to: u64) {
        let last = self.0.get_mut(list).and_then(|stays| stays.last_mut());
        if let Some(stay) = last.filter(|stay| stay.to == u64::MAX) {
            stay.to = to;
        }
    }

    /// Where this list was for sure at that time, if anywhere, and since when.
    pub(super) fn at(&self, list: &str, time: u64) -> Option<(&str, u64)> {
        let stays = self.0.get(list)?;
        let stay = stays
            .iter()
            .find(|stay| stay.from < time && time < stay.to)?;
        Some((&stay.tree, stay.from))
    }
}
