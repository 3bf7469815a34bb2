//! `name@domain:` that pipes straight into a tree, in the file of a Sendmail: it may be an entry of
//! `name`, and nothing turns it.

use super::stage as bare;
use crate::stage::Stage;

const POST: &str = "toylist@mx.example.org:";

/// A stage whose MTA is Sendmail, which has the post of toylist with a domain.
fn stage() -> Stage {
    let stage = bare();
    let site = stage.read("site.toml");
    stage.write(
        "site.toml",
        site.replace("mta = \"none\"", "mta = \"sendmail\""),
        0o644,
    );
    let aliases: String = stage
        .read("aliases")
        .lines()
        .map(|line| match line.strip_prefix("toylist:") {
            Some(rest) => format!("{POST}{rest}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert!(aliases.contains(POST), "no post of toylist");
    stage.write("aliases", aliases, 0o644);
    stage
}

/// The line of it, from 1.
fn line(stage: &Stage) -> usize {
    let aliases = stage.read("aliases");
    aliases
        .lines()
        .position(|line| line.starts_with(POST))
        .unwrap()
        + 1
}

#[test]
fn adopt_leaves_it_and_says_why_and_what_to_type() {
    let stage = stage();
    let told = format!(
        "aliases, line {}: toylist: its name has a domain: if that is Sendmail's own, the mail goes \
         straight into tree a, and else Sendmail skips the line; write the name without the domain, \
         or remove the line, then mm-aliases --site",
        line(&stage)
    );
    for words in [
        &["adopt", "--dry-run"][..],
        &["adopt", "--dry-run", "toylist"],
    ] {
        let done = stage.aliases(words).expect(0).says(&["left: ", &told]);
        assert_eq!(done.stdout.matches("left: ").count(), 1, "{done:?}");
    }
    let other = stage
        .aliases(&["adopt", "--dry-run", "reallist1"])
        .expect(0);
    assert!(!other.stdout.contains("left: "), "{other:?}");
}

#[test]
fn check_warns_of_it_once_and_a_list_that_is_ahead_is_critical() {
    let stage = stage();
    let at = format!("aliases:{}: toylist", line(&stage));
    let what = "1 address with a domain in the name, straight into a tree, not to be turned";
    let mend = "mend: write the name without the domain, or remove the line, then mm-aliases";
    let done = stage.aliases(&["check", "--no-database"]).expect(1).says(&[
        what,
        &at,
        "it will not follow a move",
        mend,
    ]);
    assert!(!done.stdout.contains("held back"), "{done:?}");
    stage.hand_parity(&["toylist"], &[]);
    stage
        .aliases(&["check", "--no-database"])
        .expect(2)
        .says(&["goes into tree a, where its list is not", &at]);
}

#[test]
fn a_move_that_its_posts_would_not_follow_is_refused() {
    let stage = stage();
    let before = stage.read("aliases");
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "posts would stay where they go now: ",
        &format!(
            "aliases, line {}: toylist: its name has a domain",
            line(&stage)
        ),
        "let it be one line: toylist: \"|",
    ]);
    assert_eq!(stage.read("aliases"), before);
}
