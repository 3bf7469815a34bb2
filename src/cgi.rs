//! One web request's whole story: mm-cgi, linked under the name of each CGI program of a list
//! manager.
//!
//! Take the program's name from argv[0]; let `serving` find what answers; become that program, or
//! lead to the pages that the list has elsewhere. With `--explain` the story is told instead.
//!
//! WHAT IS BELIEVED. argv[0] is the file that the web server chose: Apache gives its last part,
//! fcgiwrap its path, neither follows a link. No other argument is looked at in a request: a server
//! makes arguments of a query string without `=` (RFC 3875, 4.4). The site comes from MM_SITE, which
//! only the server's configuration can set: a request's headers become HTTP_*.
//!
//! **Invariants.** Reads nothing of the request's body before it is answered by a page of ours, and
//! that away; writes no file, spawns nothing. Every failure of ours is
//! 503 with Retry-After and a page of ours (`notice`), never a bare 500; nothing of the request stands
//! in a page or a header of ours.

use std::ffi::{OsStr, OsString, c_int};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::accounts;
use crate::doors::LockFile;
use crate::notice::{self, Notice};
use crate::parity::Role;
use crate::serving::{self, Answer, Asked, Served, Unserved};
use crate::site::{DEFAULT_SITE, Site};
use crate::web::{self, Subject};
use crate::{sysexits, syslog};

const USAGE: &str = "\
usage: a web server runs mm-cgi, under the name of a CGI program: listinfo -> mm-cgi
       mm-cgi [--site FILE] --explain [--tree TREE] PROGRAM [PATH_INFO]
       mm-cgi --help | --version

Answers the request by the program of that name in the tree that serves the list in
PATH_INFO, or leads to the list's pages elsewhere. The site is MM_SITE of the
environment, which the web server's configuration sets (default
/etc/mm-deliver/site.toml). In a request no argument is looked at.

  --explain      print tree, release and program, or where it leads; run nothing
  --tree TREE    as though the list were on this tree

HTTP status: 404 where there can be no such list or page; 503 with Retry-After for
every failure of mm-cgi's own, and while the list is moved or paused; else that of
the tree's program. --explain: 0, or 75 where a request would get 503, 67 where 404.
";

/// What a web server says of a request and nobody else does (RFC 3875, 4.1.4 and 4.1.12).
const SIGNS: [&str; 2] = ["GATEWAY_INTERFACE", "REQUEST_METHOD"];

/// What a person typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Help,
    Version,
    Explain(Words),
}

#[derive(Debug, PartialEq, Eq)]
struct Words {
    site: Option<OsString>,
    tree: Option<OsString>,
    program: OsString,
    path: OsString,
}

/// Why a request is not handed over.
#[derive(Debug)]
enum Failure {
    /// This standard descriptor is closed.
    Closed(c_int),
    Usage(&'static str),
    /// MM_SITE is no path from `/`.
    BadSite(OsString),
    /// argv[0] is no name of a program.
    BadName(OsString),
    NoTree(OsString),
    Unserved(Unserved),
}

impl From<Unserved> for Failure {
    fn from(unserved: Unserved) -> Failure {
        Failure::Unserved(unserved)
    }
}

impl Failure {
    fn page(&self) -> Notice {
        match self {
            Failure::Unserved(unserved) => unserved.page(),
            _ => Notice::Unavailable,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed(fd) => write!(f, "descriptor {fd} is closed"),
            Failure::Usage(what) => write!(f, "{what}; see mm-cgi --help"),
            Failure::BadSite(path) => write!(f, "MM_SITE is no path from /: {path:?}"),
            Failure::BadName(name) => write!(f, "not the name of a program: {name:?}"),
            Failure::NoTree(name) => write!(f, "site.toml has no tree {name:?}"),
            Failure::Unserved(unserved) => unserved.fmt(f),
        }
    }
}

/// Runs the program; returns its status if it did not become another one.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> c_int {
    sysexits::answer_any_fault();
    let name = arguments.next().unwrap_or_default();
    let is_request = SIGNS.iter().any(|sign| std::env::var_os(sign).is_some());
    let mut words = arguments.peekable();
    if !is_request && words.peek().is_some() {
        return tell(words);
    }
    let failure = match answer(&name) {
        Ok(page) => {
            sysexits::answer(page.as_bytes());
            return sysexits::OK;
        }
        Err(failure) => failure,
    };
    let page = failure.page();
    if page != Notice::NotFound {
        // Whoever looks for what does not exist fills no log: the web server has one for that.
        syslog::warn("mm-cgi", &failure);
        sysexits::say(&format!(
            "mm-cgi: {}\n",
            syslog::printable(&failure.to_string())
        ));
    }
    sysexits::answer(page.answer(method() == "HEAD").as_bytes());
    sysexits::OK
}

fn method() -> OsString {
    std::env::var_os("REQUEST_METHOD").unwrap_or_default()
}

/// Hands the request over; returns where it is led, or why it is not answered.
fn answer(name: &OsStr) -> Result<String, Failure> {
    // Before any file is opened: it would take the place of the one that is closed.
    if let Some(fd) = sysexits::closed_standard_descriptor() {
        return Err(Failure::Closed(fd));
    }
    let site = std::env::var_os("MM_SITE").unwrap_or_else(|| DEFAULT_SITE.into());
    if !Path::new(&site).is_absolute() {
        return Err(Failure::BadSite(site));
    }
    let asked = Asked {
        program: program(name)?,
        path: std::env::var_os("PATH_INFO").unwrap_or_default(),
    };
    let site = Site::open(Path::new(&site)).map_err(Unserved::Site)?;
    match serving::serve(&site, &asked)? {
        (Answer::Program(command), pass) => {
            Err(Unserved::Handover(command.exec(pass.as_ref())).into())
        }
        (Answer::Elsewhere(url), _) => Ok(notice::redirect(&url, method().as_bytes())),
    }
}

/// The program that this file stands for: the last part of its path, without an ending such as
/// `.cgi`.
fn program(name: &OsStr) -> Result<String, Failure> {
    let last = name.as_bytes().rsplit(|&b| b == b'/').next();
    let stem = last.and_then(|last| last.split(|&b| b == b'.').next());
    let word = stem.and_then(|stem| std::str::from_utf8(stem).ok());
    match word {
        Some(word) if web::is_program(word) => Ok(word.to_owned()),
        _ => Err(Failure::BadName(name.to_owned())),
    }
}

// ---- what a person is told ----

fn tell(words: impl Iterator<Item = OsString>) -> c_int {
    let told = parse(words).and_then(|typed| match typed {
        Typed::Help => Ok(USAGE.to_owned()),
        Typed::Version => Ok(concat!("mm-cgi ", env!("CARGO_PKG_VERSION"), "\n").to_owned()),
        Typed::Explain(words) => explain(words),
    });
    match told {
        Ok(text) => {
            use std::io::Write;
            match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => sysexits::OK,
                Err(_) => sysexits::TEMPFAIL,
            }
        }
        Err(failure) => {
            let line = syslog::printable(&failure.to_string());
            let status = failure.page().status();
            sysexits::say(&format!(
                "mm-cgi: {line}\nmm-cgi: a request would get {status}\n"
            ));
            match failure.page() {
                Notice::NotFound => sysexits::NOUSER,
                _ => sysexits::TEMPFAIL,
            }
        }
    }
}

/// Reads the command line.
fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Typed, Failure> {
    let (mut site, mut tree, mut explain) = (None, None, false);
    let mut words = Vec::new();
    while let Some(word) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value
                .ok_or(Failure::Usage("an option lacks its value"))
                .map(Some)
        };
        match word.as_bytes() {
            b"--help" if words.is_empty() && !explain => return Ok(Typed::Help),
            b"--version" if words.is_empty() && !explain => return Ok(Typed::Version),
            b"--site" if site.is_none() && !explain && words.is_empty() => site = value()?,
            b"--explain" if words.is_empty() => explain = true,
            b"--tree" if explain && words.is_empty() => tree = value()?,
            [b'-', ..] if words.is_empty() => return Err(Failure::Usage("unknown option")),
            _ => words.push(word),
        }
    }
    let mut words = words.into_iter();
    match (explain, words.next(), words.next(), words.next()) {
        (true, Some(program), path, None) => Ok(Typed::Explain(Words {
            site,
            tree,
            program,
            path: path.unwrap_or_default(),
        })),
        _ => Err(Failure::Usage("--explain PROGRAM [PATH_INFO] is expected")),
    }
}

/// Tells what a request would get, for the user that this process is.
fn explain(words: Words) -> Result<String, Failure> {
    let path = words
        .site
        .map_or_else(|| DEFAULT_SITE.into(), PathBuf::from);
    let asked = Asked {
        program: program(&words.program)?,
        path: words.path,
    };
    let site = Site::open(&path).map_err(Unserved::Site)?;
    // A door that is closed at this moment is no fault.
    LockFile::open(&site.config.lock_file()).map_err(Unserved::Door)?;
    let tree = words.tree.map(|name| {
        let tree = name.to_str().and_then(|name| site.config.tree(name));
        tree.ok_or(Failure::NoTree(name))
    });
    told(&serving::suppose(&site, &asked, tree.transpose()?)?)
}

fn told(served: &Served<'_>) -> Result<String, Failure> {
    let place = &served.place;
    let role = match place.role {
        Role::Current => "current",
        Role::Future => "future",
    };
    let about = match &served.subject {
        Subject::List(list) => list.to_string(),
        Subject::Site => "no list in particular".to_owned(),
    };
    let answered = match &served.answer {
        Answer::Program(command) => {
            command.check_format().map_err(Unserved::Handover)?;
            format!("program      {:?}\n", command.program)
        }
        Answer::Elsewhere(url) => format!("leads to     {url}\n"),
    };
    Ok(format!(
        "tree         {} ({role})\nrelease      {}\nabout        {about}\nuser         {}\n{answered}",
        place.tree.name,
        place.release.escape_debug(),
        accounts::runner(),
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_last_part_of_the_files_path_is_the_program() {
        for (name, expected) in [
            ("listinfo", Some("listinfo")),
            ("/usr/lib/mm-deliver/cgi-bin/listinfo", Some("listinfo")),
            ("./admin.cgi", Some("admin")),
            ("handle_opts.py.x", Some("handle_opts")),
            ("", None),
            ("/", None),
            (".cgi", None),
            ("list info", None),
            ("ListInfo", None),
            ("..", None),
        ] {
            let found = program(OsStr::new(name)).ok();
            assert_eq!(found.as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_person_has_options_before_the_program_or_not_at_all() {
        let read = |line: &str| parse(line.split_whitespace().map(OsString::from));
        for bad in [
            "listinfo",
            "--site",
            "--explain",
            "--explain --site f listinfo",
            "--tree a --explain listinfo",
            "--explain listinfo /l x",
            "-x",
        ] {
            assert!(
                matches!(read(bad), Err(Failure::Usage(_))),
                "{bad:?} was accepted"
            );
        }
        let Ok(Typed::Explain(words)) = read("--site /s --explain --tree b listinfo /l") else {
            panic!()
        };
        assert_eq!(words.site.unwrap(), "/s");
        assert_eq!(words.tree.unwrap(), "b");
        assert_eq!(
            (words.program, words.path),
            ("listinfo".into(), "/l".into())
        );
    }
}
