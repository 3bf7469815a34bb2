//! Which list manager an installation is: the profile that knows it.
//!
//! **Invariants.** One, or the admin is asked: where two know it none is taken. Runs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Ask, Reasons};
use crate::config::{Config, Mta};
use crate::layout::look::Installation;
use crate::layout::site_file::{self, Values};
use crate::profile::SHIPPED;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// The profile that knows the installation at `from`, and its name.
pub(super) fn recognise(
    ask: &Ask,
    from: &Path,
    site_file: &Path,
) -> Result<(String, Profile), Reasons> {
    let names = match &ask.profile {
        Some(name) => BTreeSet::from([name.clone()]),
        None => profiles(site_file),
    };
    let mut known = Vec::new();
    let mut reasons = Reasons::default();
    for name in names {
        let (site, tree) = draft(from, site_file, &name).map_err(Reasons::one)?;
        match Profile::of(&site, &tree) {
            Ok(profile) if knows(&profile, &tree) => known.push((name, profile)),
            // One that cannot be used is told where it is asked for.
            Err(error) if ask.profile.is_some() => reasons.reasons.push(error.to_string()),
            Ok(profile) if ask.profile.is_some() => {
                reasons.reasons.push(stranger(&name, &profile, &tree));
            }
            _ => {}
        }
    }
    match <[(String, Profile); 1]>::try_from(known) {
        Ok([one]) => Ok(one),
        Err(several) if several.is_empty() && reasons.reasons.is_empty() => Err(Reasons::one(
            format!("{from:?} is no installation that a profile knows"),
        )
        .hint("--profile NAME says which it is; [layout] of a profile, what it is known by")),
        Err(several) if several.is_empty() => Err(reasons),
        Err(several) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            let mut reasons = Reasons::one(format!(
                "{from:?} may be {}: which is it?",
                names.join(" or ")
            ));
            for name in names {
                reasons = reasons.hint(format!("--profile {name}"));
            }
            Err(reasons)
        }
    }
}

/// The shipped profiles and the admin's own ones, by name.
pub(super) fn profiles(site_file: &Path) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = SHIPPED.iter().map(|one| one.name.to_owned()).collect();
    let own = site_file.with_file_name("profiles");
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ext| ext == "toml")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// A site of the installation as it is, to ask profiles by.
pub(super) fn draft(from: &Path, site_file: &Path, profile: &str) -> Result<(Site, Tree), String> {
    let values = Values {
        state: "/nowhere".into(),
        owner: "root".to_owned(),
        group: None,
        current: from.to_owned(),
        future: PathBuf::from(format!("{}-b", from.display())),
        profile: profile.to_owned(),
        queues: None,
        data: from.to_owned(),
        aliases: vec!["/nowhere".into()],
        mta: Mta::None,
        program: "/nowhere".into(),
        users: vec!["0".to_owned()],
        jobs: None,
    };
    let config = Config::parse(&site_file::render(&values)).map_err(|bad| bad.what)?;
    let tree = config.tree("a").cloned().ok_or("no tree")?;
    Ok((Site::draft(site_file, config), tree))
}

pub(super) fn knows(profile: &Profile, tree: &Tree) -> bool {
    let Some(layout) = profile.layout() else {
        return false;
    };
    let is_meant = || {
        let releases = layout.releases.as_ref();
        releases.is_none_or(|regex| {
            let release = profile.release(tree);
            release.is_ok_and(|release| regex.is_match(release.as_bytes()))
        })
    };
    Installation::is_there(layout, &tree.root) && is_meant()
}

/// Why the profile that was named does not know the installation.
pub(super) fn stranger(name: &str, profile: &Profile, tree: &Tree) -> String {
    let Some(layout) = profile.layout() else {
        return format!(
            "profile {name:?} has no [layout]: what of {:?} are the lists' data is not known; write \
             site.toml by hand",
            tree.root
        );
    };
    let mut missing = layout.holds.iter().map(|name| tree.root.join(name));
    match missing.find(|path| !path.exists()) {
        Some(path) => format!("{path:?} is not there: this is no {}", profile.about),
        None => match profile.release(tree) {
            Ok(release) => format!(
                "release {} in {:?} is none of {}",
                release.escape_debug(),
                tree.root,
                profile.about
            ),
            Err(error) => error.to_string(),
        },
    }
}
