//! The examples in contrib are sound: an admin starts from a copy of them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use mm_deliver::accounts::Account;
use mm_deliver::config::Config;
use mm_deliver::profile::Routing;
use mm_deliver::profiles::Profile;
use mm_deliver::settings::Settings;

fn example(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("contrib")
            .join(name),
    )
    .unwrap()
}

#[test]
fn the_example_site_can_be_used_as_it_stands() {
    let config = Config::parse(&example("site.toml")).unwrap();
    assert_eq!(config.trees.len(), 2);
    for tree in &config.trees {
        assert!(
            Routing::shipped(&tree.profile).is_some(),
            "{}",
            tree.profile
        );
    }
}

#[test]
fn every_key_of_the_example_site_is_one_that_is_read() {
    // The commented ones too: taking the # away must not break the site.
    let text = example("site.toml")
        .replace("\n#data", "\ndata")
        .replace("\n#domain", "\ndomain")
        .replace("\n#lmtp", "\nlmtp")
        .replace("\n#url", "\nurl")
        .replace("\n#web", "\nweb")
        .replace("\n#[web]", "\n[web]")
        .replace("\n#users", "\nusers")
        .replace("\n#rcpt", "\nrcpt")
        .replace("\n#wait", "\nwait")
        .replace("\n#deadline", "\ndeadline")
        .replace("\n#permanent", "\npermanent")
        .replace("\n#smrsh", "\nsmrsh")
        .replace("\n#virtual", "\nvirtual")
        .replace("\n#[[hooks]]", "\n[[hooks]]")
        .replace("\n#on", "\non")
        .replace("\n#each", "\neach")
        .replace("\n#prepare", "\nprepare")
        .replace("\n#undo", "\nundo")
        .replace("\n#after", "\nafter")
        .replace("\n#limit", "\nlimit");
    let hooks = Settings::parse(&text).unwrap().hooks;
    assert_eq!(hooks[0].programs().count(), 3);
    let text = text
        .replace("\n#user", "\nuser")
        .replace("\n#environment", "\nenvironment");
    let jobs = Settings::parse(&text).unwrap().jobs;
    assert_eq!(jobs.user, Some(Account::new("list")));
    assert_eq!(jobs.environment["b"].len(), 1);
    let config = Config::parse(&text).unwrap();
    assert_eq!(
        config.tree("b").unwrap().domain.as_deref(),
        Some("lists.example.org")
    );
    let page = config.tree("b").unwrap().page(None);
    assert_eq!(
        page.as_deref(),
        Some("https://lists.example.org/mailman3/lists/")
    );
    assert_eq!(Settings::parse(&text).unwrap().web.users, ["www-data"]);
}

#[test]
fn the_example_profile_can_be_used_as_it_stands() {
    let text = example("profile.toml");
    let profile = Profile::parse(&text).unwrap();
    assert_eq!(profile.routing, Routing::parse(&text).unwrap());
    let list = mm_deliver::list::ListName::parse("toylist").unwrap();
    assert_eq!(profile.addresses(&list).len(), 4);
}

#[test]
fn every_key_of_the_example_profile_is_one_that_is_read() {
    let text = example("profile.toml")
        .replace("\n#[owner]", "\n[owner]")
        .replace("\n#of", "\nof")
        .replace("\n#needs", "\nneeds")
        .replace("\n#extension", "\nextension");
    let profile = Profile::parse(&text).unwrap();
    assert_eq!(profile.routing.routes[0].extension, Some(b'+'));
    assert_eq!(profile.routing.exists.len(), 2);
    let text = text.replace("lists/{list}\"\n\n", "lists\"\n\n");
    let error = Profile::parse(&text).unwrap_err().what;
    assert!(error.contains("`of` is one list's"), "{error}");
}

#[test]
fn every_shipped_profile_is_named_in_the_examples() {
    let (site, profile) = (example("site.toml"), example("profile.toml"));
    for shipped in mm_deliver::profile::SHIPPED {
        assert!(site.contains(shipped.name), "{}", shipped.name);
        assert!(profile.contains(shipped.name), "{}", shipped.name);
    }
}

#[test]
fn every_verb_is_named_in_the_example_profile() {
    let text = example("profile.toml");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: std::collections::BTreeSet<&str> = words.collect();
    for verb in mm_deliver::list::Verb::ALL {
        assert!(words.contains(verb.as_str()), "{verb}");
    }
}

/// What the web servers' examples say is linked is what the shipped profile has.
#[test]
fn every_program_of_the_shipped_profile_has_its_link_in_the_examples() {
    let web = Routing::shipped("mailman2").unwrap().routing.web.as_ref();
    let web = web.unwrap();
    let all: std::collections::BTreeSet<&str> = web
        .lists
        .iter()
        .chain(web.site.iter())
        .map(AsRef::as_ref)
        .collect();
    for name in ["apache/mm-deliver.conf", "nginx/mm-deliver.conf"] {
        let text = example(name);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("#   for p in "));
        let linked: std::collections::BTreeSet<&str> = line.unwrap().split(' ').collect();
        assert_eq!(linked, all, "{name}");
    }
}
