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

/// As [`stage`], and site.toml names the file of the map.
fn kept() -> Stage {
    let stage = stage();
    let more = format!(
        "[aliases]\nvirtual = \"{}\"\n",
        stage.path("virtual-lists").display()
    );
    let site = stage.read("site.toml").replace("[aliases]\n", &more);
    stage.write("site.toml", site, 0o644);
    stage
}

#[test]
fn check_compares_the_map_that_site_toml_names_and_sync_mends_it() {
    let stage = kept();
    let bounces = "user unknown in virtual alias table";
    let check = |told: &[&str], status: i32| {
        stage.aliases(&["check"]).expect(status).says(told);
    };
    check(
        &[
            "CRITICAL: virtual: the lists' addresses in their domains are not there",
            bounces,
        ],
        2,
    );
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["virtual-lists\": 30 addresses written"]);
    check(&[], 0);
    assert_eq!(
        stage.read("virtual-lists"),
        stage.aliases(&["virtual"]).expect(0).stdout
    );
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["nothing to change"]);

    // A list is born: its addresses come with its entries, in one sync.
    stage.add_list("newlist");
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["virtual-lists\": 40 addresses written"]);
    check(&[], 0);
    let whole = stage.read("virtual-lists");

    // A line that is lost, and one that leads elsewhere.
    let lost = "toylist@lists.example.org\ttoylist\n";
    let turned = "newlist@lists.example.org\tnewlist\n";
    let text = whole
        .replace(lost, "")
        .replace(turned, "newlist@lists.example.org\tcarl\n");
    let line = text
        .lines()
        .position(|line| line.ends_with("\tcarl"))
        .unwrap()
        + 1;
    stage.write("virtual-lists", text, 0o644);
    check(
        &[
            "CRITICAL: virtual: 2 addresses missing in the lists' domains",
            bounces,
            "virtual-lists: toylist@lists.example.org",
            "mend: mm-aliases --site",
            "WARNING: virtual: 1 address of a domain that no list has any more",
            &format!("virtual-lists:{line}: newlist@lists.example.org"),
        ],
        2,
    );
    stage.aliases(&["diff"]).expect(1).says(&[
        "\"toylist@lists.example.org\" is missing",
        &format!("line {line}: \"newlist@lists.example.org\" is stale"),
    ]);
    stage.aliases(&["sync"]).expect(0);
    assert_eq!(stage.read("virtual-lists"), whole);
    stage.aliases(&["diff"]).expect(0);
}

#[test]
fn a_map_that_is_somebody_elses_or_useless_is_told_and_left() {
    let stage = kept();
    stage.write("virtual-lists", "# mine\n", 0o644);
    stage
        .aliases(&["sync"])
        .expect(1)
        .complains(&["was not made by mm-aliases"]);
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["WARNING: virtual: it was not made by mm-aliases"]);
    // With new entries written: something was done, and something after it failed.
    stage.add_list("newlist");
    stage
        .aliases(&["sync"])
        .expect(3)
        .complains(&["something was changed, and then"]);
    assert!(stage.read("aliases").contains("newlist-owner:"));
    assert_eq!(stage.read("virtual-lists"), "# mine\n");
    // adopt is whole without it.
    let text = stage.read("aliases") + &stage.direct_block("a", "born");
    stage.add_list("born");
    stage.write("aliases", text, 0o644);
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["stays as it was", "was not made by"]);
    let site = stage
        .read("site.toml")
        .replace("domain = \"Lists.example.org\"\n", "");
    stage.write("site.toml", site, 0o644);
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["`virtual` is set, and no tree in use has a domain"]);
}

#[test]
fn adopt_and_an_upgrade_keep_the_map_too() {
    let stage = kept();
    stage.aliases(&["unadopt"]).expect(0);
    std::fs::remove_file(stage.path("virtual-lists")).unwrap();
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["30 addresses written"]);
    let text = stage.read("aliases");
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("toylist-join:"))
        .collect();
    stage.write("aliases", kept, 0o644);
    std::fs::remove_file(stage.path("virtual-lists")).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    assert!(
        stage
            .read("virtual-lists")
            .contains("toylist-join@lists.example.org\t")
    );
}
