//! The report as a page, in a file.
//!
//! **Invariants.** Nobody sees half of it. It has words of the list's mail: whoever writes it alone may read it.

use std::path::Path;

use crate::admin::publish;
use crate::rehearsal::report::{self, Report};

/// Puts it there.
pub(super) fn write(path: &Path, report: &Report) -> Result<(), String> {
    publish::put_private(path, &report::html(report))
        .map_err(|error| format!("write {path:?}: {error}"))
}
