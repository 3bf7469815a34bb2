//! Why text and database could not be published, and what stands after that.
//!
//! **Invariants**: every message has the file or the tool it is about; what a tool said is printable.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::disk::error::FileError;
use crate::mta::expected::Astray;

/// How many names that lead elsewhere are told.
const MOST_ASTRAY: usize = 3;

/// Why the MTA's database could not be asked or built.
#[derive(Debug)]
#[non_exhaustive]
pub enum MtaError {
    /// A tool of the MTA is in none of these directories.
    NoTools {
        /// The tool.
        program: &'static str,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// The MTA's configuration is none of these files.
    NoConfiguration {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// The MTA is configured to run no pipe of the file.
    NoPipes {
        /// Exim's router that reads the file.
        router: String,
        /// A name whose destination is a pipe.
        name: Vec<u8>,
    },
    /// No map that this crate can build belongs to the file.
    NoMap {
        /// The aliases file.
        path: PathBuf,
        /// The maps of other types that do.
        others: Vec<String>,
        /// What of the MTA's configuration says so.
        where_told: &'static str,
    },
    /// Postfix looks names up, and not in the file.
    NotRead {
        /// The aliases file.
        path: PathBuf,
        /// The service whose alias_maps master.cf sets; none if it is main.cf's.
        service: Option<String>,
        /// alias_maps as it is.
        maps: String,
        /// alias_maps as it would have to be.
        wanted: String,
    },
    /// One file is to be maps of two types.
    SameFile {
        /// The file.
        file: PathBuf,
        /// The two, as the MTA's configuration names them.
        maps: [String; 2],
    },
    /// What stands where the map belongs is no file that could be one.
    NotAFile {
        /// What stands there.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The builder ended well, and there is no map.
    NotBuilt {
        /// The map's file.
        map: PathBuf,
    },
    /// A map that was built has fewer names than its builder says to have written.
    Short {
        /// The map's file.
        map: PathBuf,
        /// How many it has.
        found: usize,
        /// How many were written.
        count: usize,
    },
    /// A tool could not be started or spoken to.
    Start {
        /// The tool.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A tool was not done in time, and was killed.
    Slow {
        /// The tool.
        program: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A tool failed.
    Tool {
        /// The tool.
        program: PathBuf,
        /// Its status.
        status: ExitStatus,
        /// What it said, printable.
        said: String,
    },
    /// A file of the database could not be handled.
    File {
        /// The file.
        path: PathBuf,
        /// What could not be done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Names that do not lead where they should.
    Wrong {
        /// The map's file.
        map: PathBuf,
        /// The names, each with what it leads to.
        names: Vec<Astray>,
    },
}

impl fmt::Display for MtaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTools {
                program,
                directories,
            } => write!(f, "cannot find {program} in {}", listed(directories)),
            Self::NoConfiguration { paths } => {
                write!(f, "cannot find the MTA's configuration: {}", listed(paths))
            }
            Self::NoPipes { router, name } => write!(
                f,
                "Exim runs no pipe: its router {router} has no pipe_transport: all mail to \"{}\" would wait; \
                 on Debian, put SYSTEM_ALIASES_PIPE_TRANSPORT=address_pipe into \
                 /etc/exim4/exim4.conf.localmacros and run update-exim4.conf",
                name.escape_ascii()
            ),
            Self::NoMap {
                path,
                others,
                where_told,
            } if others.is_empty() => write!(
                f,
                "cannot build a database: {path:?}: the MTA does not read this file: it is not in \
                 {where_told}"
            ),
            Self::NoMap {
                path,
                others,
                where_told,
            } => write!(
                f,
                "cannot build a database: {path:?}: the MTA also reads it as {}, which cannot be \
                 built here: see {where_told}",
                others.join(", ")
            ),
            Self::NotRead {
                path,
                service,
                maps,
                ..
            } => {
                let whose = match service {
                    Some(service) => format!("master.cf's alias_maps of {service}"),
                    None => "main.cf's alias_maps".to_owned(),
                };
                let maps = maps.escape_debug();
                write!(
                    f,
                    "{path:?}: Postfix does not read this file: it is not in {whose}, \"{maps}\"; \
                     alias_database only says what newaliases builds"
                )
            }
            Self::SameFile {
                file,
                maps: [one, other],
            } => write!(
                f,
                "cannot build a database: {file:?} is the map of {one} and of {other}, and cannot be \
                 both: name one of them alone in the MTA's configuration"
            ),
            Self::NotAFile { path, what } => write!(
                f,
                "cannot build a database: {path:?} is {what}: look at it and move it away"
            ),
            Self::NotBuilt { map } => write!(
                f,
                "cannot build a database: {map:?}: the MTA's tool said that all is well, and built none"
            ),
            Self::Short { map, found, count } => write!(
                f,
                "cannot build a database: {map:?}: {found} names of {count} are in the new one"
            ),
            Self::Start { program, source } => write!(f, "cannot run: {program:?}: {source}"),
            Self::Slow { program, limit } => {
                let seconds = limit.as_secs_f32();
                write!(
                    f,
                    "{program:?} was not done after {seconds} s and was killed"
                )
            }
            Self::Tool {
                program,
                status,
                said,
            } => write!(f, "{program:?} failed: {status}: {said}"),
            Self::File {
                path,
                doing,
                source,
            } => write!(f, "cannot {doing}: {path:?}: {source}"),
            Self::Wrong { map, names } => write!(
                f,
                "{map:?}: names do not lead where they should: {}",
                few(names)
            ),
        }
    }
}

fn few(names: &[Astray]) -> String {
    let shown = names.iter().take(MOST_ASTRAY).map(Astray::to_string);
    let mut shown: Vec<String> = shown.collect();
    if names.len() > MOST_ASTRAY {
        shown.push(format!("and {} more", names.len() - MOST_ASTRAY));
    }
    shown.join("; ")
}

fn listed(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(", ")
}

impl Error for MtaError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What went wrong, with the text or with the database.
#[derive(Debug)]
pub enum Cause {
    /// The text.
    File(FileError),
    /// The database.
    Mta(MtaError),
}

impl From<MtaError> for Cause {
    fn from(error: MtaError) -> Self {
        Self::Mta(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Mta(error) => error.fmt(f),
        }
    }
}

/// Why text and database were not published, by what stands now.
#[derive(Debug)]
pub enum PublishError {
    /// Nothing has changed. A [`FileError::Changed`] in it says to start over.
    Refused(Cause),
    /// Something was wrong after the text stood; text and database are as before. A
    /// [`FileError::Changed`] in it says to start over as well.
    PutBack(Cause),
    /// The same, but something could not be put back (`then`): what stands must be looked at.
    Stuck {
        /// What was wrong at first.
        cause: Box<Cause>,
        /// Why it could not be undone.
        then: Box<Cause>,
    },
    /// An editor saved the text while the database moved, and the database could not be built of it:
    /// the text stands, and the database is older.
    Behind(Cause),
    /// New text and new database stand, but might not after a power cut.
    NotDurable(Cause),
}

impl PublishError {
    pub(crate) fn refused(error: FileError) -> Self {
        Self::Refused(Cause::File(error))
    }

    pub(crate) fn not_durable(error: FileError) -> Self {
        Self::NotDurable(Cause::File(error))
    }

    pub(crate) fn back(cause: Cause, undone: Result<(), Cause>) -> Self {
        match undone {
            Ok(()) => Self::PutBack(cause),
            Err(then) => Self::Stuck {
                cause: Box::new(cause),
                then: Box::new(then),
            },
        }
    }

    /// The same trouble, where the text that stands is an editor's.
    pub(crate) fn behind(self) -> Self {
        match self {
            Self::Refused(cause) | Self::PutBack(cause) => Self::Behind(cause),
            error => error,
        }
    }

    /// Whether another editor was faster, so that the caller should start over.
    pub fn is_editor_faster(&self) -> bool {
        matches!(
            self,
            Self::Refused(Cause::File(FileError::Changed { .. }))
                | Self::PutBack(Cause::File(FileError::Changed { .. }))
        )
    }
}

impl From<MtaError> for PublishError {
    fn from(error: MtaError) -> Self {
        Self::Refused(Cause::Mta(error))
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(cause) => write!(f, "{cause}; nothing has changed"),
            Self::PutBack(cause) => write!(f, "{cause}; text and database are as before"),
            Self::Stuck { cause, then } => {
                write!(f, "{cause}; and they could not be put back: {then}")
            }
            Self::Behind(cause) => write!(
                f,
                "{cause}; the text was edited while the database was replaced, and the database may \
                 not have the edit"
            ),
            Self::NotDurable(cause) => cause.fmt(f),
        }
    }
}

impl Error for PublishError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = match self {
            Self::Refused(cause)
            | Self::PutBack(cause)
            | Self::Behind(cause)
            | Self::NotDurable(cause) => cause,
            Self::Stuck { cause, .. } => cause,
        };
        match cause {
            Cause::File(error) => Some(error),
            Cause::Mta(error) => Some(error),
        }
    }
}
