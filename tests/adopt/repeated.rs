//! Where Postfix reads the aliases, what it delivers again while mm-deliver asks it to try again
//! is named, and a second program is never turned, by whatever alias it is run.

use super::managers::filled;
use super::ours;
use crate::stage::Stage;

/// A site of this MTA. Nothing is run there: its tools may not be on this host.
fn stage(mta: &str) -> Stage {
    let stage = super::stage();
    let site = stage.read("site.toml");
    let site = site.replace("mta = \"none\"", &format!("mta = \"{mta}\""));
    stage.write("site.toml", site, 0o644);
    stage
}

const OTHERS: &str = "root: alice\nfar: a@b.example\narchive: filter\nfilter: \"|/usr/bin/archive\"\n\
                      toylist: \"|{a}/mail/mailman post toylist\", root, far, c@d.example\n\
                      toylist-owner: \"|{a}/mail/mailman owner toylist\", /var/spool/owner\n\
                      reallist1: archive, \"|{a}/mail/mailman post reallist1\"\n";

#[test]
fn adopt_names_what_postfix_delivers_again() {
    let stage = stage("postfix");
    stage.write("aliases", filled(&stage, OTHERS), 0o644);
    let done = stage.aliases(&["adopt", "--dry-run"]).expect(0).says(&[
        "2 entries would change",
        "aliases, line 5: toylist: also goes to \"root\": while mail to it waits, Postfix delivers it \
         there again at each retry; take it out of this entry, and let both be recipients: \
         \"toylist toylist, root\" in virtual_alias_maps, or subscribe it to the list\n",
        "line 6: toylist-owner: also goes to \"/var/spool/owner\": while mail to it waits, Postfix \
         delivers it there again at each retry; give it an alias of its own, take it out",
        "left: ",
        "line 7: reallist1: it also goes to \"archive\", which leads to a second program: Postfix \
         would run that again whenever mm-deliver asks it to try again; take it out, and let both \
         be recipients: \"reallist1 reallist1, archive\" in virtual_alias_maps; then mm-aliases",
    ]);
    assert_eq!(done.stdout.matches("also goes to").count(), 3, "{done:#?}");
}

#[test]
fn other_mtas_try_each_destination_by_itself() {
    for mta in ["none", "exim"] {
        let stage = stage(mta);
        stage.write("aliases", filled(&stage, OTHERS), 0o644);
        let done = stage.aliases(&["adopt", "--dry-run"]).expect(0);
        let done = done.says(&["3 entries would change"]);
        assert!(!done.stdout.contains("also goes to"), "{done:#?}");
    }
}

#[test]
fn a_second_program_in_the_entry_is_advised_as_the_mta_needs_it() {
    let text = "toylist: \"|{a}/mail/mailman post toylist\", \"|/usr/bin/archive\"\n";
    for (mta, advice) in [
        (
            "postfix",
            "\"toylist toylist, ALIAS\" in virtual_alias_maps; then mm-aliases",
        ),
        (
            "none",
            "give the other program an alias of its own, name that alias here, then",
        ),
    ] {
        let stage = stage(mta);
        stage.write("aliases", filled(&stage, text), 0o644);
        let done = stage.aliases(&["adopt", "--dry-run"]).expect(0);
        done.says(&["left: ", "it runs a second program", advice]);
    }
}

/// The entries of all lists as we write them, with `more` behind that of each name.
fn all_ours(stage: &Stage, more: impl Fn(&str) -> String) -> String {
    super::LISTS
        .iter()
        .flat_map(|list| {
            let verbs = crate::stage::TAILS.map(|tail| (format!("{list}-{tail}"), tail));
            std::iter::once((list.to_string(), "post"))
                .chain(verbs)
                .map(move |(name, verb)| (name, verb, *list))
        })
        .map(|(name, verb, list)| {
            let more = more(&name);
            format!("{name}: {}{more}\n", ours(stage, verb, list))
        })
        .collect()
}

/// Two of our own in one line: the list that is not paused gets the message again and again.
#[test]
fn check_warns_of_a_second_program_in_an_entry_of_ours() {
    for (mta, status) in [("postfix", 1), ("exim", 0)] {
        let stage = stage(mta);
        let text = all_ours(&stage, |name| match name {
            "toylist" => ", \"|/usr/bin/archive -l toy\"".to_owned(),
            "reallist1" => format!(", {}", ours(&stage, "post", "reallist2")),
            // Postfix runs it once.
            "reallist2" => format!(", {}", ours(&stage, "post", "reallist2")),
            _ => String::new(),
        });
        stage.write("aliases", text, 0o644);
        let done = stage.aliases(&["check", "--no-database"]).expect(status);
        if mta == "exim" {
            assert_eq!(done.stdout, "");
            continue;
        }
        let done = done.says(&[
            "1 address goes to mm-deliver and to the program \"/usr/bin/archive -l toy\"",
            "while mail to it waits, Postfix runs that program again at each retry",
            "give it an alias of its own, take it out of this entry, and let both be recipients: \
             \"toylist toylist, ALIAS\" in virtual_alias_maps",
            " post reallist2\"\n",
        ]);
        let told = done.stdout.matches("address-repeated").count();
        assert_eq!(told, 2, "{done:#?}");
    }
}

#[test]
fn check_warns_of_entries_that_are_turned_already() {
    let stage = stage("postfix");
    let text = all_ours(&stage, |name| {
        let more = match name {
            "toylist" | "reallist1" => ", root",
            "reallist2" => ", archive",
            "toylist-owner" => ", far",
            _ => "",
        };
        more.to_owned()
    });
    let more = "root: alice\nfar: a@b.example\narchive: \"|/usr/bin/archive\"\n";
    stage.write("aliases", text + more, 0o644);
    let done = stage.aliases(&["check", "--no-database"]).expect(1);
    let done = done.says(&[
        "1 address goes to mm-deliver and to \"archive\"",
        "Postfix runs the program behind that again at each retry",
        "\"reallist2 reallist2, archive\" in virtual_alias_maps",
        "2 addresses go to mm-deliver and to \"root\"",
        "Postfix delivers it there again at each retry",
        "\"NAME NAME, root\" in virtual_alias_maps",
    ]);
    assert!(!done.stdout.contains("\"far\""), "{done:#?}");
    let json = stage.aliases(&["check", "--no-database", "--format", "json"]);
    json.says(&["\"address-repeated\""]);
}
