//! What an admin and an MTA see, one user-visible act a file. Needs neither network nor root
//! nor a real MTA; what does is in `machine`, run by tests/run.

/// A throwaway site with two stub trees. Not a place for tests.
mod stage;

/// The examples in contrib are sound.
mod examples;

/// mm-deliver: which program gets the message, and what happens to mail when none can.
mod deliver;
