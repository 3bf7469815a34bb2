//! `run`: one program of a list's tree, for that list, on the admin's terminal.
//!
//! **Invariants.** The words that were typed pass as they are; the list stands where the profile has
//! it. What the program ends with is what the command ends with.

use std::ffi::{OsStr, OsString};

use super::{Desk, NotRun, Trial, no_list, unnamed};
use crate::admin::outcome::{Done, Outcome, Refused, typed};
use crate::list::ListName;
use crate::profiles::Loads;
use crate::site::Site;

const ACT: &str = "run";

/// `run LIST PROGRAM ARGS…`.
///
/// # Errors
/// Nothing was run: there is no such list or program, it would load lists that it must not, or
/// the list's door is closed (75).
pub fn run(
    site: &Site,
    name: &OsStr,
    program: &OsStr,
    words: &[OsString],
    trial: Trial,
) -> Outcome {
    let desk = Desk::open(ACT, site)?;
    let list = existing(&desk, name)?;
    let done = for_list(&desk, &list, program, words, trial);
    done.map_err(|not| not.refused(ACT))
}

fn for_list(
    desk: &Desk<'_>,
    list: &ListName,
    program: &OsStr,
    words: &[OsString],
    trial: Trial,
) -> Result<Done, NotRun> {
    let pass = desk.enter(list)?;
    let tree = desk.place(list)?.tree;
    let profile = desk.profile(tree)?;
    let program = program.to_string_lossy();
    let Some(named) = profile.bin().get(program.as_ref()) else {
        let what = format!(
            "{program:?} is no program that the profile {:?} of tree {} names",
            tree.profile, tree.name
        );
        return Err(unnamed(desk, &what, &program, [profile.bin()], "bin").into());
    };
    let pass = match named.loads {
        Loads::List => Some(pass),
        Loads::None => {
            drop(pass);
            None
        }
        Loads::All => {
            // Both cannot be waited for at once: a move could stand between them.
            drop(pass);
            let all = desk.enter_all()?;
            if desk.place(list)?.tree.name != tree.name {
                let what = format!("{list} has just left tree {}", tree.name);
                return Err(desk.refuse(what).hint("type it again").into());
            }
            desk.refuse_all(tree, &program)?;
            Some(all)
        }
    };
    let ready = desk.ready(tree, &profile, named, Some(list), words)?;
    if trial == Trial::Yes {
        return Ok(Done::saying(ready.told(tree)));
    }
    let over = ready.run(pass, true).map_err(|what| desk.refuse(what))?;
    Ok(Done {
        status: Some(over.status),
        ..Done::default()
    })
}

/// The list of that name, which there is.
fn existing(desk: &Desk<'_>, name: &OsStr) -> Result<ListName, Refused> {
    use std::os::unix::ffi::OsStrExt;

    let list = desk.site.list(name.as_bytes());
    let list = list.map_err(|bad| desk.refuse(format!("not a list name: {name:?}: {bad}")))?;
    let parity = desk.parity()?;
    let known = desk.known(&parity)?;
    if let Some(spelled) = known.lists.get(&list) {
        return Ok(spelled.clone());
    }
    match &known.enumerated {
        Ok(_) => Err(no_list(desk, &list, &known)),
        Err(error) => Err(desk
            .refuse(format!(
                "cannot say whether there is a list {list}: {error}"
            ))
            .hint(typed(desk.site, "check"))),
    }
}
