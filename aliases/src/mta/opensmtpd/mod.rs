//! OpenSMTPD: which tables its configuration makes of a file, and what its own programs say of a text.
//!
//! A `file:` table is the text itself, which the running daemon holds in memory: it is told to read it
//! again. A `db:` table is built by makemap, and the daemon is told as well, since it sees a new one only
//! by its time in whole seconds.
//!
//! **Invariants**: the tables are found out, never assumed. A text that OpenSMTPD refuses never stands:
//! with it, a running daemon would go on with what it had, and a stopped one would not start. This is
//! asked of smtpd itself, of a copy beside the text.
//!
//! WHAT IS READ BACK. The daemon cannot be asked what a table has. It takes a table whole or not at all,
//! and `smtpctl update table` says which: that is the answer for `file:`; a `db:` is listed by makemap.
//!
//! Source: OpenSMTPD 6.8 as measured: `smtpd -n -f CONF` reads every `file:` table and ends with status 1
//! and `PATH: invalid map entry line N`; `makemap -U DB` lists `key<tab>value`.

mod configuration;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::configuration::{Table, quoted, tables};
use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::document::Document;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::maps::{Image, Map, Maps, names};
use crate::mta::sendmail::not_as_listed;
use crate::mta::tools::{Tools, printable, renamed};
use crate::mta::whole::Listed;

/// Where OpenSMTPD's programs may be.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
/// Where its configuration may be.
const CONFIGURATIONS: [&str; 4] = [
    "/etc/smtpd.conf",
    "/etc/opensmtpd/smtpd.conf",
    "/etc/mail/smtpd.conf",
    "/usr/local/etc/mail/smtpd.conf",
];
/// How long the daemon may take to read a table anew: one that hangs would hold up whoever changes it.
const TELLING: Duration = Duration::from_secs(30);
/// How long it may take when it is told that what it had stands again.
const TELLING_BACK: Duration = Duration::from_secs(5);
/// How `makemap -U` lists a map.
const LISTED: Listed = Listed {
    separator: b"\t",
    own: &[],
};
/// What smtpctl says when there is no daemon.
const NOT_RUNNING: &str = "doesn't seem to be running";

/// OpenSMTPD, by its programs and its configuration.
#[derive(Debug, Clone)]
pub struct OpenSmtpd {
    tools: Tools,
    configurations: Vec<PathBuf>,
    /// How long any program may run.
    limit: Duration,
}

impl OpenSmtpd {
    /// Finds OpenSMTPD's programs in the directories where they are installed.
    ///
    /// # Errors
    /// `NoTools` if smtpd, smtpctl or makemap is in none of them.
    pub fn find() -> Result<Self, MtaError> {
        let found = Self::unchecked();
        found.tools.check(&["smtpd", "smtpctl", "makemap"])?;
        Ok(found)
    }

    fn unchecked() -> Self {
        Self {
            tools: Tools::at(DIRECTORIES),
            configurations: CONFIGURATIONS.map(PathBuf::from).to_vec(),
            limit: Duration::MAX,
        }
    }

    /// Takes the programs from this directory, and this file as smtpd.conf.
    pub fn with_tools(directory: impl Into<PathBuf>, configuration: impl Into<PathBuf>) -> Self {
        Self {
            tools: Tools::at([directory.into()]),
            configurations: vec![configuration.into()],
            limit: Duration::MAX,
        }
    }

    /// How long a program may run; 10 minutes otherwise, and half a minute for smtpctl.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self {
            tools: self.tools.within(limit),
            limit,
            ..self
        }
    }

    /// How this host's OpenSMTPD reads these files: as `db:` tables only where smtpd.conf has all of
    /// them as such. Needs none of its programs.
    ///
    /// Where smtpd.conf cannot be read they are taken for `file:`; what writes then refuses.
    pub fn dialect(files: &[PathBuf]) -> Dialect {
        Self::unchecked().dialect_of(files)
    }

    /// The same, by the configuration that this one has.
    pub fn dialect_of(&self, files: &[PathBuf]) -> Dialect {
        let is_built = |path: &PathBuf| {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let maps = self.maps(path, &real);
            maps.is_ok_and(|maps| maps.iter().all(|map| map.image.is_some()))
        };
        if files.iter().all(is_built) {
            Dialect::OpenSmtpdDb
        } else {
            Dialect::OpenSmtpd
        }
    }

    fn tables(&self) -> Result<Vec<Table>, MtaError> {
        let found = self.configurations.iter().find(|path| path.exists());
        let path = found.ok_or_else(|| MtaError::NoConfiguration {
            paths: self.configurations.clone(),
        })?;
        tables(path)
    }

    /// The tables of aliases that are made of this file.
    fn maps(&self, path: &Path, real: &Path) -> Result<Vec<Map>, MtaError> {
        let mut maps = Vec::new();
        let mut others = Vec::new();
        for table in self.tables()?.into_iter().filter(|it| it.is_for_aliases) {
            let source = table.text();
            let is_it = source == path || fs::canonicalize(&source).is_ok_and(|it| it == real);
            if !is_it {
                continue;
            }
            let image = match table.backend.as_str() {
                "file" | "static" => None,
                "db" if source != table.path => Some(Image {
                    file: table.path,
                    suffix: ".db",
                    is_owned: false,
                }),
                backend => {
                    others.push(format!("table {} of type {backend}", table.name));
                    continue;
                }
            };
            maps.push(Map {
                kind: table.name,
                source,
                image,
                is_held: true,
            });
        }
        if maps.is_empty() || !others.is_empty() {
            return Err(MtaError::NoMap {
                path: path.to_owned(),
                others,
                where_told: "the tables that an action of smtpd.conf names by alias <...>",
            });
        }
        Ok(maps)
    }

    /// Has smtpd read a `file:` table at `text`, as it would when it starts.
    fn check(&self, map: &Map, text: &Path) -> Result<(), MtaError> {
        let mut path = text.as_os_str().to_owned();
        path.push(".conf");
        let path = PathBuf::from(path);
        let failed = |source| MtaError::File {
            path: path.clone(),
            doing: "write a configuration beside the text",
            source,
        };
        let said = write_configuration(&path, text)
            .map_err(failed)
            .and_then(|()| {
                let arguments = ["-n".as_ref(), "-f".as_ref(), path.as_os_str()];
                self.tools.succeed("smtpd", arguments, b"")
            });
        // What is left is swept with the rest.
        let _ = fs::remove_file(&path);
        said.map(drop).map_err(|error| told_of(error, text, map))
    }
}

impl Maps for OpenSmtpd {
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        self.maps(original.path(), original.real_path())
    }

    fn build(&self, map: &Map, text: &Path) -> Result<Vec<String>, MtaError> {
        if map.image.is_none() {
            return self.check(map, text).map(|()| Vec::new());
        }
        let image = map.image_of(text);
        let arguments = [
            "-t".as_ref(),
            "aliases".as_ref(),
            "-o".as_ref(),
            image.as_os_str(),
            text.as_os_str(),
        ];
        let made = self.tools.succeed("makemap", arguments, b"");
        made.map(|_| Vec::new())
            .map_err(|error| told_of(error, text, map))
    }

    fn wrong(
        &self,
        map: &Map,
        text: &Path,
        expected: &[Expected],
    ) -> Result<Vec<Astray>, MtaError> {
        if map.image.is_none() {
            return Ok(Vec::new());
        }
        let listing = self.list(map, text)?;
        Ok(not_as_listed(&listing, expected, Dialect::OpenSmtpdDb))
    }

    fn not_as_text(
        &self,
        map: &Map,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        if map.image.is_none() {
            return Ok(Vec::new());
        }
        let listing = self.list(map, &map.source)?;
        let wrong = not_as_listed(&listing, expected, Dialect::OpenSmtpdDb);
        if !wrong.is_empty() {
            return Ok(names(wrong));
        }
        let document = Document::parse_shared(original.shared(), Dialect::OpenSmtpdDb);
        Ok(LISTED.not_as_text(&listing, &document))
    }

    fn tell(&self, map: &Map) -> Result<Vec<String>, MtaError> {
        self.tell_within(map, TELLING)
    }

    fn tell_back(&self, map: &Map) -> Result<Vec<String>, MtaError> {
        self.tell_within(map, TELLING_BACK)
    }
}

impl OpenSmtpd {
    /// Everything that the map of the text at `text` has.
    fn list(&self, map: &Map, text: &Path) -> Result<Vec<u8>, MtaError> {
        let image = map.image_of(text);
        let arguments = ["-U".as_ref(), image.as_os_str()];
        Ok(self.tools.succeed("makemap", arguments, b"")?.stdout)
    }

    fn tell_within(&self, map: &Map, limit: Duration) -> Result<Vec<String>, MtaError> {
        let tools = self.tools.clone().within(limit.min(self.limit));
        let output = tools.run("smtpctl", ["update", "table", &map.kind], b"")?;
        if output.status.success() {
            return Ok(Vec::new());
        }
        if printable(&output.stderr).contains(NOT_RUNNING) {
            return Ok(vec![format!(
                "smtpd is not running: it reads {} when it starts",
                map.file().display()
            )]);
        }
        Err(self.tools.failed("smtpctl", &output))
    }
}

/// Writes the smallest configuration in which `text` is a table of aliases.
fn write_configuration(path: &Path, text: &Path) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let table = quoted(&format!("file:{}", text.display()));
    writeln!(
        file,
        "table t {table}\nlisten on socket\naction \"a\" mbox alias <t>\nmatch for local action \"a\""
    )
}

/// The same error, with the text's own name for that of its copy, and without what is said of our
/// small configuration.
fn told_of(error: MtaError, text: &Path, map: &Map) -> MtaError {
    match error {
        MtaError::Tool {
            program,
            status,
            said,
        } => {
            let ours = format!("{}.conf:", text.display());
            let parts = said.split("; ");
            let parts: Vec<&str> = parts.filter(|part| !part.starts_with(&ours)).collect();
            let said = renamed(&parts.join("; "), text, &map.source);
            MtaError::Tool {
                program,
                status,
                said: said.replace("; warn: no rules, nothing to do", ""),
            }
        }
        error => error,
    }
}
