//! aliases(5) files.
