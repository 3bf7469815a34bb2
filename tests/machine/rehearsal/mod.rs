//! Rehearsals: mail through two releases, with nothing sent and nothing written.

/// mlmmj in two releases, between which an old text breaks.
mod mlmmj;

/// Releases that were changed on purpose.
mod toy;

/// Programs that mean harm, in a room.
mod hostile;
