//! The file on disk: read whole, and replaced whole in one instant.
//!
//! **Invariants**: nothing here knows what is in the file.

pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod file;
pub(crate) mod held;
pub(crate) mod leftover;
pub(crate) mod looks;
pub(crate) mod prepare;
