//! One list on the stage: three rooms, two with the current release and one with the future one, and
//! each message through all of them.
//!
//! Order: the copies of the data (`lower`), the rooms, the messages one after the other. The current
//! release gets each twice: what differs between those two is noise.
//!
//! **Invariants.** What a message does in one room is known to no other. Programs run as whoever the MTA
//! delivers as, or as the owner of the data; a server and a runner never as root.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::{Account, User};
use crate::list::{ListName, Verb};
use crate::ownership::Trusted;
use crate::profile::Way;
use crate::profiles::{Entrance, Place, Profile, Sign};
use crate::queues::Queues;
use crate::rehearsal::letters::awkward::{Awkward, To};
use crate::rehearsal::letters::{self, Found, Spot};
use crate::rehearsal::lower::{Lower, LowerError};
use crate::rehearsal::outcome::{Change, Ending, Letter, Outcome, Trial};
use crate::rehearsal::room::{Delivery, Layer, Limits, NoRoom, Plan, Room};
use crate::running::variable;
use crate::settings::Settings;
use crate::site::Site;
use crate::tree::Tree;

/// Where programs find others, as a delivery has it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a list cannot be rehearsed.
#[derive(Debug)]
pub enum NotStaged {
    /// This tree's profile has no `[rehearsal]`.
    NoWords(String),
    /// The list is not among this tree's data, which are its own.
    NoList(String),
    /// Nobody says as whom something runs.
    User(String),
    /// The data of this tree cannot be copied.
    Lower(String, LowerError),
    /// A room of this tree cannot be made, or broke.
    Room(String, NoRoom),
    /// Our own directory cannot be made.
    Scratch(PathBuf, io::Error),
    /// The profile cannot be used, or asks for what site.toml does not say.
    Other(String),
}

impl fmt::Display for NotStaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotStaged::NoWords(tree) => write!(
                f,
                "tree {tree}: its profile has no [rehearsal]: nobody says how its mail is played"
            ),
            NotStaged::NoList(tree) => write!(
                f,
                "tree {tree} has data of its own, and the list is not among them: there is nothing that \
                 its release could be tried with before the list is made there"
            ),
            NotStaged::User(why) | NotStaged::Other(why) => f.write_str(why),
            NotStaged::Lower(tree, error) => write!(f, "tree {tree}: {error}"),
            NotStaged::Room(tree, error) => write!(f, "tree {tree}: {error}"),
            NotStaged::Scratch(path, error) => write!(f, "cannot make {path:?}: {error}"),
        }
    }
}

impl std::error::Error for NotStaged {}

/// A message that is to be played.
#[derive(Debug, Clone)]
pub enum Piece {
    /// One of the list's own.
    Own(Spot),
    /// One of ours.
    Awkward(&'static Awkward),
}

/// One release on the stage.
struct Side {
    tree: Tree,
    profile: Arc<Profile>,
    room: Room,
    users: Users,
    /// What of the data is the list's.
    own: Vec<Place>,
}

/// As whom things run.
#[derive(Debug, Clone)]
struct Users {
    delivers: User,
    runs: User,
}

/// A list on the stage.
pub struct Stage<'a> {
    site: &'a Site,
    list: &'a ListName,
    current: [Side; 2],
    future: Side,
    domain: String,
    /// Who wrote the list's last post.
    author: Option<String>,
    scratch: PathBuf,
}

/// What is needed to set one.
pub struct Setting<'a> {
    /// The site.
    pub site: &'a Site,
    /// What only mm-parity reads of site.toml.
    pub settings: &'a Settings,
    /// The list.
    pub list: &'a ListName,
    /// The current tree, and the future one.
    pub trees: [&'a Tree; 2],
    /// An empty directory of ours; it is removed.
    pub scratch: PathBuf,
}

impl<'a> Stage<'a> {
    /// Copies the data and makes the rooms. `own`: the list's messages, by which its address and
    /// somebody who writes to it are found.
    ///
    /// # Errors
    /// [`NotStaged`].
    pub fn set(
        setting: &Setting<'a>,
        own: &[Spot],
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> Result<Stage<'a>, NotStaged> {
        let made = set(setting, own, is_over);
        if made.is_err() {
            let _ = fs::remove_dir_all(&setting.scratch);
        }
        made
    }

    /// What is told of a piece before it is played.
    pub fn letter(&self, piece: &Piece) -> Option<Letter> {
        self.dressed(piece, &self.current[0])
            .map(|(letter, _)| letter)
    }

    /// Plays a piece in every room; `None` if it is no message, or is for an address that the current
    /// release has not.
    ///
    /// # Errors
    /// A room broke.
    pub fn play(&self, piece: &Piece) -> Result<Option<Trial>, NotStaged> {
        let [one, other] = &self.current;
        let Some((letter, delivery)) = self.dressed(piece, one) else {
            return Ok(None);
        };
        let Some(delivery) = delivery else {
            return Ok(None);
        };
        let first = one.play(self.list, Some(delivery.clone()))?;
        let second = other.play(self.list, Some(delivery))?;
        let future = match self.dressed(piece, &self.future) {
            Some((_, delivery)) => self.future.play(self.list, delivery)?,
            None => return Ok(None),
        };
        Ok(Some(Trial {
            letter,
            current: [first, second],
            future,
        }))
    }

    /// A piece as this side gets it: no delivery where its list manager has no such address.
    fn dressed(&self, piece: &Piece, side: &Side) -> Option<(Letter, Option<Delivery>)> {
        match piece {
            Piece::Own(spot) => {
                let bytes = letters::read(spot).ok().flatten()?;
                let found = Found::parse(&bytes, spot.is_mbox)?;
                let (verb, extension) = self.asked_for(&found);
                let to = side.address(self.list, verb, extension.as_deref(), &self.domain);
                let from = found.sender();
                let recipient = to.as_ref().map_or("", |(_, address)| address.as_str());
                let dressed = found.dress(&verb.to_string(), spot.name.clone(), &from, recipient);
                let delivery = to.and_then(|(local, _)| {
                    self.delivery(side, (verb, extension), local, &from, dressed.bytes)
                });
                Some((dressed.letter, delivery))
            }
            Piece::Awkward(one) => {
                let entrance = side.entrance(one)?;
                let (verb, extension) = (entrance.verb, entrance.extension);
                let to = side.address(self.list, verb, extension.as_deref(), &self.domain);
                let address = to.as_ref().map_or("", |(_, address)| address.as_str());
                let author = self.author.as_deref();
                let from = one.sender(author);
                let mut bytes = letters::envelope_lines(from, address);
                bytes.extend(one.bytes(self.list.as_str(), address, author));
                let letter = Letter {
                    name: format!("built in: {}", one.name),
                    about: one.about().to_owned(),
                    verb: verb.to_string(),
                };
                let delivery = to.and_then(|(local, _)| {
                    self.delivery(side, (verb, extension), local, from, bytes)
                });
                Some((letter, delivery))
            }
        }
    }

    /// For which verb a message of the list's came: by the address to which it was delivered, where
    /// that stands in it; else it is a post.
    fn asked_for(&self, found: &Found) -> (Verb, Option<String>) {
        let delivered = ["X-Original-To", "Delivered-To", "Envelope-To"];
        let addresses = self.current[0].profile.addresses(self.list);
        for header in delivered {
            let is_plain = |value: &String| value.bytes().all(|b| b.is_ascii_graphic());
            let Some(value) = found.header(header).filter(is_plain) else {
                continue;
            };
            let local = value
                .split('@')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let (local, extension) = match local.split_once('+') {
                Some((local, extension)) => (local.to_owned(), Some(extension.to_owned())),
                None => (local, None),
            };
            if let Some((_, verb)) = addresses.iter().find(|(name, _)| *name == local) {
                return (*verb, extension);
            }
        }
        (Verb::Post, None)
    }

    fn delivery(
        &self,
        side: &Side,
        (verb, extension): (Verb, Option<String>),
        local: String,
        from: &str,
        bytes: Vec<u8>,
    ) -> Option<Delivery> {
        let argv = self
            .site
            .argv(&side.tree, &side.profile.routing, verb, self.list);
        let argv: Vec<OsString> = argv.ok().flatten()?.into_iter().map(Into::into).collect();
        let user = &side.users.delivers;
        let recipient = format!("{local}@{}", self.domain);
        let mut environment = vec![
            variable("PATH", PATH),
            variable("SENDER", from),
            variable("RECIPIENT", &recipient),
            variable("ORIGINAL_RECIPIENT", &recipient),
            variable("LOCAL", &local),
            variable("DOMAIN", &self.domain),
            variable("USER", &user.name),
            variable("LOGNAME", &user.name),
            variable("HOME", &user.home),
            variable("SHELL", "/bin/sh"),
        ];
        environment.extend(extension.map(|extension| variable("EXTENSION", extension)));
        Some(Delivery {
            argv,
            environment,
            message: Arc::new(bytes),
        })
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // A room has it mounted for nobody but itself, and lets go with its thread, which is older.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Side {
    /// The local part of this verb's address, and the whole address.
    fn address(
        &self,
        list: &ListName,
        verb: Verb,
        extension: Option<&str>,
        domain: &str,
    ) -> Option<(String, String)> {
        let addresses = self.profile.addresses(list);
        let (name, _) = addresses.into_iter().find(|(_, own)| *own == verb)?;
        let local = match extension {
            Some(extension) => format!("{name}+{extension}"),
            None => name,
        };
        let address = format!("{local}@{domain}");
        Some((local, address))
    }

    fn entrance(&self, one: &Awkward) -> Option<Entrance> {
        match one.to {
            To::Post => Some(Entrance {
                verb: Verb::Post,
                extension: None,
            }),
            To::Request(request) => {
                let words = self.profile.rehearsal()?;
                words.requests.get(&request).cloned()
            }
        }
    }

    /// Whether it is the list's data that changed: not a log, a lock, or a queue.
    fn is_own(&self, change: &Change) -> bool {
        let path = self.tree.data.join(&change.path);
        let mut above = path.ancestors();
        above.any(|path| self.own.iter().any(|place| place.is(path)))
    }

    /// Plays it here; without a delivery, the MTA would know no such address.
    fn play(&self, list: &ListName, delivery: Option<Delivery>) -> Result<Outcome, NotStaged> {
        let Some(delivery) = delivery else {
            return Ok(Outcome {
                ending: Ending::Exited(crate::sysexits::NOUSER),
                printed: b"this release has no such address".to_vec(),
                sent: Vec::new(),
                changes: Vec::new(),
                held: None,
                data_version: None,
                took: std::time::Duration::ZERO,
            });
        };
        let version = Arc::new(Mutex::new(None));
        let look = {
            let (version, profile) = (version.clone(), self.profile.clone());
            let (tree, list) = (self.tree.clone(), list.clone());
            move |inside: &dyn Fn(&Path) -> PathBuf| {
                let there = Tree {
                    root: inside(&tree.root),
                    data: inside(&tree.data),
                    ..tree
                };
                let seen = profile.data_version(&there, &list).ok().flatten();
                *version.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            }
        };
        let seen = self
            .room
            .deliver(delivery, Some(Box::new(look)))
            .map_err(|error| NotStaged::Room(self.tree.name.clone(), error))?;
        let data_version = *version.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Outcome {
            ending: seen.ending,
            printed: seen.printed,
            sent: seen.sent,
            changes: seen
                .changes
                .into_iter()
                .filter(|change| self.is_own(change))
                .collect(),
            held: seen.held,
            data_version,
            took: seen.took,
        })
    }
}

fn set<'a>(
    setting: &Setting<'a>,
    own: &[Spot],
    is_over: &(dyn Fn() -> bool + Sync),
) -> Result<Stage<'a>, NotStaged> {
    let (site, list) = (setting.site, setting.list);
    let [current, future] = setting.trees;
    let one = Cast::of(setting, current, is_over)?;
    // Where both see the same data alike, one copy is below of all rooms.
    let is_one = current.data == future.data
        && current.profile == future.profile
        && current.queues == future.queues;
    let other = match is_one {
        true => Cast {
            layers: one.layers.clone(),
            own: one.own.clone(),
            ..Cast::read(setting, future)?
        },
        false => Cast::of(setting, future, is_over)?,
    };
    let (domain, author) = address_of(setting, own);
    Ok(Stage {
        current: [one.room(setting, "1")?, one.room(setting, "2")?],
        future: other.room(setting, "3")?,
        site,
        list,
        domain,
        author,
        scratch: setting.scratch.clone(),
    })
}

/// A tree, and what its rooms are made of.
struct Cast<'a> {
    tree: &'a Tree,
    profile: Arc<Profile>,
    users: Users,
    /// Where the data are, and the copies below of them.
    layers: Vec<(PathBuf, PathBuf)>,
    own: Vec<Place>,
}

impl<'a> Cast<'a> {
    fn read(setting: &Setting<'a>, tree: &'a Tree) -> Result<Cast<'a>, NotStaged> {
        let profile = Profile::of(setting.site, tree)
            .map_err(|error| NotStaged::Other(format!("tree {}: {error}", tree.name)))?;
        if profile.rehearsal().is_none() {
            return Err(NotStaged::NoWords(tree.name.clone()));
        }
        let users = users(setting, tree, &profile)?;
        Ok(Cast {
            tree,
            profile: Arc::new(profile),
            users,
            layers: Vec::new(),
            own: Vec::new(),
        })
    }

    /// With a copy of the data.
    fn of(
        setting: &Setting<'a>,
        tree: &'a Tree,
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> Result<Cast<'a>, NotStaged> {
        let mut cast = Cast::read(setting, tree)?;
        let profile = cast.profile.clone();
        let is_there = profile
            .enumerate(tree)
            .is_ok_and(|lists| lists.contains(setting.list));
        if !is_there && !profile.lists_are_in_aliases() {
            return Err(NotStaged::NoList(tree.name.clone()));
        }
        let words = profile
            .rehearsal()
            .ok_or_else(|| NotStaged::NoWords(tree.name.clone()))?;
        let failed = |error| NotStaged::Lower(tree.name.clone(), error);
        let lower = Lower::of(&profile, words, tree, setting.list).map_err(failed)?;
        let to = setting.scratch.join("lower").join(&tree.name);
        fs::create_dir_all(&to).map_err(|error| NotStaged::Scratch(to.clone(), error))?;
        lower.make(&to, is_over).map_err(failed)?;
        cast.layers = lower.layers(&to);
        cast.own = lower.own();
        Ok(cast)
    }

    fn room(&self, setting: &Setting<'_>, name: &str) -> Result<Side, NotStaged> {
        let (site, tree, profile) = (setting.site, self.tree, &self.profile);
        let Some(words) = profile.rehearsal() else {
            return Err(NotStaged::NoWords(tree.name.clone()));
        };
        let scratch = setting.scratch.join(name);
        fs::create_dir_all(&scratch).map_err(|error| NotStaged::Scratch(scratch.clone(), error))?;
        let mut layers = vec![Layer {
            at: tree.root.clone(),
            lower: tree.root.clone(),
        }];
        let data = self.layers.iter();
        layers.extend(data.map(|(at, lower)| Layer {
            at: at.clone(),
            lower: lower.clone(),
        }));
        let rehearse = &setting.settings.rehearse;
        let mut ports = words.smtp.clone();
        ports.extend(
            rehearse
                .smtp
                .iter()
                .filter(|port| !words.smtp.contains(port)),
        );
        let mut seen = rehearse.seen.clone();
        if profile
            .routing
            .routes
            .iter()
            .any(|route| matches!(route.way, Way::Lmtp(_)))
        {
            seen.push(site.config.lmtp());
        }
        let expand = |argv: &Vec<String>| -> Vec<OsString> {
            let named = Some((setting.list, profile.routing.case));
            argv.iter()
                .map(|word| tree.expand(word, named).into())
                .collect()
        };
        let answers = || {
            let lmtp = |sign: &Sign| matches!(sign, Sign::Listens(at) if at == "{lmtp}");
            tree.lmtp
                .clone()
                .filter(|_| profile.life().iter().any(lmtp))
        };
        let held = profile.data(tree, setting.list);
        let held: Vec<Place> = held.map_or_else(Vec::new, |data| data.held);
        let plan = Plan {
            scratch,
            layers,
            watched: tree.data.clone(),
            seen,
            ports,
            limits: Limits {
                time: rehearse.time.duration(),
                memory: rehearse.memory << 20,
                processes: rehearse.processes,
                room: rehearse.room << 20,
            },
            user: self.users.delivers.clone(),
            runner: self.users.runs.clone(),
            settle: words.settle.as_ref().map(expand),
            queues: Queues::of(profile, tree)
                .map_or_else(Vec::new, |queues| queues.directories(setting.list)),
            start: words.start.as_ref().map(|argv| (expand(argv), answers())),
            environment: environment(setting, tree, &self.users.runs),
            held,
        };
        let room = Room::open(plan).map_err(|error| NotStaged::Room(tree.name.clone(), error))?;
        Ok(Side {
            tree: tree.clone(),
            profile: profile.clone(),
            room,
            users: self.users.clone(),
            own: self.own.clone(),
        })
    }
}

fn environment(setting: &Setting<'_>, tree: &Tree, user: &User) -> Vec<(OsString, OsString)> {
    let mut all = vec![
        variable(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        variable("HOME", &user.home),
        variable("USER", &user.name),
        variable("LOGNAME", &user.name),
        variable("LANG", "C.UTF-8"),
    ];
    let own = setting
        .settings
        .jobs
        .environment
        .get(&tree.name)
        .into_iter()
        .flatten();
    all.extend(own.map(|(name, value)| variable(name, value)));
    all
}

/// As whom mail is delivered, and as whom a server and a runner run.
fn users(setting: &Setting<'_>, tree: &Tree, profile: &Profile) -> Result<Users, NotStaged> {
    use std::os::unix::fs::MetadataExt;
    let look = |account: &Account| {
        let user = account.user();
        user.map_err(|error| NotStaged::User(format!("user {:?}: {error}", account.to_string())))
    };
    let owner_of = |path: &Path| {
        let uid = fs::metadata(path).map(|meta| meta.uid());
        let uid = uid.map_err(|error| NotStaged::User(format!("cannot read {path:?}: {error}")))?;
        look(&Account::Number(uid))
    };
    let config = &setting.site.config;
    let delivers = match profile.owned(tree, setting.list) {
        // Its programs serve nobody else.
        Some(path) => owner_of(&path)?,
        None => {
            let first = config.users.first();
            first.map_or_else(|| look(&Account::Number(65534)), look)?
        }
    };
    let data = profile.directory(tree, Some(setting.list));
    let data = data.unwrap_or_else(|| tree.data.clone());
    let runs = match &setting.settings.jobs.user {
        Some(account) => look(account)?,
        None => {
            let owner = owner_of(&data)?;
            let trusted = Trusted {
                runner: owner.uid,
                owner: None,
                group: config.group.as_ref(),
            };
            match owner.uid != 0 && trusted.check_directory(&data).is_ok() {
                true => owner,
                false => look(&config.owner)?,
            }
        }
    };
    let words = profile.rehearsal();
    let has_runner = words.is_some_and(|words| words.start.is_some() || words.settle.is_some());
    if has_runner && runs.uid == 0 {
        return Err(NotStaged::User(format!(
            "tree {}: nobody says as whom its runner runs, and not as root: [jobs] user in {:?}",
            tree.name, setting.site.path
        )));
    }
    Ok(Users { delivers, runs })
}

/// The domain of the list's address, and who wrote its last post.
fn address_of(setting: &Setting<'_>, own: &[Spot]) -> (String, Option<String>) {
    let mut author = None;
    let mut found = None;
    for spot in own.iter().rev().take(50) {
        let Some(letter) = letters::read(spot)
            .ok()
            .flatten()
            .and_then(|bytes| Found::parse(&bytes, spot.is_mbox))
        else {
            continue;
        };
        author = author.or_else(|| Some(letter.sender()).filter(|sender| !sender.is_empty()));
        let is_list = |address: &String| {
            let (local, _) = address.split_once('@')?;
            let is_it = local.eq_ignore_ascii_case(setting.list.local_part());
            is_it.then(|| address.rsplit('@').next().unwrap_or_default().to_owned())
        };
        let addresses = letter.addresses(&["To", "Cc", "X-Original-To", "Delivered-To"]);
        found = found.or_else(|| addresses.iter().find_map(is_list));
        if author.is_some() && found.is_some() {
            break;
        }
    }
    let own = setting
        .list
        .as_str()
        .split_once('@')
        .map(|(_, domain)| domain.to_owned());
    let of_tree = setting.trees.iter().find_map(|tree| tree.domain.clone());
    let said = setting.settings.rehearse.domain.clone();
    let host = || {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_owned()
    };
    (
        own.or(said).or(of_tree).or(found).unwrap_or_else(host),
        author,
    )
}
