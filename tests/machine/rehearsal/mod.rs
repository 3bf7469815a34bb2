//! Rehearsals: mail through two releases, with nothing sent and nothing written.

/// Programs that mean harm, in a room.
mod hostile;
