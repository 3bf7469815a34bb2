//! What a shell is offered, and whether mm-deliver may be removed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use crate::stage::Stage;

/// What is offered for the last of these words, as the shell's script asks.
fn offered(stage: &Stage, shell: &str, program: &str, words: &[&str]) -> Vec<String> {
    let site = stage.path("site.toml").display().to_string();
    let mut all = vec![program, "--site", &site];
    all.extend(words);
    let mut asked = Command::new(stage.path("bin").join(program));
    asked
        .env("MM_COMPLETE", shell)
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", (all.len() - 1).to_string())
        .arg("--")
        .args(&all);
    let done = stage.run(asked, b"").expect(0);
    // zsh and fish get what it is for behind the word.
    let word = |line: &str| line.split([':', '\t']).next().unwrap().trim().to_owned();
    done.stdout.lines().map(word).collect()
}

#[test]
fn shells_are_offered_lists_trees_profiles_and_commands() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        let of = |words: &[&str]| offered(&stage, shell, "mm-parity", words);
        assert_eq!(of(&["upgrade", "toy"]), ["toylist"], "{shell}");
        assert_eq!(
            of(&["history", "REAL"]),
            ["reallist1", "reallist2"],
            "{shell}"
        );
        assert_eq!(of(&["trust", ""])[..2], ["a", "b"], "{shell}");
        assert_eq!(
            of(&["init", "--profile", "mailman2"]),
            ["mailman2"],
            "{shell}"
        );
        assert_eq!(of(&["downg"]), ["downgrade"], "{shell}");
        assert_eq!(of(&["upgrade", "nosuch"]), Vec::<String>::new(), "{shell}");
        let of = |words: &[&str]| offered(&stage, shell, "mm-aliases", words);
        assert_eq!(of(&["adopt", "toy"]), ["toylist"], "{shell}");
    }
    // Nothing can be read: nothing is offered, and nothing is said.
    stage.write("site.toml", "broken", 0o644);
    assert_eq!(
        offered(&stage, "fish", "mm-parity", &["upgrade", "toy"]),
        Vec::<String>::new()
    );
}

/// /usr/sbin is in root's PATH only; the files of the package (`manual/`) name it.
#[test]
fn shells_ask_again_by_the_path_that_they_asked_by() {
    let stage = Stage::new();
    for name in ["mm-parity", "mm-aliases"] {
        let path = stage.path("bin").join(name);
        let path = path.to_str().unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let mut asked = Command::new(path);
            asked.env("MM_COMPLETE", shell);
            let script = stage.run(asked, b"").expect(0).stdout;
            assert!(script.contains(path), "{shell}: {script}");
            if shell == "zsh" {
                // The package's file calls it for the first TAB of a session.
                let function = format!("_clap_dynamic_completer_{}()", name.replace('-', "_"));
                assert!(script.contains(&function), "{script}");
            }
        }
    }
}

#[test]
fn what_other_programs_complete_by_is_no_question_to_us() {
    let stage = Stage::new();
    let mut command = stage.command("mm-parity", &["status"]);
    command.env("COMPLETE", "bash");
    stage.run(command, b"").expect(0).says(&["3 lists"]);
}

#[test]
fn it_may_be_removed_once_no_alias_leads_to_it() {
    let stage = Stage::new();
    stage.parity(&["may-remove"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["may-remove"]).expect(1).complains(&[
        "cannot allow that mm-deliver is removed: aliases of toylist pipe to it",
        "downgrade --all",
        "mm-aliases",
        "unadopt",
    ]);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    stage.aliases(&["unadopt"]).expect(0);
    stage.parity(&["may-remove"]).expect(0);
    // What cannot be told is no.
    let site = stage.read("site.toml");
    stage.write("site.toml", "broken", 0o644);
    stage.parity(&["may-remove"]).expect(1).complains(&["mv "]);
    stage.write("site.toml", site, 0o644);
    std::fs::remove_file(stage.path("aliases")).unwrap();
    stage
        .parity(&["may-remove"])
        .expect(1)
        .complains(&["aliases", "mv "]);
    std::fs::remove_file(stage.path("site.toml")).unwrap();
    stage.parity(&["may-remove"]).expect(0);
}
