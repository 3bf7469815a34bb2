//! What the profiles say, shipped ones above all.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::profile::SHIPPED;
use crate::tree::Runners;

fn tree() -> Tree {
    Tree {
        name: "a".into(),
        root: "/srv/a".into(),
        profile: "mailman2".into(),
        data: "/srv/var".into(),
        domain: Some("lists.example.org".into()),
        url: Some("https://rt.example.org/".into()),
        web: None,
        lmtp: crate::endpoint::Endpoint::parse("127.0.0.1:8024").ok(),
        queues: None,
        runners: Runners::Profile,
    }
}

fn shipped(name: &str) -> Profile {
    Profile::parse(Routing::shipped(name).unwrap().text).unwrap()
}

#[test]
fn every_shipped_profile_is_sound() {
    for profile in SHIPPED {
        Profile::parse(profile.text).unwrap_or_else(|bad| panic!("{}: {bad}", profile.name));
    }
}

#[test]
fn a_list_of_mailman_2_has_ten_addresses() {
    let list = ListName::parse("toylist").unwrap();
    let names: Vec<String> = shipped("mailman2")
        .addresses(&list)
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(
        names,
        [
            "toylist",
            "toylist-admin",
            "toylist-bounces",
            "toylist-confirm",
            "toylist-join",
            "toylist-leave",
            "toylist-owner",
            "toylist-request",
            "toylist-subscribe",
            "toylist-unsubscribe",
        ]
    );
}

/// What the forms of a profile make of a command: the verbs of the closest ones, and the name.
fn read(profile: &str, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let forms = shipped(profile).forms(&tree());
    let read = |form: &Form| form.read(&words, &|one, other| one == other);
    let closest = forms.iter().filter(|form| read(form).is_some());
    let closest = closest.map(Form::fixed).max();
    let mut verbs = String::new();
    let mut last = "nothing".to_owned();
    for form in forms.iter().filter(|form| Some(form.fixed()) == closest) {
        if let Some(named) = read(form) {
            verbs += &format!("{} ", form.verb);
            last = match named {
                Named::List(list) => list.spelling().to_owned(),
                Named::Foreign(list) => format!("foreign {list}"),
                Named::Bad(raw, _) => format!("bad {raw}"),
            };
        }
    }
    verbs + &last
}

#[test]
fn direct_aliases_of_every_list_manager_are_known() {
    for (profile, command, wanted) in [
        (
            "mailman2",
            "/srv/a/mail/mailman request toylist",
            "request toylist",
        ),
        (
            "mailman2",
            "/srv/a//mail/mailman post ToyList",
            "post ToyList",
        ),
        (
            "mailman2",
            "/srv/a/mail/wrapper mailcmd toylist",
            "request toylist",
        ),
        (
            "mailman2",
            "/srv/a/mail/wrapper mailowner toylist",
            "owner admin toylist",
        ),
        (
            "mailman1",
            "/srv/a/mail/wrapper mailowner toylist",
            "admin owner toylist",
        ),
        ("mailman2", "/srv/b/mail/mailman request toylist", "nothing"),
        ("mailman2", "/srv/a/mail/mailman request", "nothing"),
        (
            "mailman2",
            "/srv/a/mail/mailman request toylist x",
            "nothing",
        ),
        ("mailman2", "/srv/a/mail/mailman post ../x", "post bad ../x"),
        (
            "sympa",
            "/srv/a/bin/queue toylist@lists.example.org",
            "post toylist",
        ),
        (
            "sympa",
            "/srv/a/bin/queue Toy-request@Lists.Example.org",
            "request Toy",
        ),
        (
            "sympa",
            "/srv/a/bin/queue toy-editor@lists.example.org",
            "editor toy",
        ),
        (
            "sympa",
            "/srv/a/bin/queue toy-unsubscribe@lists.example.org",
            "unsubscribe toy",
        ),
        (
            "sympa",
            "/srv/a/bin/queue toy-subscribe@lists.example.org",
            "subscribe toy",
        ),
        (
            "sympa",
            "/srv/a/bin/bouncequeue toylist@lists.example.org",
            "bounces toylist",
        ),
        (
            "sympa",
            "/srv/a/bin/queue toylist@other.org",
            "post foreign toylist@other.org",
        ),
        ("sympa", "/srv/a/bin/queue toylist", "nothing"),
        (
            "schleuder",
            "/srv/a/bin/schleuder work toylist@lists.example.org",
            "post toylist",
        ),
        (
            "schleuder",
            "/srv/a/bin/schleuder work toy-sendkey@lists.example.org",
            "sendkey toy",
        ),
        (
            "schleuder",
            "/srv/a/bin/schleuder work toy-bounce@lists.example.org",
            "bounces toy",
        ),
        (
            "schleuder",
            "/srv/a/bin/schleuder install toylist@lists.example.org",
            "nothing",
        ),
        (
            "rt",
            "/srv/a/bin/rt-mailgate --queue General --action correspond --url https://rt.example.org/",
            "post General",
        ),
        (
            "rt",
            "/srv/a/bin/rt-mailgate --url https://rt.example.org --action comment --queue General",
            "nothing",
        ),
        (
            "rt",
            "/srv/a/bin/rt-mailgate --url https://rt.example.org/ --action comment --queue General",
            "comment General",
        ),
        (
            "rt",
            "/srv/a/bin/rt-mailgate --queue x --url https://rt.example.org/",
            "post x",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -L /srv/var/toylist",
            "post toylist",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -L /srv//var/toylist/",
            "post toylist",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -F -L /srv/var/toylist/",
            "post toylist",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -L /srv/var/toylist/ -F",
            "post toylist",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-recieve -L /srv/var/toylist",
            "post toylist",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -L /srv/elsewhere/toylist",
            "nothing",
        ),
        ("mlmmj", "/srv/a/bin/mlmmj-receive -L /srv/var/", "nothing"),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -L /srv/var/../x",
            "post bad ../x",
        ),
        (
            "mlmmj",
            "/srv/a/bin/mlmmj-receive -P -L /srv/var/toylist",
            "nothing",
        ),
    ] {
        assert_eq!(read(profile, command), wanted, "{profile}: {command}");
    }
}

#[test]
fn the_same_form_elsewhere_tells_the_other_tree() {
    for (profile, command, wanted) in [
        (
            "mailman2",
            "/opt/mm/mail/wrapper mailowner toylist",
            Some("/opt/mm"),
        ),
        ("mailman2", "/mail/mailman post toylist", Some("/")),
        ("mailman2", "mail/mailman post toylist", None),
        (
            "sympa",
            "/opt/sympa/bin/queue toylist@other.org",
            Some("/opt/sympa"),
        ),
        (
            "mlmmj",
            "/usr/bin/mlmmj-receive -L /var/spool/mlmmj/toylist/",
            Some("/usr"),
        ),
        (
            "rt",
            "/opt/rt4/bin/rt-mailgate --queue x --url http://old/",
            Some("/opt/rt4"),
        ),
        ("schleuder", "/usr/bin/schleuder work x@y.org", Some("/usr")),
        ("schleuder", "/usr/bin/schleuder help x@y.org", None),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let forms = shipped(profile).forms(&tree());
        let root = forms.iter().find_map(|form| form.read_elsewhere(&words));
        let root = root.map(|(root, _)| root.display().to_string());
        assert_eq!(root.as_deref(), wanted, "{profile}: {command}");
    }
}

#[test]
fn an_argv_that_could_not_be_told_from_others_is_refused_at_its_place() {
    let text = Routing::shipped("sympa").unwrap().text;
    let sound = r#"["{tree}/bin/queue", "{local}-editor@{domain}"]"#;
    let at = text.find(sound).unwrap();
    for (wrong, what) in [
        (
            r#"["{tree}/bin/queue", "{list}", "{local}"]"#,
            "only one word",
        ),
        (r#"["{tree}/bin/queue", "{list}{list}"]"#, "once"),
        (r#"["{tree}/bin/queue", "{local}@{domain}.x"]"#, "once"),
        (r#"["{tree}/bin/queue", "{domain}", "{list}"]"#, "once"),
        (r#"["{tree}/{list}/queue", "{list}"]"#, "begin with"),
    ] {
        let error = Profile::parse(&text.replacen(sound, wrong, 1)).unwrap_err();
        assert_eq!(error.at, Some(at), "{wrong}: {error}");
        assert!(error.what.contains(what), "{wrong}: {error}");
    }
    let error = Profile::parse(&text.replacen("[lists]", "[lists]\nfrom = \"aliases\"", 1));
    assert!(error.unwrap_err().what.contains("alone"));
}

#[test]
fn the_releases_of_the_other_list_managers_are_found_in_what_they_install() {
    // As the packages of Debian 12 have them.
    for (profile, text, release) in [
        ("mailman3", "VERSION = '3.3.8'\n", "3.3.8"),
        (
            "mailman3",
            "__version__ = '3.3.10'\nVERSION = __version__\n",
            "3.3.10",
        ),
        (
            "sympa",
            "use strict;\nuse constant VERSION => '6.2.70';\n",
            "6.2.70",
        ),
        (
            "schleuder",
            "module Schleuder\n  VERSION = '4.0.3'\nend\n",
            "4.0.3",
        ),
        (
            "rt",
            "package RT;\nour $VERSION = '5.0.3+dfsg-3~deb12u6';\n",
            "5.0.3+dfsg-3~deb12u6",
        ),
        (
            "mlmmj",
            "\0 -V: Print version\n\0%s version 1.3.0\n\0",
            "1.3.0",
        ),
    ] {
        let found = shipped(profile)
            .release
            .regex
            .captures(text.as_bytes())
            .map(|found| String::from_utf8_lossy(&found[1]).into_owned());
        assert_eq!(found.as_deref(), Some(release), "{profile}");
    }
}

#[test]
fn a_data_version_is_one_byte_after_its_key() {
    let profile = shipped("mailman2");
    let version = profile.data_version.as_ref().unwrap();
    for bytes in [
        &b"}q\x01(U\x0cdata_versionq\x02K\x70U"[..],
        b"U\x0cdata_versionK\x70",
        b"X\x0c\x00\x00\x00data_versionr\x00\x01\x00\x00K\x70\xff",
    ] {
        let found = version.probe.regex.captures(bytes).unwrap();
        assert_eq!(found[1], [112], "{bytes:?}");
    }
}

#[test]
fn a_probe_of_a_lists_data_waits_for_no_pipe_and_follows_no_link() {
    let root = std::env::temp_dir().join(format!("mm-probe-{}", std::process::id()));
    let (pipe, file, link) = (root.join("pipe"), root.join("file"), root.join("link"));
    fs::create_dir_all(&root).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
    fs::write(&file, b"U\x0cdata_versionq\x02K\x70U").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let profile = shipped("mailman2");
        let probe = &profile.data_version.as_ref().unwrap().probe;
        for (path, follow) in [(&pipe, false), (&pipe, true), (&link, false), (&link, true)] {
            tell.send(probe.find(path, follow).ok()).unwrap();
        }
    });
    for expected in [None, None, None, Some(vec![112])] {
        let found = told.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(found, Ok(expected));
    }
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn an_address_that_would_not_be_one_name_is_refused_at_its_place() {
    let text = Routing::shipped("mailman2").unwrap().text;
    for wrong in [
        "{list} owner",
        "{list}:",
        "{list}-Owner",
        "{list}-owner,",
        "{list}\\n-owner",
        "\\\"{list}",
        "{list}-{tree}",
        "#{list}",
        "{list}@x",
    ] {
        let at = text.find("\"{list}-owner\"").unwrap();
        let bad = text.replacen("\"{list}-owner\"", &format!("\"{wrong}\""), 1);
        let error = Profile::parse(&bad).unwrap_err();
        assert_eq!(error.at, Some(at), "{wrong}: {error}");
        assert!(error.what.contains("a-z 0-9"), "{wrong}: {error}");
    }
    let fine = text.replacen("{list}-owner", "own.er_+=-{list}9", 1);
    Profile::parse(&fine).unwrap();
}

#[test]
fn a_verb_after_another_section_is_refused() {
    let text = Routing::shipped("mailman1").unwrap().text;
    let late = format!("{text}\n[verbs.join]\naddresses = []\nargv = [\"{{tree}}/x\"]\n");
    assert!(
        Profile::parse(&late)
            .unwrap_err()
            .what
            .contains("verbs come first")
    );
}

/// Whose an entry of a queue is, as its bytes say.
#[track_caller]
fn check_names(profile: &str, bytes: &[u8], names: &[&str]) {
    let profile = shipped(profile);
    let found = profile.queues().unwrap().names(bytes);
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    assert_eq!(found, names, "{}", bytes.escape_ascii());
}

#[test]
fn mailman_2_notes_the_list_behind_the_message() {
    // As Python 2.7 and the port to Python 3 write it.
    check_names(
        "mailman2",
        b".(dp1\nS'listname'\np2\nS'x_1+a.b=c'\np3\nsS'version'\np9\nI3\ns.",
        &["x_1+a.b=c"],
    );
    check_names(
        "mailman2",
        b".}q\x01(U\x08listnameq\x02U\x07qrlistqq\x03U\x08pipeline",
        &["qrlistq"],
    );
    check_names(
        "mailman2",
        b"U\x08listnamer\x00\x01\x00\x00U\x07toylistr\x01\x01\x00\x00",
        &["toylist"],
    );
    check_names(
        "mailman2",
        b".(dp0\nVlistname\np1\nVtoylist\np2\nsVtolist",
        &["toylist"],
    );
    check_names(
        "mailman2",
        b"}q\x00(X\x08\x00\x00\x00listnameq\x01X\x07\x00\x00\x00toylistq\x02",
        &["toylist"],
    );
    check_names("mailman2", b"U\x08listnameq\x02U\xfftoylist", &[]);
    // In the text of a message, line ends are written out.
    check_names(
        "mailman2",
        b"S'S\\'listname\\'\\np2\\nS\\'toylist\\'\\n'\np1\n.",
        &[],
    );
}

#[test]
fn mailman_3_notes_the_list_by_its_list_id() {
    let id = "toylist.lists.example.org";
    // As Python 3.11 writes it: protocols 5, 0 and 1.
    let text = |bytes: &[u8]| [bytes, id.as_bytes()].concat();
    check_names(
        "mailman3",
        &text(b".\x80\x05\x95\x60\0\0\0\0\0\0\0}\x94(\x8c\x06listid\x94\x8c\x19"),
        &[id],
    );
    check_names(
        "mailman3",
        &text(b"}q\0(X\x06\0\0\0listidq\x01X\x19\0\0\0"),
        &[id],
    );
    let noted = format!("(dp0\nVlistid\np1\nV{id}\np2\ns");
    check_names("mailman3", noted.as_bytes(), &[id]);
}

#[test]
fn no_bytes_of_a_message_hide_the_list_that_is_noted_behind_it() {
    let three = |text: &[u8], noted: &[u8]| {
        let length = u8::try_from(noted.len()).unwrap();
        let head = b"\x94.\x80\x04\x95\x60\0\0\0\0\0\0\0}\x94(\x8c\x06listid\x94\x8c";
        [text, head, &[length], noted, b"\x94\n"].concat()
    };
    let two = |text: &[u8]| [text, b"q\x01.}q\x01(U\x08listnameq\x02U\x07toylistq\x03\n"].concat();
    for text in [
        b"Vlistid\nVx".as_slice(),
        b"Vlistid\np1\nV",
        b"\x8c\x06listid\x94\x8c",
        b"\x8c\x06listid\x94X",
        b"X\x06\0\0\0listidr",
    ] {
        let bytes = three(text, b"toylist.example.org");
        let profile = shipped("mailman3");
        let found = profile.queues().unwrap().names(&bytes);
        let noted = b"toylist.example.org".as_slice();
        assert!(found.contains(&noted), "{}", text.escape_ascii());
    }
    for text in [
        b"S'listname'\nS'x".as_slice(),
        b"Vlistname\np7\nV",
        b"U\x08listnameU",
        b"U\x08listnamer",
        b"U\x08listnameqU",
    ] {
        let bytes = two(text);
        let profile = shipped("mailman2");
        let found = profile.queues().unwrap().names(&bytes);
        assert!(
            found.contains(&b"toylist".as_slice()),
            "{}",
            text.escape_ascii()
        );
    }
    // One begins within the other.
    let both = b"Vlistid\nVlistid\nVtoylist.example.org\n";
    check_names("mailman3", both, &["listid", "toylist.example.org"]);
}

#[test]
fn what_stays_of_an_entrys_name_is_when_it_came_in() {
    let profile = shipped("mailman2");
    let entry = &profile.queues().unwrap().entry;
    let digest = "5f28c7bc0175b8da9d2ec5dc6212602cc39c2ea3";
    for (name, base) in [
        (
            format!("1795454025.873009+{digest}.pck"),
            Some("1795454025.873009"),
        ),
        (format!("1795454025.87+{digest}.bak"), Some("1795454025.87")),
        (format!("1795454025+{digest}.pck"), Some("1795454025")),
        (format!("1795454025.87+{digest}.pck.tmp"), None),
        (format!("1795454025.87+{digest}.psv"), None),
        (format!("1795454025.87+{digest}.pck\n"), None),
        ("x.pck".to_owned(), None),
    ] {
        let found = entry.captures(name.as_bytes());
        let found = found.map(|found| found[1].to_vec());
        assert_eq!(found.as_deref(), base.map(str::as_bytes), "{name}");
    }
}

#[test]
fn a_profile_whose_queues_cannot_be_told_is_refused_with_its_place() {
    let text = include_str!("../../contrib/profile.toml");
    for (from, to, what) in [
        ("root = \"{data}/qfiles\"\n", "", "`root` is missing"),
        ("\"{data}/qfiles\"", "\"{queues}/q\"", "in itself"),
        (
            "\"{queues}/in\"",
            "\"/var/in\"",
            "{queues}, {data} or {tree}",
        ),
        ("(?:pck|bak)$'", "(pck|bak)$'", "exactly one group"),
        ("\nlist = ", "\n#list = ", "whose are its entries?"),
        ("S'(?<name>", "S'(?<who>", "(?<name>"),
        ("S'(?<name>", "S'(", "(?<name>"),
        ("stuck = \"30m\"", "stuck = \"30\"", "a span of time"),
        ("127.0.0.1:8024", "localhost:8024", "nor a path"),
        ("command = ", "listens = ", "`pid` with `command`"),
        (
            "command = \"{tree}/bin/master\"",
            "command = \" \"",
            "every process",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Profile::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.what.contains(what), "{from}: {error}");
        assert!(error.at.is_some(), "{from}");
    }
}

#[test]
fn a_release_reads_what_the_first_row_that_knows_it_says() {
    let profile = Profile::parse(Routing::shipped("mailman2").unwrap().text).unwrap();
    for (release, reads) in [
        ("2.1.14", Some(0..=112)),
        ("2.1.39", Some(0..=112)),
        ("2.1b2", Some(0..=112)),
        ("2.2.0", Some(112..=112)),
        ("2.10", None),
        ("3.3.8", None),
    ] {
        assert_eq!(profile.reads(release), reads, "{release}");
    }
}

#[test]
fn a_data_version_of_marshal_is_a_byte_behind_its_key() {
    let profile = Profile::parse(Routing::shipped("mailman1").unwrap().text).unwrap();
    let regex = &profile.data_version.as_ref().unwrap().probe.regex;
    let found = regex
        .captures(b"{s\x0c\x00\x00\x00data_versioni\x15\x00\x00\x00s\x04")
        .unwrap();
    assert_eq!(&found[1], b"\x15");
}

#[test]
fn places_of_data_are_one_lists_and_below_the_data() {
    let shipped = Routing::shipped("mailman2").unwrap().text;
    for (old, new, what) in [
        ("\"{data}/lists/{list}\"", "\"{data}/lists\"", "one list's"),
        (
            "\"{data}/lists/{list}\"",
            "\"/etc/{list}\"",
            "begins with {data}/",
        ),
        (
            "\"{data}/lists/{list}\"",
            "\"{data}/../{list}\"",
            "no part is",
        ),
        (
            "heldmsg-{list}-#.pck",
            "heldmsg-{list}-##.pck",
            "a # stands once",
        ),
        (
            "to = 112 },\n    {",
            "from = 113, to = 112 },\n    {",
            "below `from`",
        ),
        ("'^2\\.2(?:[^0-9]|$)'", "'^2\\.2('", "unclosed group"),
    ] {
        let text = shipped.replacen(old, new, 1);
        assert_ne!(text, shipped, "{old}");
        let bad = Profile::parse(&text).unwrap_err();
        assert!(bad.what.contains(what), "{what}: {}", bad.what);
        assert!(bad.at.is_some());
    }
}

/// What a delivery looks for is what the enumeration goes by.
#[test]
fn a_list_exists_by_address_exactly_if_it_is_enumerated() {
    let list = ListName::parse("toylist").unwrap();
    for shipped in SHIPPED {
        let profile = Profile::parse(shipped.text).unwrap();
        let exists = shipped.routing.exists.iter();
        let exists: Vec<String> = exists
            .map(|path| tree().expand(path, Some((&list, Case::Lower))))
            .collect();
        let enumerated: Vec<String> = match &profile.lists {
            Lists::Aliases => Vec::new(),
            Lists::Directory { holds, .. } => {
                let directory = profile.directory(&tree(), Some(&list)).unwrap();
                let directory = directory.to_str().unwrap().to_owned();
                match holds.is_empty() {
                    true => vec![directory],
                    false => holds
                        .iter()
                        .map(|one| format!("{directory}/{one}"))
                        .collect(),
                }
            }
        };
        assert_eq!(exists, enumerated, "{}", shipped.name);
    }
}
