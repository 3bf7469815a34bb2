//! Whose reading of an aliases file is meant, and which module has it.
//!
//! **Invariants**: nothing is read here; every dialect answers the same six questions: where the
//! pieces of a file are, whether a line is too ordinary to look at closely, what a logical line says,
//! what becomes of a line with a problem, how a name is folded, and which of two equal names wins.

use std::borrow::Cow;

use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{Piece, Reading};
use crate::grammar::{exim, opensmtpd, postfix, sendmail};

/// Whose reading of an aliases file is meant. They differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Postfix' postalias(1) and local(8), with `smtputf8_enable = yes` (its default).
    Postfix,
    /// Sendmail's newaliases(1).
    Sendmail,
    /// Exim's `lsearch` look-up and redirect router.
    Exim,
    /// OpenSMTPD's `file:` table, which the daemon reads itself.
    OpenSmtpd,
    /// OpenSMTPD's `db:` table, which makemap(8) builds.
    OpenSmtpdDb,
}

/// Which of several entries of one name the MTA goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Winner {
    /// The first in the file.
    First,
    /// The last in the file.
    Last,
    /// None: the MTA refuses the file.
    Refused,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Postfix,
        Self::Sendmail,
        Self::Exim,
        Self::OpenSmtpd,
        Self::OpenSmtpdDb,
    ];

    /// Its name in one word, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Sendmail => "sendmail",
            Self::Exim => "exim",
            Self::OpenSmtpd => "opensmtpd",
            Self::OpenSmtpdDb => "opensmtpd-db",
        }
    }

    /// The dialect of this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Which of several entries of one name it goes by.
    pub fn winner(self) -> Winner {
        match self {
            Self::Postfix | Self::Exim => Winner::First,
            Self::Sendmail | Self::OpenSmtpd => Winner::Last,
            Self::OpenSmtpdDb => Winner::Refused,
        }
    }
}

/// Cuts a file into pieces, in order, and hands each to `take`; joined, they are the file.
pub(crate) fn pieces(bytes: &[u8], dialect: Dialect, take: impl FnMut(Piece)) {
    match dialect {
        Dialect::Postfix => postfix::pieces(bytes, take),
        Dialect::Sendmail => sendmail::pieces(bytes, take),
        Dialect::Exim => exim::pieces(bytes, take),
        Dialect::OpenSmtpd => opensmtpd::table::pieces(bytes, take),
        Dialect::OpenSmtpdDb => opensmtpd::makemap::pieces(bytes, take),
    }
}

/// Whether a logical line is so ordinary that [`read`] would find one entry of a plain name and
/// nothing wrong, and a right side that is one quoted pipe of plain bytes as just that: this is what
/// makes a file of a million lines quick.
pub(crate) fn is_plain(raw: &[u8], dialect: Dialect) -> bool {
    match dialect {
        Dialect::Postfix => postfix::is_plain(raw),
        Dialect::Sendmail => sendmail::is_plain(raw),
        Dialect::Exim => exim::is_plain(raw),
        Dialect::OpenSmtpd | Dialect::OpenSmtpdDb => opensmtpd::is_plain(raw),
    }
}

/// Reads one whole logical line.
pub(crate) fn read(raw: &[u8], dialect: Dialect) -> Reading {
    match dialect {
        Dialect::Postfix => postfix::read(raw),
        Dialect::Sendmail => sendmail::read(raw),
        Dialect::Exim => exim::read(raw),
        Dialect::OpenSmtpd => opensmtpd::table::read(raw),
        Dialect::OpenSmtpdDb => opensmtpd::makemap::read(raw),
    }
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind, dialect: Dialect) -> Effect {
    match dialect {
        Dialect::Postfix => postfix::effect(kind),
        Dialect::Sendmail => sendmail::effect(kind),
        Dialect::Exim => exim::effect(kind),
        Dialect::OpenSmtpd => opensmtpd::table::effect(kind),
        Dialect::OpenSmtpdDb => opensmtpd::makemap::effect(kind),
    }
}

/// Folds a name as the MTA does for look-ups.
pub(crate) fn fold(name: &[u8], dialect: Dialect) -> Cow<'_, [u8]> {
    // Most names that are asked for are folded already.
    let is_folded = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if name.iter().all(is_folded) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(match dialect {
        Dialect::Postfix => postfix::fold(name),
        Dialect::Sendmail => sendmail::fold(name),
        Dialect::Exim => exim::fold(name),
        Dialect::OpenSmtpd | Dialect::OpenSmtpdDb => opensmtpd::fold(name),
    })
}
