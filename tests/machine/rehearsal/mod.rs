//! Rehearsals: mail through two releases, with nothing sent and nothing written.

/// Mailman 3 in two releases, each with a core and a database.
mod mailman3;

/// mlmmj in two releases, between which an old text breaks.
mod mlmmj;

/// Releases that were changed on purpose.
mod toy;

/// Programs that mean harm, in a room.
mod hostile;
