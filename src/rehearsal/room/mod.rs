//! A room in which a release handles mail, and nothing of it gets out.
//!
//! A thread of ours takes namespaces of its own: mounts, network, host name, System V objects, and for
//! what it starts process ids. In there is what `mounts` shows, one network interface (loopback), and the
//! MTA's stand-in ([`Sink`]). Order for a message: the room as it was in the beginning, the delivery,
//! `settle` again and again until the queues are empty and nobody runs any more, then a look at what was
//! sent and written; then everybody in there is ended.
//!
//! Where a release has a server (`start`), that and what was written stay from message to message.
//!
//! **Invariants.** No process, file, socket or limit of the host is changed. Every wait has an end. A
//! room that breaks says so, and is not used again.

mod cage;
mod changes;
mod filter;
mod group;
mod mounts;
mod network;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::accounts::User;
use crate::dialogue::Dialogue;
use crate::endpoint::Endpoint;
use crate::output::{KEPT_HEAD, Output};
use crate::profiles::Place;
use crate::rehearsal::outcome::{Ending, Sent};
use crate::rehearsal::sink::Sink;

use cage::{Cage, Run};
use changes::Written;
use group::Group;
use mounts::Mounts;
pub use mounts::{Layer, MountError};

/// How often one looks whether all is done.
const TICK: Duration = Duration::from_millis(4);
/// So often a `settle` is run for one message at most.
const PASSES: usize = 40;
/// A server takes no longer from one queue to the next.
const BETWEEN: Duration = Duration::from_millis(100);
/// What a server has not touched for so long, nobody serves.
const STALLED: Duration = Duration::from_secs(4);
/// A server has so long to answer for the first time.
const STARTED: Duration = Duration::from_secs(120);

/// What a message may use, and all that it sets off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Until all is quiet.
    pub time: Duration,
    /// Of all processes together, and of each, in bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// What may be written, and how large a file may be, in bytes.
    pub room: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            time: Duration::from_secs(60),
            memory: 2 << 30,
            processes: 256,
            room: 512 << 20,
        }
    }
}

/// How a room is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// An empty directory of ours.
    pub scratch: PathBuf,
    /// The tree, and the data.
    pub layers: Vec<Layer>,
    /// Of which of them, by where it is, one is told what was written.
    pub watched: PathBuf,
    /// What is seen besides the system's own, read-only.
    pub seen: Vec<PathBuf>,
    /// On which ports mail is taken.
    pub ports: Vec<u16>,
    /// What a message may use.
    pub limits: Limits,
    /// As whom mail is delivered.
    pub user: User,
    /// As whom a server runs, and what settles.
    pub runner: User,
    /// What makes it handle what waits; run again and again.
    pub settle: Option<Vec<OsString>>,
    /// What must be empty before all is quiet.
    pub queues: Vec<PathBuf>,
    /// A server, and where it answers.
    pub start: Option<(Vec<OsString>, Option<Endpoint>)>,
    /// The environment of both.
    pub environment: Vec<(OsString, OsString)>,
    /// Where messages lie that wait for a moderator.
    pub held: Vec<Place>,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The program that takes it on its standard input, and its arguments.
    pub argv: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The message's bytes.
    pub message: Arc<Vec<u8>>,
}

/// What came of one.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How it ended.
    pub ending: Ending,
    /// What was printed.
    pub printed: Vec<u8>,
    /// What was sent.
    pub sent: Vec<Sent>,
    /// What was written to the watched layer.
    pub changes: Vec<super::outcome::Change>,
    /// How many messages wait for a moderator that did not before.
    pub held: Option<u64>,
    /// Until all was quiet.
    pub took: Duration,
}

/// Why there is no room, or none any more.
#[derive(Debug)]
pub enum NoRoom {
    /// A namespace, or what is in it, cannot be made.
    Kernel(&'static str, io::Error),
    /// Its directories cannot.
    Mounts(MountError),
    /// The server does not answer; what it said last.
    Server(String),
    /// The thread broke.
    Broken,
}

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoRoom::Kernel(what, error) => write!(f, "cannot make {what}: {error}"),
            NoRoom::Mounts(error) => error.fmt(f),
            NoRoom::Server(said) if said.is_empty() => {
                f.write_str("its server does not answer, and says nothing")
            }
            NoRoom::Server(said) => write!(f, "its server does not answer; it says: {said}"),
            NoRoom::Broken => f.write_str("the room broke"),
        }
    }
}

impl std::error::Error for NoRoom {}

/// Asked of a room: a delivery, and a look at its data once all is quiet.
type Look = Box<dyn FnOnce(&dyn Fn(&Path) -> PathBuf) + Send>;
type Asked = (Delivery, Option<Look>);

/// A room that is ready.
pub struct Room {
    asked: Option<SyncSender<Asked>>,
    told: Receiver<Result<Seen, NoRoom>>,
    thread: Option<JoinHandle<()>>,
}

impl Room {
    /// Makes one.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn open(plan: Plan) -> Result<Room, NoRoom> {
        let (asked, questions) = sync_channel(0);
        let (answers, told) = sync_channel(1);
        let (ready, is_ready) = sync_channel(1);
        let live = move || match Inside::make(plan) {
            Ok(mut inside) => {
                let _ = ready.send(Ok(()));
                inside.answer(&questions, &answers);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("room".to_owned()).spawn(live);
        let thread = thread.map_err(|error| NoRoom::Kernel("a thread", error))?;
        is_ready.recv().unwrap_or(Err(NoRoom::Broken))?;
        Ok(Room {
            asked: Some(asked),
            told,
            thread: Some(thread),
        })
    }

    /// Delivers a message, and waits until all is quiet. `look` is called then, with a function that says
    /// where a path of the room is to be found by the calling thread.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing is known of the message.
    pub fn deliver(&self, delivery: Delivery, look: Option<Look>) -> Result<Seen, NoRoom> {
        let asked = self.asked.as_ref().ok_or(NoRoom::Broken)?;
        asked.send((delivery, look)).map_err(|_| NoRoom::Broken)?;
        self.told.recv().unwrap_or(Err(NoRoom::Broken))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A room as its own thread has it.
struct Inside {
    plan: Plan,
    mounts: Mounts,
    sink: Sink,
    cage: Option<Cage>,
    group: Group,
    /// Queues in which messages stay.
    unserved: RefCell<BTreeSet<PathBuf>>,
}

impl Inside {
    fn make(plan: Plan) -> Result<Inside, NoRoom> {
        if !filter::is_known() {
            let unknown = io::Error::from(io::ErrorKind::Unsupported);
            return Err(NoRoom::Kernel(
                "a filter of system calls for this processor",
                unknown,
            ));
        }
        own_namespaces().map_err(|error| NoRoom::Kernel("namespaces", error))?;
        network::loopback_up().map_err(|error| NoRoom::Kernel("a network", error))?;
        let sockets: io::Result<Vec<TcpListener>> = network::listen(&plan.ports);
        let sockets = sockets.map_err(|error| NoRoom::Kernel("the MTA's stand-in", error))?;
        let sink = Sink::serve(sockets);
        let sink = sink.map_err(|error| NoRoom::Kernel("the MTA's stand-in", error))?;
        let limits = &plan.limits;
        // A little more than what the watch lets pass: it says why.
        let group = Group::make(limits.processes + 16, limits.memory + 2 * limits.room);
        let mounts = Mounts::make(&plan.scratch, plan.layers.clone(), &plan.seen, limits.room);
        let mounts = mounts.map_err(NoRoom::Mounts)?;
        Ok(Inside {
            plan,
            mounts,
            sink,
            cage: None,
            group,
            unserved: RefCell::default(),
        })
    }

    fn answer(&mut self, asked: &Receiver<Asked>, told: &SyncSender<Result<Seen, NoRoom>>) {
        while let Ok((delivery, look)) = asked.recv() {
            let seen = self.deliver(&delivery, look);
            if told.send(seen).is_err() {
                break;
            }
        }
    }

    /// Somebody is in there, or a new cage in a room as it was in the beginning.
    fn enter(&mut self) -> Result<Cage, NoRoom> {
        if let Some(cage) = self.cage.take() {
            return Ok(cage);
        }
        self.mounts.reset().map_err(NoRoom::Mounts)?;
        self.sink.take();
        let cage = Cage::open(&self.mounts.root());
        let cage = cage.map_err(|error| NoRoom::Kernel("a process-id namespace", error))?;
        if let Some((argv, endpoint)) = &self.plan.start {
            self.start(&cage, argv, endpoint.as_ref())?;
        }
        Ok(cage)
    }

    fn start(
        &self,
        cage: &Cage,
        argv: &[OsString],
        endpoint: Option<&Endpoint>,
    ) -> Result<(), NoRoom> {
        let failed = |error| NoRoom::Kernel("a server", error);
        let output = Output::new().map_err(failed)?;
        let mut server = cage
            .start(self.own_run(argv, &output))
            .map_err(|error| NoRoom::Server(format!("{:?}: {error}", argv[0])))?;
        let end = Instant::now() + STARTED;
        let said = || crate::syslog::printable(&String::from_utf8_lossy(&output.tail()));
        while let Some(endpoint) = endpoint {
            let here = self.endpoint(endpoint);
            if Dialogue::open(&here, Duration::from_secs(1), end).is_ok() {
                break;
            }
            let has_failed = matches!(server.try_wait(), Ok(Some(status)) if !status.success());
            if has_failed || Instant::now() > end {
                return Err(NoRoom::Server(said()));
            }
            thread::sleep(TICK * 10);
        }
        Ok(())
    }

    fn endpoint(&self, endpoint: &Endpoint) -> Endpoint {
        match endpoint {
            Endpoint::Tcp(address) => Endpoint::Tcp(*address),
            Endpoint::Unix(path) => Endpoint::Unix(self.mounts.inside(path)),
        }
    }

    fn run<'a>(
        &'a self,
        argv: &'a [OsString],
        environment: &'a [(OsString, OsString)],
        output: &'a Output,
        input: Stdio,
    ) -> Run<'a> {
        let limits = &self.plan.limits;
        Run {
            argv,
            environment,
            user: &self.plan.user,
            input,
            output,
            group: &self.group,
            limits: cage::Limits {
                memory: limits.memory,
                file: limits.room,
                processes: limits.processes,
            },
        }
    }

    /// Of the list manager's own: nobody's mail is on its standard input.
    fn own_run<'a>(&'a self, argv: &'a [OsString], output: &'a Output) -> Run<'a> {
        Run {
            user: &self.plan.runner,
            ..self.run(argv, &self.plan.environment, output, Stdio::null())
        }
    }

    fn deliver(&mut self, delivery: &Delivery, look: Option<Look>) -> Result<Seen, NoRoom> {
        let cage = self.enter()?;
        let before = self.written();
        let held = self.held();
        let begin = Instant::now();
        let watch = Watch {
            end: begin + self.plan.limits.time,
            limits: &self.plan.limits,
            cage: &cage,
        };
        let output = Output::new().map_err(|error| NoRoom::Kernel("a file in memory", error))?;
        let ending = self.hand_over(&watch, delivery, &output)?;
        let ending = match ending.took_it() {
            true => self.settle(&watch, &output)?.unwrap_or(ending),
            false => ending,
        };
        let took = begin.elapsed();
        // What a limit ended has left things half done.
        let is_sound = !matches!(ending, Ending::TimeUp | Ending::OverLimit);
        if self.plan.start.is_some() && is_sound {
            self.cage = Some(cage);
        } else {
            // Nobody writes any more.
            drop(cage);
        }
        if let Some(look) = look {
            look(&|path| self.mounts.inside(path));
        }
        let held = held.zip(self.held());
        Ok(Seen {
            ending,
            printed: output.head(KEPT_HEAD),
            sent: self.sink.take(),
            changes: self.written().since(&before, Path::new("")),
            held: held.map(|(before, after)| after.saturating_sub(before)),
            took,
        })
    }

    fn written(&self) -> Written {
        let watched = self.mounts.written(&self.plan.watched);
        watched.map_or_else(Written::default, |(upper, lower)| {
            Written::look(&upper, &lower)
        })
    }

    fn held(&self) -> Option<u64> {
        let places = &self.plan.held;
        let count = |place: &Place| {
            let directory = self.mounts.inside(&place.directory);
            changes::count(&directory, &|name| place.is_name(name))
        };
        (!places.is_empty()).then(|| places.iter().map(count).sum())
    }

    fn hand_over(
        &self,
        watch: &Watch<'_>,
        delivery: &Delivery,
        output: &Output,
    ) -> Result<Ending, NoRoom> {
        let failed = |error| NoRoom::Kernel("a message", error);
        let input = input(&delivery.message).map_err(failed)?;
        let run = self.run(&delivery.argv, &delivery.environment, output, input);
        match watch.cage.start(run) {
            Ok(child) => watch.wait(child, output),
            Err(error) => {
                let mut output = output.copy().map_err(failed)?;
                let _ = writeln!(output, "{:?}: {error}", delivery.argv.first());
                Ok(Ending::NotRun)
            }
        }
    }

    /// Until the queues are empty, nobody hands anything over, and, where no server runs, nobody
    /// is there any more. `Some`: how that ended instead.
    fn settle(&self, watch: &Watch<'_>, output: &Output) -> Result<Option<Ending>, NoRoom> {
        let has_server = self.plan.start.is_some();
        let (mut passes, mut since, mut last) = (0, Instant::now(), Vec::new());
        loop {
            if let Some(over) = watch.over() {
                return Ok(Some(over));
            }
            output.trim();
            let waits = self.waiting();
            let runs = !has_server && watch.cage.count(self.plan.limits.processes).0 > 0;
            if let Some(settle) = &self.plan.settle
                && !runs
                // Once at least: what waits may be where no queue is.
                && (!waits.is_empty() || passes == 0)
                && passes < PASSES
            {
                passes += 1;
                let child = watch.cage.start(self.own_run(settle, output));
                let child = child.map_err(|error| NoRoom::Kernel("what settles it", error))?;
                match watch.wait(child, output)? {
                    ended @ (Ending::TimeUp | Ending::OverLimit) => return Ok(Some(ended)),
                    _ => continue,
                }
            }
            if runs || self.sink.is_busy() || waits != last {
                since = Instant::now();
            }
            let is_done = waits.is_empty() || passes >= PASSES;
            let quiet = since.elapsed();
            if is_done && (!has_server && !runs || quiet >= BETWEEN) && !self.sink.is_busy() {
                return Ok(None);
            }
            if has_server && quiet >= STALLED {
                // Nobody serves these: no message that comes is waited for again.
                let queues = waits.into_iter().map(|(queue, _)| queue);
                self.unserved.borrow_mut().extend(queues);
                return Ok(None);
            }
            last = waits;
            thread::sleep(TICK);
        }
    }

    /// The queues that are served and have something in them, each with the names.
    fn waiting(&self) -> Vec<(PathBuf, Vec<OsString>)> {
        let queues = self.plan.queues.iter();
        let unserved = self.unserved.borrow();
        let served = queues.filter(|queue| !unserved.contains(*queue));
        let waiting = served.map(|queue| {
            let mut names = mounts::names(&self.mounts.inside(queue));
            names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
            (queue.clone(), names)
        });
        waiting.filter(|(_, names)| !names.is_empty()).collect()
    }
}

/// Who looks that nothing takes too long or too much.
struct Watch<'a> {
    end: Instant,
    limits: &'a Limits,
    cage: &'a Cage,
}

impl Watch<'_> {
    /// Whether a limit is reached.
    fn over(&self) -> Option<Ending> {
        if Instant::now() >= self.end {
            return Some(Ending::TimeUp);
        }
        let (processes, memory) = self.cage.count(self.limits.processes);
        let is_over = processes > self.limits.processes || memory > self.limits.memory;
        is_over.then_some(Ending::OverLimit)
    }

    fn wait(&self, mut child: Child, output: &Output) -> Result<Ending, NoRoom> {
        let mut pause = Duration::from_millis(1);
        loop {
            let status = child
                .try_wait()
                .map_err(|error| NoRoom::Kernel("a program's end known", error))?;
            if let Some(status) = status {
                return Ok(match (status.code(), status.signal()) {
                    (Some(code), _) => Ending::Exited(code),
                    (None, signal) => Ending::Killed(signal.unwrap_or_default()),
                });
            }
            if let Some(over) = self.over() {
                // Its cage ends it; here it is only waited for.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(over);
            }
            output.trim();
            thread::sleep(pause);
            pause = (pause * 2).min(TICK);
        }
    }
}

fn input(message: &[u8]) -> io::Result<Stdio> {
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(message)?;
    file.rewind()?;
    Ok(file.into())
}

#[expect(unsafe_code, reason = "std has no namespaces")]
fn own_namespaces() -> io::Result<()> {
    let all = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    // SAFETY: no memory; only this thread gets other namespaces, and a working directory of its own.
    cage::cvt(unsafe { libc::unshare(all) }).map(drop)
}
