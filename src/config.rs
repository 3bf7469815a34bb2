//! site.toml: what stands where on this host.
//!
//! Two steps: serde takes what was typed, [`Config::parse`] turns it into paths and names
//! that are already sound. Every key is explained in `contrib/site.toml`.
//!
//! **Invariants.** No parity here; no environment; no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::accounts::Account;
use crate::endpoint::Endpoint;
use crate::position::Position;
use crate::span::Span;
use crate::tree::{Runners, Tree};

/// A site as described by a sound site.toml.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where parity.toml, the history and the locks live.
    pub state: PathBuf,
    /// Who, besides root, may own what is executed or decides it.
    pub owner: Account,
    /// Whose write permission is tolerated there.
    pub group: Option<Account>,
    /// One or two trees, by name.
    pub trees: Vec<Tree>,
    /// The alias files that the MTA reads, in its order; empty only with `rcpt`.
    pub alias_files: Vec<PathBuf>,
    /// Which MTA reads them.
    pub mta: Mta,
    /// The directory of smrsh, where the MTA runs programs through that.
    pub smrsh: Option<PathBuf>,
    /// The map that leads the lists' addresses in their domains to the aliases, if it is kept.
    pub virtual_map: Option<PathBuf>,
    /// mm-deliver as it is written into aliases.
    pub program: PathBuf,
    /// Who the MTA runs mm-deliver as.
    pub users: Vec<Account>,
    /// Whether the MTA may tell an address in the place of a verb and a list.
    pub rcpt: bool,
    /// How long a delivery waits at a closed door.
    pub wait: Span,
    /// How long a guarded program may run.
    pub deadline: Span,
    /// What a guarded program's status may be besides 0 to be passed on as it is.
    pub permanent: Vec<u8>,
}

/// The MTA that reads the alias files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mta {
    /// Postfix, with the maps that `postconf` names.
    Postfix,
    /// Sendmail, with the maps that sendmail.cf names.
    Sendmail,
    /// Exim, which reads the text.
    Exim,
    /// OpenSMTPD, with the tables that smtpd.conf names.
    OpenSmtpd,
    /// None: the text is all there is (`mm-aliases deliver`).
    None,
}

/// Why site.toml cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadConfig {
    /// Where in the file.
    pub at: Position,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl std::error::Error for BadConfig {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "default_state")]
    state: Spanned<String>,
    #[serde(default = "root")]
    owner: String,
    group: Option<String>,
    trees: Spanned<BTreeMap<Spanned<String>, RawTree>>,
    data: Option<RawData>,
    aliases: RawAliases,
    deliver: RawDeliver,
    #[serde(default)]
    probation: RawProbation,
    // NO MAIL WAITS for what only mm-parity reads: `settings` judges these.
    #[serde(rename = "rehearse")]
    _rehearse: Option<IgnoredAny>,
    #[serde(rename = "snapshots")]
    _snapshots: Option<IgnoredAny>,
    #[serde(rename = "hooks")]
    _hooks: Option<IgnoredAny>,
    #[serde(rename = "jobs")]
    _jobs: Option<IgnoredAny>,
    #[serde(rename = "web")]
    _web: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTree {
    root: Spanned<String>,
    profile: Spanned<String>,
    data: Option<Spanned<String>>,
    domain: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    web: Option<Spanned<String>>,
    lmtp: Option<Spanned<String>>,
    queues: Option<Spanned<String>>,
    #[serde(default)]
    runners: Runners,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawData {
    root: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAliases {
    files: Spanned<Vec<Spanned<String>>>,
    mta: Mta,
    smrsh: Option<Spanned<String>>,
    #[serde(rename = "virtual")]
    virtual_map: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeliver {
    program: Spanned<String>,
    users: Spanned<Vec<String>>,
    #[serde(default)]
    rcpt: bool,
    wait: Option<Spanned<String>>,
    deadline: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawProbation {
    #[serde(default)]
    permanent: Vec<Spanned<u8>>,
}

fn default_state() -> Spanned<String> {
    Spanned::new(0..0, "/var/lib/mm-deliver".to_owned())
}

fn root() -> String {
    "root".to_owned()
}

/// How long a delivery waits at a closed door: most moves are through by then, and no MTA minds.
const WAIT: Span = Span::seconds(2);

/// A byte offset and what is wrong there.
type Wrong = (usize, String);

impl Config {
    /// Reads the text of site.toml.
    ///
    /// # Errors
    /// [`BadConfig`]: the first thing that is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Config, BadConfig> {
        let place = |(at, what): Wrong| BadConfig {
            at: Position::of(text, at),
            what,
        };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            place((
                error.span().map_or(0, |span| span.start),
                error.message().to_owned(),
            ))
        })?;
        cook(raw).map_err(place)
    }

    /// The tree of this name.
    pub fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.name == name)
    }

    /// The tree that is not the one of this name.
    pub fn other_tree(&self, name: &str) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.name != name)
    }

    /// The file that says who is on what.
    pub fn parity_file(&self) -> PathBuf {
        self.state.join("parity.toml")
    }

    /// The file whose bytes are the lists' doors and floors.
    pub fn lock_file(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The program that stands between mm-deliver and a guarded tree's: beside mm-deliver.
    pub fn guard(&self) -> PathBuf {
        self.program.with_file_name("mm-guard")
    }

    /// The program by which a message gets into a tree that takes mail by LMTP: beside
    /// mm-deliver.
    pub fn lmtp(&self) -> PathBuf {
        self.program.with_file_name("mm-lmtp")
    }

    /// The program that the web server runs, under many names: beside mm-deliver.
    pub fn cgi(&self) -> PathBuf {
        self.program.with_file_name("mm-cgi")
    }

    /// The directory of the logs of guarded deliveries.
    pub fn probation(&self) -> PathBuf {
        self.state.join("probation")
    }
}

fn cook(raw: Raw) -> Result<Config, Wrong> {
    let shared = raw.data.map(|data| absolute(&data.root)).transpose()?;
    let count = raw.trees.get_ref().len();
    if !(1..=2).contains(&count) {
        return Err((
            raw.trees.span().start,
            format!("one or two trees are expected, not {count}"),
        ));
    }
    let mut trees = Vec::new();
    for (name, tree) in raw.trees.into_inner() {
        trees.push(cook_tree(&name, &tree, shared.as_deref(), &trees)?);
    }
    let files = raw.aliases.files;
    // A site may have none where every list is found by its address.
    if files.get_ref().is_empty() && !raw.deliver.rcpt {
        return Err((
            files.span().start,
            "no alias file is named, and `rcpt = true` is not in [deliver]".to_owned(),
        ));
    }
    let alias_files = alias_files(files.get_ref())?;
    if raw.deliver.users.get_ref().is_empty() {
        return Err((
            raw.deliver.users.span().start,
            "no user is named".to_owned(),
        ));
    }
    let (wait, deadline) = times(&raw.deliver, raw.aliases.mta)?;
    Ok(Config {
        state: absolute(&raw.state)?,
        owner: Account::new(&raw.owner),
        group: raw.group.as_deref().map(Account::new),
        trees,
        mta: raw.aliases.mta,
        smrsh: raw.aliases.smrsh.as_ref().map(absolute).transpose()?,
        virtual_map: virtual_map(raw.aliases.virtual_map.as_ref(), &alias_files)?,
        alias_files,
        program: program(&raw.deliver.program)?,
        users: raw
            .deliver
            .users
            .get_ref()
            .iter()
            .map(|user| Account::new(user))
            .collect(),
        rcpt: raw.deliver.rcpt,
        wait,
        deadline,
        permanent: permanent(&raw.probation.permanent)?,
    })
}

/// Each once: an entry of a file that is read twice would stand twice.
fn alias_files(named: &[Spanned<String>]) -> Result<Vec<PathBuf>, Wrong> {
    let mut files: Vec<PathBuf> = Vec::new();
    for text in named {
        // Compares by parts, so that `//etc/aliases` is no other file.
        let path = absolute(text)?;
        if files.contains(&path) {
            let what = format!("{:?} is named twice", text.get_ref());
            return Err((text.span().start, what));
        }
        files.push(path);
    }
    Ok(files)
}

/// A file of its own: it is rewritten whole.
fn virtual_map(
    named: Option<&Spanned<String>>,
    alias_files: &[PathBuf],
) -> Result<Option<PathBuf>, Wrong> {
    let Some(text) = named else { return Ok(None) };
    let path = absolute(text)?;
    match alias_files.contains(&path) {
        true => Err((text.span().start, format!("{path:?} is an alias file"))),
        false => Ok(Some(path)),
    }
}

fn cook_tree(
    name: &Spanned<String>,
    raw: &RawTree,
    shared: Option<&Path>,
    others: &[Tree],
) -> Result<Tree, Wrong> {
    word(name, "the name of a tree")?;
    word(&raw.profile, "the name of a profile")?;
    let root = absolute(&raw.root)?;
    for other in others {
        if root.starts_with(&other.root) || other.root.starts_with(&root) {
            let what = format!(
                "trees {:?} and {:?} lie in one another",
                other.name,
                name.get_ref()
            );
            return Err((raw.root.span().start, what));
        }
    }
    let data = match (&raw.data, shared) {
        (Some(own), _) => absolute(own)?,
        (None, Some(shared)) => shared.to_owned(),
        (None, None) => {
            let what = "where are its data? neither `data` here nor [data] root says";
            return Err((raw.root.span().start, what.to_owned()));
        }
    };
    let domain = raw.domain.as_ref().map(domain).transpose()?;
    let url = raw.url.as_ref().map(url).transpose()?;
    let web = raw.web.as_ref();
    let web = web.map(|text| page(text, domain.is_some())).transpose()?;
    let lmtp = raw.lmtp.as_ref().map(endpoint).transpose()?;
    Ok(Tree {
        name: name.get_ref().clone(),
        root,
        profile: raw.profile.get_ref().clone(),
        data,
        domain,
        url,
        web,
        lmtp,
        queues: raw.queues.as_ref().map(absolute).transpose()?,
        runners: raw.runners,
    })
}

/// What is written, or else `default`.
fn span(text: Option<&Spanned<String>>, default: Span) -> Result<Span, Wrong> {
    let Some(text) = text else { return Ok(default) };
    let wrong = |bad| (text.span().start, format!("{:?} is {bad}", text.get_ref()));
    text.get_ref().parse().map_err(wrong)
}

/// How long a delivery waits at a door, and a program may run: in all less than the MTA waits.
fn times(raw: &RawDeliver, mta: Mta) -> Result<(Span, Span), Wrong> {
    let wait = span(raw.wait.as_ref(), WAIT)?;
    let deadline = deadline(raw.deadline.as_ref(), mta)?;
    let limit = Span::seconds(match mta {
        Mta::OpenSmtpd => 300,
        Mta::Postfix => 1_000,
        Mta::Exim => 3_600,
        Mta::Sendmail | Mta::None => return Ok((wait, deadline)),
    });
    // The longer one of those that were typed is at fault.
    let texts = match wait < deadline {
        true => [&raw.deadline, &raw.wait],
        false => [&raw.wait, &raw.deadline],
    };
    let typed = texts.into_iter().flatten().next();
    match typed {
        Some(text) if wait.duration() + deadline.duration() >= limit.duration() => Err((
            text.span().start,
            format!(
                "{wait} at the door and {deadline} for the program are not less than the \
                 {limit} that the MTA waits"
            ),
        )),
        _ => Ok((wait, deadline)),
    }
}

/// Before the MTA gives up, or the message would bounce (Postfix: 1000 s, Exim: 1 h) or come
/// again while the first one is still being taken (OpenSMTPD: 300 s). Sendmail waits for ever.
fn deadline(text: Option<&Spanned<String>>, mta: Mta) -> Result<Span, Wrong> {
    let default = Span::seconds(match mta {
        Mta::OpenSmtpd => 270,
        Mta::Postfix | Mta::None => 15 * 60,
        Mta::Exim | Mta::Sendmail => 55 * 60,
    });
    let span = span(text, default)?;
    match text {
        Some(text) if span < Span::seconds(1) => {
            let what = format!("{:?} is shorter than 1s", text.get_ref());
            Err((text.span().start, what))
        }
        _ => Ok(span),
    }
}

/// 0 passes anyway, and 75 is what the others become.
fn permanent(statuses: &[Spanned<u8>]) -> Result<Vec<u8>, Wrong> {
    let wrong = |status: &&Spanned<u8>| matches!(status.get_ref(), 0 | 75);
    match statuses.iter().find(wrong) {
        Some(status) => Err((
            status.span().start,
            format!("{} is no permanent status", status.get_ref()),
        )),
        None => Ok(statuses.iter().map(|status| *status.get_ref()).collect()),
    }
}

/// A path from `/`, without `.` and `..`.
fn absolute(text: &Spanned<String>) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text.get_ref());
    let wrong = |what: &str| Err((text.span().start, format!("{:?} {what}", text.get_ref())));
    if !path.is_absolute() {
        return wrong("does not begin with /");
    }
    if text
        .get_ref()
        .split('/')
        .any(|part| part == "." || part == "..")
    {
        return wrong("has a part . or ..");
    }
    if text.get_ref().bytes().any(|b| b.is_ascii_control()) {
        return wrong("has a control character");
    }
    Ok(path)
}

/// A path that four MTAs take as it stands, without a shell.
fn program(text: &Spanned<String>) -> Result<PathBuf, Wrong> {
    let path = absolute(text)?;
    match text.get_ref().bytes().find(|&b| !is_plain(b)) {
        Some(b) => Err((
            text.span().start,
            format!(
                "{:?} has \"{}\", which not every MTA passes on; use a link",
                text.get_ref(),
                b.escape_ascii()
            ),
        )),
        None => Ok(path),
    }
}

/// Whether Postfix runs a command with this byte without a shell, and no MTA's alias
/// grammar knows it (facts: pipe_command, aliases(5)).
pub fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"@%-_=+:./".contains(&byte)
}

fn word(text: &Spanned<String>, what: &str) -> Result<(), Wrong> {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let value = text.get_ref();
    if (1..=32).contains(&value.len()) && value.bytes().all(sound) {
        return Ok(());
    }
    Err((
        text.span().start,
        format!("{value:?} is not {what}: 1 to 32 of a-z 0-9 - _"),
    ))
}

/// One word of a command that every MTA takes as it stands.
fn url(text: &Spanned<String>) -> Result<String, Wrong> {
    let value = text.get_ref();
    match value.bytes().find(|&b| !is_plain(b)) {
        None if value.contains("://") => Ok(value.clone()),
        None => Err((text.span().start, format!("{value:?} is not a URL"))),
        Some(b) => Err((
            text.span().start,
            format!(
                "{value:?} has \"{}\", which not every MTA passes on",
                b.escape_ascii()
            ),
        )),
    }
}

/// A URL with `{list}` behind its host, and `{domain}` where the tree has one. What becomes of it
/// stands in a header and in a page: no byte in it can end either.
fn page(text: &Spanned<String>, has_domain: bool) -> Result<String, Wrong> {
    let value = text.get_ref();
    let wrong = |what: &str| Err((text.span().start, format!("{value:?} {what}")));
    let rest = value
        .strip_prefix("https://")
        .or(value.strip_prefix("http://"));
    let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')) else {
        return wrong("is not a URL: http or https, a host, and a path");
    };
    let host_is_sound = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(host_is_sound) {
        return wrong("has no plain host");
    }
    if !path.contains("{list}") {
        return wrong("has no {list} behind its host");
    }
    if path.contains("{domain}") && !has_domain {
        return wrong("asks for {domain}, and the tree has no `domain`");
    }
    let plain = path.replace("{list}", "").replace("{domain}", "");
    match plain
        .bytes()
        .find(|&b| !is_plain(b) && !b"?#~,;!$*".contains(&b))
    {
        None => Ok(value.clone()),
        Some(b) => wrong(&format!("has \"{}\"", b.escape_ascii())),
    }
}

fn endpoint(text: &Spanned<String>) -> Result<Endpoint, Wrong> {
    let wrong = |bad| (text.span().start, format!("{:?} is {bad}", text.get_ref()));
    Endpoint::parse(text.get_ref()).map_err(wrong)
}

fn domain(text: &Spanned<String>) -> Result<String, Wrong> {
    let value = text.get_ref().to_ascii_lowercase();
    crate::list::ListName::parse(format!("x@{value}")).map_err(|_| {
        (
            text.span().start,
            format!("{:?} is not a domain", text.get_ref()),
        )
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const SITE: &str = r#"state = "/var/lib/mm-deliver"
owner = "root"
group = "mailman"

[trees.a]
root = "/srv/mailman/a"
profile = "mailman2"
[trees.b]
root = "/srv/mailman/b"
profile = "mailman2"
domain = "Lists.example.org"
queues = "/srv/mailman/b/qfiles"
runners = "none"

[data]
root = "/srv/mailman/var"

[aliases]
files = ["/etc/aliases"]
mta = "postfix"

[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["nobody", "38"]
"#;

    #[test]
    fn a_sound_site_is_read_whole() {
        let config = Config::parse(SITE).unwrap();
        assert_eq!(config.trees.len(), 2);
        assert_eq!(
            config.tree("b").unwrap().domain.as_deref(),
            Some("lists.example.org")
        );
        assert_eq!(config.other_tree("a").unwrap().name, "b");
        let (a, b) = (config.tree("a").unwrap(), config.tree("b").unwrap());
        assert_eq!(a.queues, None);
        assert_eq!(
            b.queues.as_deref(),
            Some(Path::new("/srv/mailman/b/qfiles"))
        );
        assert_eq!((a.runners, b.runners), (Runners::Profile, Runners::None));
        assert_eq!(
            config.tree("a").unwrap().data,
            Path::new("/srv/mailman/var")
        );
        assert_eq!(config.users[1], Account::Number(38));
        assert_eq!(
            config.parity_file(),
            Path::new("/var/lib/mm-deliver/parity.toml")
        );
        assert_eq!(config.wait.to_string(), "2s");
        assert_eq!(config.deadline.to_string(), "15m");
        assert_eq!(config.guard(), Path::new("/usr/lib/mm-deliver/mm-guard"));
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (from, to, at, what) in [
            ("owner", "ovner", "2:1", "unknown field `ovner`"),
            (
                "\"postfix\"",
                "\"qmail\"",
                "20:7",
                "unknown variant `qmail`",
            ),
            (
                "\"/srv/mailman/b\"",
                "\"srv\"",
                "9:8",
                "does not begin with /",
            ),
            (
                "\"/srv/mailman/b\"",
                "\"/srv/../b\"",
                "9:8",
                "has a part . or ..",
            ),
            (
                "\"/srv/mailman/b\"",
                "\"/srv/mailman/a/b\"",
                "9:8",
                "lie in one another",
            ),
            (
                "\"none\"",
                "\"some\"",
                "13:11",
                "unknown variant `some`, expected `profile` or `none`",
            ),
            (
                "\"/srv/mailman/b/qfiles\"",
                "\"qfiles\"",
                "12:10",
                "does not begin with /",
            ),
            ("[trees.b]", "[trees.B]", "8:8", "is not the name of a tree"),
            (
                "lib/mm-deliver/mm-deliver\"",
                "lib/mm deliver\"",
                "23:11",
                "not every MTA",
            ),
            ("[\"/etc/aliases\"]", "[]", "19:9", "no alias file"),
            (
                "[\"/etc/aliases\"]",
                "[\"/etc/aliases\", \"/etc//aliases\"]",
                "19:26",
                "is named twice",
            ),
            (
                "mta = \"postfix\"",
                "mta = \"postfix\"\nvirtual = \"/etc/aliases\"",
                "21:11",
                "is an alias file",
            ),
            ("[\"nobody\", \"38\"]", "[]", "24:9", "no user"),
            (
                "users =",
                "wait = \"2 s\"\nusers =",
                "24:8",
                "is not a span of time",
            ),
            (
                "users =",
                "deadline = \"999ms\"\nusers =",
                "24:12",
                "is shorter than 1s",
            ),
            (
                "users =",
                "deadline = \"24h\"\nusers =",
                "24:12",
                "that the MTA waits",
            ),
            // The default of the other counts, too: 900 s.
            (
                "users =",
                "wait = \"100s\"\nusers =",
                "24:8",
                "that the MTA waits",
            ),
            (
                "[deliver]",
                "[probation]\npermanent = [67, 75]\n[deliver]",
                "23:18",
                "75 is no permanent status",
            ),
            (
                "[deliver]",
                "[probation]\npermanent = [256]\n[deliver]",
                "23:14",
                "",
            ),
            ("Lists.example.org", "a/b", "11:10", "is not a domain"),
            (
                "[data]",
                "web = \"https://l.example.org/x\"\n[data]",
                "15:7",
                "has no {list}",
            ),
            (
                "[data]",
                "web = \"https://{list}.example.org/x\"\n[data]",
                "15:7",
                "no plain host",
            ),
            (
                "[data]",
                "web = \"https://l.example.org/{list}/{tree}\"\n[data]",
                "15:7",
                "has \"{\"",
            ),
            (
                "[data]",
                "web = \"javascript:{list}\"\n[data]",
                "15:7",
                "is not a URL",
            ),
            (
                "profile = \"mailman2\"\n[trees.b]",
                "profile = \"mailman2\"\nweb = \"http://l/{list}.{domain}\"\n[trees.b]",
                "8:7",
                "has no `domain`",
            ),
            (
                "[data]",
                "lmtp = \"localhost:8024\"\n[data]",
                "15:8",
                "neither an IP address with a port",
            ),
            (
                "[data]\nroot = \"/srv/mailman/var\"\n",
                "",
                "6:8",
                "where are its data",
            ),
            ("[data]", "[data", "15:6", ""),
        ] {
            let error = Config::parse(&SITE.replace(from, to)).unwrap_err();
            assert_eq!(error.at.to_string(), at, "{from} -> {to}: {error}");
            assert!(error.what.contains(what), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn a_third_tree_is_refused() {
        let three = SITE.replace(
            "[data]",
            "[trees.c]\nroot = \"/c\"\nprofile = \"x\"\n[data]",
        );
        assert!(Config::parse(&three).unwrap_err().what.contains("not 3"));
    }
}
