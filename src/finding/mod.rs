//! One thing that is not as it should be, as `check` finds it: what, where, what happens to mail
//! because of it, and what mends it.
//!
//! `print` tells findings to people and Nagios, to programs, and to Prometheus.
//!
//! **Invariants.** A finding has all four parts: there is one constructor, and it takes them all.
//! Nothing is looked for here.

mod print;
mod spot;

pub use print::{Format, Report};
pub use spot::{Quoted, Spot};

/// How bad a finding is. The statuses are those of Nagios' plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Mail goes its way, but not as it should, or not for long.
    Warning,
    /// It could not be found out.
    Unknown,
    /// Mail waits, bounces, or goes to the wrong tree.
    Critical,
}

impl Severity {
    /// Every severity, from good to bad.
    pub const ALL: [Severity; 3] = [Severity::Warning, Severity::Unknown, Severity::Critical];

    /// The exit status.
    pub fn status(self) -> u8 {
        match self {
            Severity::Warning => 1,
            Severity::Critical => 2,
            Severity::Unknown => 3,
        }
    }

    /// The word that Nagios shows.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
            Severity::Unknown => "UNKNOWN",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $word:literal,)*) => {
        /// What a finding is about. Each has a word that stays the same, for those who filter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &[Kind] = &[$(Kind::$variant,)*];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)* }
            }
        }
    };
}

kinds! {
    /// site.toml cannot be used.
    Site "site",
    /// A name that /etc/passwd or /etc/group does not have.
    Account "account",
    /// parity.toml cannot be used.
    Parity "parity",
    /// parity.toml was edited by hand.
    ByHand "parity-by-hand",
    /// The room that is kept for a full disk is missing, or too small.
    Spare "spare",
    /// The lock file is missing, or cannot be relied on.
    Lock "lock",
    /// The history and parity.toml do not agree, or it cannot be read.
    History "history",
    /// parity.toml names a list that there is not.
    NoList "list-gone",
    /// A list that only the future tree has.
    Beyond "list-beyond",
    /// A list's data stand under a name that is refused.
    Name "list-name",
    /// The data of a list do not say their version.
    Data "list-data",
    /// What is kept of lists' data cannot be read, was cut short, or has no room.
    Snapshot "snapshot",
    /// A user who delivers is not the one as whom a list's programs run.
    Owner "list-owner",
    /// The mail of a list is deferred.
    Paused "paused",
    /// Lists are on a tree that cannot serve them.
    Tree "tree",
    /// A profile cannot be used.
    Profile "profile",
    /// A tree's release cannot be told, or is not the one that was recorded.
    Release "release",
    /// Files of a tree are not those that were looked at.
    Files "tree-files",
    /// A program that a tree needs all the time does not run.
    Life "runners",
    /// The lists' data or templates are in a tree itself.
    Inside "tree-inside",
    /// Two trees share what each must have for itself.
    Shared "tree-shared",
    /// A list manager writes an alias file by itself.
    Regenerated "aliases-regenerated",
    /// A tree takes messages and does not handle them.
    Queue "queue",
    /// A tree put messages aside that it could not handle.
    Shunted "shunted",
    /// Cron runs programs of a tree for lists that are not there.
    Pointing "pointing",
    /// A program that a delivery runs cannot be run.
    Program "program",
    /// A program that the web server runs cannot be run, or has no page to lead to.
    Web "web",
    /// Whether it can be run was not tried.
    Untried "program-untried",
    /// A guarded tree did not take mail.
    Probation "probation",
    /// A log of guarded deliveries is missing, cannot be read, or holds what is no line.
    ProbationLog "probation-log",
    /// The MTA does not tell what a tree's list manager needs.
    Needs "needs",
    /// Addresses without aliases of which mm-deliver finds no list, or cannot tell.
    Rcpt "rcpt",
    /// Sendmail's restricted shell does not know mm-deliver.
    Smrsh "smrsh",
    /// A hook of site.toml that could not be run.
    Hook "hook",
    /// What a hook prepared, or did not end, for a change that was killed.
    HookLeft "hook-left",
    /// Which lists there are cannot be told.
    Enumeration "enumeration",
    /// The alias files cannot be read, hold nothing, or are not what the MTA reads.
    Aliases "aliases",
    /// A wanted address by whose entry the MTA delivers no mail.
    Undeliverable "address-undeliverable",
    /// A wanted address that nobody has.
    Missing "address-missing",
    /// One that pipes straight into a tree.
    Direct "address-direct",
    /// One that leads to another list, verb, or a place that is no tree.
    Taken "address-taken",
    /// One by whose entry mm-deliver is asked for what it delivers nothing by.
    Refused "address-refused",
    /// One that stands twice.
    Double "address-double",
    /// One of ours that should not be there.
    Stale "address-stale",
    /// One whose program stands in a file that the entry includes.
    Included "address-included",
    /// One with another destination, to which the MTA delivers again at each retry.
    Repeated "address-repeated",
    /// An address of the whole site that leads into a tree that is not current.
    SiteWide "address-site",
    /// The map of lists of domains has something else than the aliases.
    Virtual "virtual",
    /// The MTA's database has something else than the text, or cannot be asked.
    Database "database",
    /// The record of what was adopted is damaged.
    Adopted "adopted",
    /// A program that queued mail may still run is gone.
    Former "program-former",
}

/// One thing that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    kind: Kind,
    severity: Severity,
    what: String,
    spots: Vec<Spot>,
    effect: String,
    mend: Mend,
}

/// What mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// This line, typed as it stands.
    Type(String),
    /// This, by hand.
    Do(String),
}

impl Mend {
    /// The sentence or the line.
    pub fn text(&self) -> &str {
        match self {
            Mend::Type(text) | Mend::Do(text) => text,
        }
    }
}

impl Finding {
    /// `what` is wrong, one line; where, the first spot and more of the same; the `effect` on
    /// mail; what mends it.
    pub fn new(
        (kind, severity): (Kind, Severity),
        what: impl Into<String>,
        first: Spot,
        effect: impl Into<String>,
        mend: Mend,
    ) -> Finding {
        Finding {
            kind,
            severity,
            what: what.into(),
            spots: vec![first],
            effect: effect.into(),
            mend,
        }
    }

    /// The same in more places.
    pub fn also(mut self, more: impl IntoIterator<Item = Spot>) -> Finding {
        self.spots.extend(more);
        self
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What, what it does to mail, and what mends it, in one line.
    pub fn in_short(&self) -> String {
        format!("{}: {}; {}", self.what, self.effect, self.mend.text())
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }
}
