//! Rehearsals: mail through two releases, with nothing sent and nothing written.

/// mlmmj in two releases, between which an old text breaks.
mod mlmmj;

/// Programs that mean harm, in a room.
mod hostile;
