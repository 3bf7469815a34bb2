//! What in the layout of the trees would break parity: lists' data or templates inside a tree, what
//! two trees must not share, and an alias file that a list manager writes by itself.
//!
//! **Invariants.** Looks at files alone; only at trees whose profile says how they are laid out. A
//! setting that only the list manager can tell is not judged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::admin::outcome::{names, typed_aliases};
use crate::finding::{Finding, Kind, Mend, Quoted, Severity, Spot};
use crate::layout::look::{Installation, Setting, Stands, real};
use crate::profiles::{Apart, Profile};
use crate::queues::Queues;
use crate::site::Site;
use crate::tree::Tree;

pub(super) fn look(site: &Site, findings: &mut Vec<Finding>) {
    let trees = &site.config.trees;
    let known: Vec<(&Tree, Profile)> = trees
        .iter()
        .filter_map(|tree| Some((tree, Profile::of(site, tree).ok()?)))
        .collect();
    let laid_out: Vec<Installation<'_>> = known
        .iter()
        .filter_map(|(tree, profile)| Some(Installation::of(profile.layout()?, tree)))
        .collect();
    for one in &laid_out {
        inside(site, one, findings);
        regenerated(site, one, findings);
    }
    if let [one, other] = laid_out.as_slice() {
        shared(one, other, findings);
    }
    if let [(one, profile), (other, others)] = known.as_slice() {
        queues(site, (one, profile), (other, others), findings);
    }
}

/// The lists' data or templates in the tree itself, where the next install or the removal of the
/// tree finds them.
fn inside(site: &Site, one: &Installation<'_>, findings: &mut Vec<Finding>) {
    let mut spots = Vec::new();
    let data = real(&one.tree.data);
    if data.starts_with(real(&one.tree.root)) {
        spots.push(Quoted::read(&site.path).spot(&one.tree.data.to_string_lossy()));
    }
    for name in &one.layout.data {
        let path = one.home.join(name);
        if is_inside(one, &path) && holds_something(&path) {
            spots.push(Spot::file(path));
        }
    }
    if let Some((first, more)) = spots.split_first() {
        findings.push(
            Finding::new(
                (Kind::Inside, Severity::Warning),
                format!("data of the lists in tree {} itself", one.tree.name),
                first.clone(),
                "none waits; but lists that move find no data in the other tree, and who replaces \
                 the tree loses them",
                Mend::Do(format!(
                    "with its programs stopped: move them to {:?}, with links in their place",
                    one.tree.data
                )),
            )
            .also(more.iter().cloned()),
        );
    }
    let own = one.own_templates().unwrap_or_default();
    let own = own
        .into_iter()
        .filter(|(_, path)| is_inside(one, path) && holds_something(path));
    let spots: Vec<Spot> = own
        .map(|(name, path)| Spot::file(path).named(name))
        .collect();
    if let Some((first, more)) = spots.split_first() {
        findings.push(
            Finding::new(
                (Kind::Inside, Severity::Warning),
                format!(
                    "templates in tree {} that do not come with its release",
                    one.tree.name
                ),
                first.clone(),
                "none waits; but what members read changes when a list moves",
                Mend::Do(format!(
                    "move a list's to the list, others to {:?}, with a link in each tree",
                    one.tree.data
                )),
            )
            .also(more.iter().cloned()),
        );
    }
}

fn is_inside(one: &Installation<'_>, path: &Path) -> bool {
    matches!(one.stands(path), Ok(Stands::Inside))
}

fn holds_something(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// What is to be each tree's own.
fn shared(one: &Installation<'_>, other: &Installation<'_>, findings: &mut Vec<Finding>) {
    // A tree in which nothing is installed has no settings yet.
    if ![one, other]
        .iter()
        .all(|of| Installation::is_there(of.layout, &of.tree.root))
    {
        return;
    }
    for apart in &one.layout.apart {
        let same = other
            .layout
            .apart
            .iter()
            .find(|its| its.setting == apart.setting);
        let Some(its) = same else { continue };
        let (Some((here, set)), Some((there, _))) = (place(one, apart), place(other, its)) else {
            continue;
        };
        if real(&here) != real(&there) {
            continue;
        }
        let spot = set
            .unwrap_or_else(|| Spot::file(&here))
            .named(&apart.setting);
        let other_spot = place(other, its).and_then(|(_, set)| set);
        findings.push(
            Finding::new(
                (
                    Kind::Shared,
                    match apart.critical {
                        true => Severity::Critical,
                        false => Severity::Warning,
                    },
                ),
                format!(
                    "trees {} and {} share {}: {:?}",
                    one.tree.name,
                    other.tree.name,
                    apart.what,
                    real(&here)
                ),
                spot,
                apart.effect.clone(),
                mend(other, its),
            )
            .also(other_spot.map(|spot| spot.named(&its.setting))),
        );
    }
}

/// What the second tree sets.
fn mend(of: &Installation<'_>, apart: &Apart) -> Mend {
    let file = of.layout.settings.first().map(|file| of.expand(file));
    let file = file.unwrap_or_default();
    match &apart.give {
        Some(value) => {
            let value = of.expand(value);
            Mend::Do(format!(
                "in {file:?}: {}",
                of.layout.written(&apart.setting, &value.to_string_lossy())
            ))
        }
        None => Mend::Do(format!(
            "in {file:?} set {} to a place of its own",
            apart.setting
        )),
    }
}

/// Where it is in this tree, and where that is set, if it is; `None` where only the list manager
/// can tell.
fn place(of: &Installation<'_>, apart: &Apart) -> Option<(PathBuf, Option<Spot>)> {
    match of.setting(&apart.setting) {
        // What a release puts together is what its profile knows.
        None
        | Some(Setting {
            value: None,
            by_hand: false,
            ..
        }) => Some((of.expand(&apart.default), None)),
        Some(set) => {
            let value = set.value?;
            Some((PathBuf::from(value), Some(Spot::line(set.file, set.line))))
        }
    }
}

/// The queues as site.toml has them.
fn queues(
    site: &Site,
    (one, profile): (&Tree, &Profile),
    (other, others): (&Tree, &Profile),
    findings: &mut Vec<Finding>,
) {
    let root = |profile, tree| Queues::of(profile, tree)?.root();
    let (Some(here), Some(there)) = (root(profile, one), root(others, other)) else {
        return;
    };
    if real(&here) != real(&there) {
        return;
    }
    let named = one.queues.as_ref().or(other.queues.as_ref());
    let words = Quoted::read(&site.path);
    let spot = match named {
        Some(path) => words.spot(&path.to_string_lossy()),
        None => words.spot(&other.root.to_string_lossy()),
    };
    findings.push(Finding::new(
        (Kind::Shared, Severity::Warning),
        format!(
            "trees {} and {} have the same queues: {here:?}",
            one.name, other.name
        ),
        spot,
        "whichever tree's programs come first take a message, of whatever list; moves wait for \
         messages of both",
        Mend::Do(format!(
            "let `queues` of [trees.{}] be a place of its own, as its own settings have it",
            other.name
        )),
    ));
}

/// Alias files of ours that a list manager writes whole.
fn regenerated(site: &Site, one: &Installation<'_>, findings: &mut Vec<Finding>) {
    for by in &one.layout.regenerates {
        let Some(set) = one.setting(&by.setting) else {
            continue;
        };
        if set.value.as_deref() != Some(by.value.as_str()) {
            continue;
        }
        let written: BTreeSet<PathBuf> = by
            .files
            .iter()
            .map(|file| real(&one.expand(file)))
            .collect();
        let files = site.config.alias_files.iter();
        let ours: Vec<String> = files
            .filter(|file| written.contains(&real(file)))
            .map(|file| format!("{file:?}"))
            .collect();
        if ours.is_empty() {
            continue;
        }
        findings.push(Finding::new(
            (Kind::Regenerated, Severity::Warning),
            format!(
                "the list manager of tree {} writes {} by itself",
                one.tree.name,
                names(&ours)
            ),
            Spot::line(set.file, set.line).named(format!("{} = {:?}", by.setting, by.value)),
            format!(
                "when it makes or removes a list its mail goes past mm-deliver, straight into that \
                 tree, until {}",
                typed_aliases(site, "adopt")
            ),
            Mend::Do(by.mend.clone()),
        ));
    }
}
