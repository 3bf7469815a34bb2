//! `rehearse`: a list's own mail through the current and the future release, before the list moves.
//!
//! Order: which lists, which trees, whose mail; each list on its stage (`play`), as many at once as there
//! are processors; the report. `upgrade --rehearse` does the same first, and moves nothing where that finds
//! more than [rehearse] of site.toml accepts.
//!
//! **Invariants.** No parity and no data of the site are changed, no lock is held, no door is closed. What
//! it needs on disk is a directory of its own below the state's, which is gone afterwards.

mod page;
mod play;
mod scratch;
mod trees;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::accounts;
use crate::admin::aliases::known_at_least;
use crate::admin::history::Format;
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::{Done, Outcome, Refused, names, typed};
use crate::admin::request::Rehearsed;
use crate::admin::selection::{self, Which, near_words};
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::clock::Timestamp;
use crate::list::{ListName, Verb};
use crate::parity::{FutureState, Parity};
use crate::profiles::Profile;
use crate::rehearsal::compare::Verdict;
use crate::rehearsal::report::{self, Played, Report};
use crate::screen::Progress;
use crate::settings::Settings;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

use scratch::Scratch;

const ACT: &str = "rehearse";

/// What was typed.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which lists.
    pub which: Which,
    /// Whose mail, if not what the profile names.
    pub mail: Vec<PathBuf>,
    /// How many of the last messages.
    pub last: Option<usize>,
    /// Since when.
    pub since: Option<String>,
    /// For which verb alone.
    pub only: Option<String>,
    /// Where the page goes.
    pub report: Option<PathBuf>,
    /// How it is printed.
    pub format: Format,
}

/// What all lists of one command have in common.
struct Desk<'a> {
    site: &'a Site,
    settings: Settings,
    parity: Parity,
    trees: [&'a Tree; 2],
    mail: &'a [PathBuf],
    last: usize,
    since: Option<i64>,
    only: Option<Verb>,
}

/// `rehearse`.
///
/// # Errors
/// Every reason why nothing was played.
pub fn rehearse(site: &Site, ask: &Ask) -> Outcome {
    let (report, _) = played(site, ask, ACT)?;
    let mut done = Done {
        text: match ask.format {
            Format::Json => terminal::json(&report::json(&report)),
            Format::Text => report::text(&report),
        },
        status: Some(report.status()),
        ..Done::default()
    };
    if let Some(path) = &ask.report {
        page::write(path, &report).map_err(|error| Refused::new(ACT, error))?;
        if ask.format == Format::Text {
            done.text += &format!("the report is in {path:?}\n");
        }
    }
    Ok(done)
}

/// As a condition of `upgrade`: the lists of `which` may move.
///
/// # Errors
/// What speaks against it, list by list, and where the reports are.
pub fn must_be_within(
    site: &Site,
    which: &Which,
    last: Option<usize>,
) -> Result<(String, Rehearsed), Refused> {
    const ACT: &str = "upgrade";
    let ask = Ask {
        which: which.clone(),
        mail: Vec::new(),
        last,
        since: None,
        only: None,
        report: None,
        format: Format::Text,
    };
    let settings = Settings::of(site).map_err(|error| Refused::new(ACT, error))?;
    let accept = accepted(site, &settings)?;
    let (report, rehearsed) = played(site, &ask, ACT)?;
    let mut refused = Refused::empty(ACT);
    let mut told = String::new();
    let command = report.command.clone();
    for list in report.lists {
        let (name, against) = (list.list.clone(), list.findings.within(&accept));
        told += &format!("rehearsed {name}: {}\n", list.sentence());
        let Err(against) = against else {
            continue;
        };
        let one = Report {
            when: report.when,
            command: command.clone(),
            lists: vec![list],
        };
        let kept = scratch::keep_page(site, &name, &|path| page::write(path, &one));
        let against = against
            .into_iter()
            .map(|reason| format!("{name}: rehearsed: {reason}"));
        refused.reasons.extend(against);
        refused.hints.push(match kept {
            Ok(path) => format!("the report is in {path:?}"),
            Err(error) => format!("the report could not be kept: {error}"),
        });
    }
    if !refused.reasons.is_empty() {
        refused.hints.push(format!(
            "what is good enough is said by accept in [rehearse] of {:?}; without --rehearse nothing is asked",
            site.path
        ));
    }
    refused.if_any()?;
    Ok((told, rehearsed))
}

/// That these lists and trees are what was rehearsed.
///
/// # Errors
/// What is not.
pub fn is_what_moves(
    site: &Site,
    parity: &Parity,
    moving: &BTreeSet<ListName>,
    rehearsed: &Rehearsed,
) -> Result<(), Vec<String>> {
    let mut against = Vec::new();
    let more: Vec<&ListName> = moving.difference(&rehearsed.lists).collect();
    if !more.is_empty() {
        against.push(format!("not rehearsed: {}", names(more)));
    }
    let trees = rehearsed
        .trees
        .iter()
        .filter_map(|played| site.config.tree(&played.name));
    let now = match trees.collect::<Vec<_>>().as_slice() {
        [current, future] => trees::look(site, parity, [*current, *future]),
        _ => Err("site.toml has other trees than were rehearsed".to_owned()),
    };
    let is_current = parity.roles.current == rehearsed.trees[0].name;
    match now {
        Ok(now) if now == rehearsed.trees && is_current => {}
        Ok(_) => against.push("a tree was changed since it was rehearsed".to_owned()),
        Err(error) => against.push(error),
    }
    match against.is_empty() {
        true => Ok(()),
        false => Err(against),
    }
}

fn accepted(site: &Site, settings: &Settings) -> Result<Vec<Verdict>, Refused> {
    let words = settings.rehearse.accept.iter();
    let verdicts = words.map(|word| {
        Verdict::parse(word).ok_or_else(|| {
            let near = near_words(word, Verdict::ALL.into_iter().map(Verdict::word));
            let refused = Refused::new(
                "upgrade",
                format!(
                    "{:?}: accept in [rehearse]: no such verdict: {word:?}",
                    site.path
                ),
            );
            match near.is_empty() {
                true => refused.hint(format!("one of: {}", names(&Verdict::ALL))),
                false => refused.hint(format!("did you mean {}?", near.join(", "))),
            }
        })
    });
    verdicts.collect()
}

fn played(site: &Site, ask: &Ask, act: &'static str) -> Result<(Report, Rehearsed), Refused> {
    if accounts::runner() != 0 {
        return Err(Refused::new(
            act,
            "a rehearsal needs namespaces of its own, which root alone can make",
        )
        .hint("type it as root"));
    }
    let desk = Desk::open(site, ask, act)?;
    let lists = desk.lists(&ask.which, act)?;
    let look = || trees::look(site, &desk.parity, desk.trees);
    let before = look().map_err(|error| Refused::new(act, error))?;
    let mut played = desk.play_all(&lists, act)?;
    played.sort_by(|a, b| a.list.cmp(&b.list));
    if look().as_ref() != Ok(&before) {
        for list in &mut played {
            let doubt = "a tree was changed while it was rehearsed: do it again";
            list.findings.doubts.push(doubt.to_owned());
        }
    }
    let report = Report {
        when: Timestamp::now(),
        command: typed(site, &format!("rehearse {}", ask.which.line())),
        lists: played,
    };
    let rehearsed = Rehearsed {
        lists: lists.into_iter().collect(),
        trees: before,
    };
    Ok((report, rehearsed))
}

impl<'a> Desk<'a> {
    fn open(site: &'a Site, ask: &'a Ask, act: &'static str) -> Result<Desk<'a>, Refused> {
        let settings = Settings::of(site).map_err(|error| Refused::new(act, error))?;
        let parity = store::load(site)
            .map_err(|error| no_state(act, site, &error))?
            .parity;
        let current = site.config.tree(&parity.roles.current);
        let future = site.config.other_tree(&parity.roles.current);
        let (Some(current), Some(future)) = (current, future) else {
            return Err(Refused::new(
                act,
                "there is one tree: nothing to compare its release with",
            ));
        };
        let state = parity.roles.future_state;
        if state != FutureState::Ready {
            let refused = Refused::new(
                act,
                format!(
                    "tree {} is {state}: there is no release to try",
                    future.name
                ),
            );
            return Err(match state {
                FutureState::Empty | FutureState::Retired => {
                    refused.hint(typed(site, "install COMMAND"))
                }
                _ => refused.hint(typed(site, "verify")),
            });
        }
        let only = ask.only.as_deref().map(|word| {
            Verb::parse(word.as_bytes()).ok_or_else(|| {
                let known = Profile::of(site, current);
                let verbs = known.map_or_else(|_| Vec::new(), |profile| profile.verbs());
                Refused::new(act, format!("--only: no such verb: {word:?}"))
                    .hint(format!("verbs: {}", names(&verbs)))
            })
        });
        Ok(Desk {
            site,
            last: ask.last.unwrap_or(settings.rehearse.last),
            settings,
            parity,
            trees: [current, future],
            mail: &ask.mail,
            since: ask
                .since
                .as_deref()
                .map(|text| since(text, act))
                .transpose()?,
            only: only.transpose()?,
        })
    }

    fn lists(&self, which: &Which, act: &'static str) -> Result<Vec<ListName>, Refused> {
        let known = known_at_least(self.site, &self.parity);
        if which.is_open()
            && let Err(error) = &known.enumerated
        {
            return Err(Refused::new(
                act,
                format!("cannot say which lists there are: {error}"),
            ));
        }
        let none = || Ok(BTreeSet::new());
        let choice =
            selection::choose(self.site, which, &known.lists, &none).map_err(|unclear| {
                Refused {
                    reasons: unclear.reasons,
                    hints: unclear.hints,
                    ..Refused::empty(act)
                }
            })?;
        Ok(choice.lists.into_iter().collect())
    }

    /// Each list, as many at once as there are processors.
    fn play_all(&self, lists: &[ListName], act: &'static str) -> Result<Vec<Played>, Refused> {
        let interrupts = Interrupts::keep();
        let scratch = Scratch::make(self.site).map_err(|error| Refused::new(act, error))?;
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (done, all) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ended: Mutex<Vec<(ListName, Result<Played, String>)>> = Mutex::default();
        let workers = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(lists.len())
            .max(1);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| {
                        while let Some(list) = lists.get(next.fetch_add(1, Ordering::SeqCst)) {
                            if is_over.load(Ordering::SeqCst) {
                                break;
                            }
                            let one = play::Play {
                                desk: self,
                                list,
                                scratch: scratch.of_list(list),
                                is_over: &is_over,
                                done: &done,
                                all: &all,
                            };
                            let played = one.play();
                            let mut ended = ended
                                .lock()
                                .unwrap_or_else(std::sync::PoisonError::into_inner);
                            ended.push((list.clone(), played));
                        }
                    })
                })
                .collect();
            let mut progress = Progress::of(format!(
                "rehearsing {}",
                crate::admin::outcome::lists(lists.len())
            ));
            while workers.iter().any(|worker| !worker.is_finished()) {
                if interrupts.came().is_some() {
                    is_over.store(true, Ordering::SeqCst);
                }
                match all.load(Ordering::SeqCst) {
                    0 => {}
                    all => progress.at(done.load(Ordering::SeqCst), all),
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        if let Some(came) = interrupts.came() {
            let what = format!(
                "{} came: nothing was sent and nothing written; what was played is forgotten",
                came.signal
            );
            return Err(Refused::new(act, what));
        }
        let mut refused = Refused::empty(act);
        let mut played = Vec::new();
        for (list, one) in ended
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            match one {
                Ok(one) => played.push(one),
                Err(reason) => refused.reasons.push(format!("{list}: {reason}")),
            }
        }
        refused.reasons.sort();
        refused.if_any()?;
        Ok(played)
    }
}

/// `2026-11-22`, or with a time: `2026-11-22T10:02:00Z`; in seconds since 1970.
fn since(text: &str, act: &'static str) -> Result<i64, Refused> {
    let whole = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")));
    whole.map(|time| time.0).ok_or_else(|| {
        Refused::new(act, format!("--since: no date: {text:?}"))
            .hint("write it so: --since 2026-11-22")
    })
}
