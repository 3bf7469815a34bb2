//! `mm-aliases virtual`: the lines that lead LIST@DOMAIN to the aliases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;

use crate::stage::{LISTS, Stage, TAILS};

/// A site whose lists are adopted, and whose future tree names its lists LIST@DOMAIN.
fn stage() -> Stage {
    let stage = Stage::bare();
    let site = stage.read("site.toml");
    let site = site.replace("[trees.b]\n", "[trees.b]\ndomain = \"Lists.example.org\"\n");
    stage.write("site.toml", site, 0o644);
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    stage
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn all_of(list: &str, domain: &str) -> Vec<String> {
    let tails = TAILS.iter().map(|tail| format!("{list}-{tail}"));
    let names = std::iter::once(list.to_owned()).chain(tails);
    names
        .map(|name| format!("{name}@{domain}\t{name}"))
        .collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn every_address_of_every_list_is_led_to_its_alias() {
    let stage = stage();
    let text = stage.aliases(&["virtual"]).expect(0).stdout;
    let expected: Vec<String> = LISTS
        .iter()
        .flat_map(|list| all_of(list, "lists.example.org"))
        .collect();
    assert_eq!(sorted(lines(&text)), sorted(expected));
}

#[test]
fn a_list_with_a_domain_of_its_own_has_that_one_and_two_of_one_name_never_meet() {
    let stage = stage();
    stage.add_list("newlist@other.example");
    stage.add_list("newlist@third.example");
    stage.aliases(&["sync"]).expect(0);
    let text = stage.aliases(&["virtual"]).expect(0).stdout;
    let new: Vec<String> = lines(&text)
        .into_iter()
        .filter(|line| line.starts_with("newlist"))
        .collect();
    // One alias file has one newlist: the other list would get its mail.
    assert_eq!(sorted(new), sorted(all_of("newlist", "other.example")));
}

#[test]
fn what_no_alias_has_is_left_out_and_said() {
    let stage = stage();
    let text = stage.read("aliases");
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("toylist-join:"))
        .collect();
    stage.write("aliases", kept, 0o644);
    // A user of this host must not get what is posted to a list of his name.
    stage.add_list("daemon");
    stage.aliases(&["sync", "--dry-run"]).expect(0);
    let done = stage.aliases(&["virtual"]).expect(0).says(&[
        "# left: toylist-join: no alias has this name (mm-aliases --site",
        "# left: daemon: no alias has this name, and a local user has this name",
    ]);
    let text = lines(&done.stdout).join("\n");
    assert!(
        !text.contains("toylist-join@") && !text.contains("daemon@"),
        "{text}"
    );
}

#[test]
fn the_file_is_replaced_whole_and_only_if_it_is_ours() {
    let stage = stage();
    let path = stage.path("virtual-lists");
    let words = ["virtual", "--output", path.to_str().unwrap()];
    stage
        .aliases(&words)
        .expect(0)
        .says(&["is written", ": 30 addresses"]);
    let printed = stage.aliases(&["virtual"]).expect(0).stdout;
    assert_eq!(stage.read("virtual-lists"), printed);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    stage.aliases(&words).expect(0).says(&["nothing to change"]);
    // Gone, but with its aliases: its lines go when those do.
    std::fs::remove_dir_all(stage.path("var/lists/toylist")).unwrap();
    stage.aliases(&words).expect(0).says(&["nothing to change"]);
    stage.aliases(&["sync", "--remove"]).expect(0);
    stage.aliases(&words).expect(0).says(&[": 20 addresses"]);
    assert!(!stage.read("virtual-lists").contains("toylist"));
    stage.write("virtual-lists", "# mine\n", 0o644);
    stage.aliases(&words).expect(1).complains(&[
        "was not made by mm-aliases virtual",
        "hint: name another file",
    ]);
    assert_eq!(stage.read("virtual-lists"), "# mine\n");
}

#[test]
fn lists_that_cannot_be_told_and_sites_without_a_domain_write_nothing() {
    let stage = stage();
    let path = stage.path("virtual-lists");
    let words = ["virtual", "--output", path.to_str().unwrap()];
    std::fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .aliases(&words)
        .expect(1)
        .complains(&["which lists there are cannot be told"]);
    std::fs::rename(stage.path("var/away"), stage.path("var/lists")).unwrap();
    let site = stage.read("site.toml");
    let site = site.replace("domain = \"Lists.example.org\"\n", "");
    stage.write("site.toml", site, 0o644);
    stage
        .aliases(&words)
        .expect(1)
        .complains(&["no tree in use has a domain", "hint: set `domain`"]);
    assert!(!path.exists());
}
