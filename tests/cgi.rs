//! mm-cgi: which program answers a request, what it is told, and what a visitor gets where none
//! can. No web server: the tests are one.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use mm_deliver::doors::{Floor, Range};
use mm_deliver::list::ListName;

use crate::doors::{close, door, mover, until};
use crate::stage::{Stage, spawn};

/// A stage whose trees have CGI programs that show what they were given, and the links.
fn stage() -> Stage {
    let stage = Stage::new();
    furnish(&stage);
    stage
}

pub(crate) fn furnish(stage: &Stage) {
    stage.put_hot("mm-cgi");
    stage.make_dir("cgi-bin");
    for tree in ["a", "b"] {
        stage.make_dir(&format!("{tree}/cgi-bin"));
        put_programs(stage, tree);
    }
    for program in PROGRAMS {
        symlink("../bin/mm-cgi", stage.path(&format!("cgi-bin/{program}"))).unwrap();
    }
}

const PROGRAMS: [&str; 11] = [
    "admin",
    "admindb",
    "confirm",
    "create",
    "edithtml",
    "listinfo",
    "options",
    "private",
    "rmlist",
    "roster",
    "subscribe",
];

pub(crate) fn put_programs(stage: &Stage, tree: &str) {
    let script = format!(
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho 'tree {tree}'\n\
         echo \"argv $0 $*\"\necho \"cwd $(pwd)\"\nenv\necho \"body $(wc -c)\"\n"
    );
    for program in PROGRAMS {
        stage.write(&format!("{tree}/cgi-bin/{program}"), &script, 0o755);
    }
}

/// A request as a web server starts it; what follows the program's name is PATH_INFO.
fn request(stage: &Stage, url: &str) -> Command {
    let (program, path) = match url.find('/') {
        Some(slash) => url.split_at(slash),
        None => (url, ""),
    };
    let file = stage.path(&format!("cgi-bin/{program}"));
    let mut command = Command::new(&file);
    command
        .env_clear()
        .env("MM_SITE", stage.path("site.toml"))
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", "GET")
        .env("SCRIPT_FILENAME", &file)
        .env("PATH_INFO", path)
        .current_dir(stage.path("cgi-bin"));
    command
}

/// What a visitor gets: the header, and the page.
#[derive(Debug)]
struct Got {
    header: String,
    page: String,
    stderr: String,
}

impl Got {
    fn of(output: &std::process::Output) -> Got {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (header, page) = text.split_once("\r\n\r\n").expect(&text);
        Got {
            header: header.to_owned(),
            page: page.to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `tree a`, or the status of a page of ours.
    fn by(&self) -> &str {
        match self.header.strip_prefix("Status: ") {
            Some(status) => &status[..3],
            None => self.page.lines().next().unwrap(),
        }
    }

    fn shows(&self, line: &str) -> bool {
        self.page.lines().any(|shown| shown == line)
    }

    #[track_caller]
    fn expect_ours(self, status: &str) -> Got {
        assert_eq!(self.by(), status, "{self:?}");
        let retry = self.header.contains("\r\nRetry-After: ");
        assert_eq!(retry, status == "503", "{self:?}");
        assert!(self.page.starts_with("<!DOCTYPE html>"), "{self:?}");
        self
    }
}

fn answer(mut command: Command, body: &[u8]) -> Got {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    // Who does not read it is no fault.
    let _ = child.stdin.take().unwrap().write_all(body);
    Got::of(&child.wait_with_output().unwrap())
}

fn get(stage: &Stage, url: &str) -> Got {
    answer(request(stage, url), b"")
}

#[test]
fn the_tree_that_the_list_is_on_answers_under_one_url() {
    let stage = stage();
    let check = |toylist: &str, reallist: &str| {
        assert_eq!(get(&stage, "listinfo/toylist").by(), toylist);
        assert_eq!(get(&stage, "admin/TOYLIST/members/list").by(), toylist);
        assert_eq!(get(&stage, "listinfo/reallist1").by(), reallist);
    };
    check("tree a", "tree a");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    check("tree b", "tree a");
    stage.parity(&["downgrade", "toylist"]).expect(0);
    check("tree a", "tree a");
    stage.parity(&["upgrade", "--all"]).expect(0);
    check("tree b", "tree b");
    stage.parity(&["commit"]).expect(0);
    check("tree b", "tree b");
    stage.parity(&["commit", "--revert"]).expect(0);
    check("tree b", "tree b");
}

#[test]
fn what_is_about_no_list_or_an_unknown_one_goes_to_current_until_commit() {
    let stage = stage();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let urls = [
        "listinfo",
        "admin/",
        "listinfo///",
        "create",
        "create/toylist",
        "listinfo/nosuchlist",
        "admin/nosuchlist/members",
        // Another list than toylist, to every tree: mail's domain is none of a page's.
        "listinfo/toylist@lists.example.org",
    ];
    for url in urls {
        assert_eq!(get(&stage, url).by(), "tree a", "{url}");
    }
    // One that is moved or paused holds none of these up.
    stage.parity(&["pause", "toylist"]).expect(0);
    assert_eq!(get(&stage, "create/toylist").by(), "tree a");
    stage.parity(&["commit"]).expect(0);
    for url in urls {
        assert_eq!(get(&stage, url).by(), "tree b", "{url}");
    }
}

/// What Mailman 2.1 takes as the list of this PATH_INFO: the parts of what stands before the first
/// byte outside ! to ~, but for the empty ones; the first, in lower case (Utils.GetPathPieces;
/// private has its own way with `.mbox`).
fn as_mailman(program: &str, path: &[u8]) -> Option<String> {
    let end = path.iter().position(|b| !(0x21..=0x7e).contains(b));
    let path = String::from_utf8(path[..end.unwrap_or(path.len())].to_vec()).unwrap();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let list = parts.first()?.to_lowercase();
    let cut = list.strip_suffix(".mbox");
    match (
        program,
        cut,
        parts.get(1).and_then(|second| second.strip_suffix(".mbox")),
    ) {
        ("private", Some(cut), Some(second)) if cut == second => Some(cut.to_owned()),
        ("create", ..) => None,
        _ => Some(list),
    }
}

#[test]
fn no_list_is_served_by_a_tree_that_it_is_not_on_whatever_stands_in_the_url() {
    let stage = stage();
    // Every other name is on current: a list by two readings would show.
    stage.add_list("toylist.mbox");
    stage.hand_parity(&["toylist"], &[]);
    let paths: [&[u8]; 27] = [
        // One that ends at the blank to the tree, and later to who does not know that.
        b"/toylist.mbox/toylist.mbox x",
        b"/toylist",
        b"//toylist",
        b"/toylist/",
        b"/TOYLIST/x//y",
        b"toylist",
        b"/toylist/../reallist1",
        b"/../toylist",
        b"/./toylist",
        b"/reallist1/toylist",
        b"/toylist.mbox/toylist.mbox",
        b"/toylist.mbox/reallist1.mbox",
        b"/TOYLIST.MBOX/toylist.mbox",
        b"/toylist.mbox/TOYLIST.mbox",
        b"/toylist.mbox",
        b"/toylist@x.org",
        b"/%74oylist",
        b"/toylist%2f..%2freallist1",
        b"/toylist\r\n/reallist1",
        b"/toylist\n",
        b" /toylist",
        b"/\x7ftoylist",
        b"/toylist\xc3\xa9",
        b"/toylist/a b",
        b"/--site+x/toylist",
        b"/toylist.",
        b"/toylist?x",
    ];
    let mut served = 0;
    for path in paths {
        for program in ["listinfo", "private", "create"] {
            let mut command = request(&stage, program);
            let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path);
            command.env("PATH_INFO", path);
            let got = answer(command, b"");
            let its = std::os::unix::ffi::OsStrExt::as_bytes(path);
            let expected = match as_mailman(program, its).as_deref() {
                Some("toylist") => "tree b",
                _ => "tree a",
            };
            // Or it goes nowhere.
            if got.by() == "404" {
                got.expect_ours("404");
                continue;
            }
            served += 1;
            assert_eq!(got.by(), expected, "{program} {path:?}");
        }
    }
    assert!(served > 25, "{served}");
}

#[test]
fn nothing_of_a_request_but_its_name_is_an_argument() {
    let stage = stage();
    stage.write("evil.toml", "nonsense", 0o644);
    for words in [
        ["--site", "evil.toml"],
        ["--explain", "listinfo"],
        ["--help", ""],
        ["--version", ""],
        ["admin", "/reallist1"],
    ] {
        let mut command = request(&stage, "listinfo/toylist");
        command.args(words);
        let got = answer(command, b"");
        assert_eq!(got.by(), "tree a", "{words:?}");
        let program = stage.path("a/cgi-bin/listinfo");
        assert!(
            got.shows(&format!("argv {} ", program.display())),
            "{got:?}"
        );
    }
    // The one sign of the two is enough.
    for sign in ["GATEWAY_INTERFACE", "REQUEST_METHOD"] {
        let mut command = request(&stage, "listinfo/toylist");
        command.arg("--help").env_remove(sign);
        assert_eq!(answer(command, b"").by(), "tree a", "{sign}");
    }
    // Both servers' way to name a file: its path, or the last part alone.
    let mut command = request(&stage, "listinfo/toylist");
    command.arg0("admin");
    let program = stage.path("a/cgi-bin/admin");
    assert!(answer(command, b"").shows(&format!("argv {} ", program.display())));
}

#[test]
fn the_program_is_told_what_a_cgi_program_is_told_and_no_more() {
    let stage = stage();
    let mut command = request(&stage, "listinfo/toylist/x");
    for (name, value) in [
        ("QUERY_STRING", "--site+x&a=b"),
        ("HTTP_COOKIE", "toylist+admin=1"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("HTTP_PROXY", "http://evil.example:1"),
        ("HTTP_X_WHATEVER", "x"),
        ("LD_PRELOAD_X", "x"),
        ("SENDER", "x"),
        ("HTTP_REFERER", "x\r\nSet-Cookie: y"),
        ("CONTENT_TYPE", "a\nb"),
    ] {
        command.env(name, value);
    }
    command.env("CONTENT_LENGTH", "7");
    let got = answer(command, b"a=b&c=d");
    let dir = stage.dir.display();
    for line in [
        "QUERY_STRING=--site+x&a=b",
        "HTTP_COOKIE=toylist+admin=1",
        "REMOTE_ADDR=192.0.2.7",
        "REQUEST_METHOD=GET",
        "PATH_INFO=/toylist/x",
        "CONTENT_LENGTH=7",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "body 7",
        &format!("SCRIPT_FILENAME={dir}/a/cgi-bin/listinfo"),
        &format!("cwd {dir}/a/cgi-bin"),
    ] {
        assert!(got.shows(line), "{line}: {got:#?}");
    }
    for never in [
        "PROXY",
        "WHATEVER",
        "LD_",
        "SENDER",
        "MM_SITE",
        "Set-Cookie",
        "CONTENT_TYPE",
    ] {
        assert!(!got.page.contains(never), "{never}: {got:#?}");
    }
}

#[test]
fn a_body_passes_untouched() {
    let stage = stage();
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let kept = stage.path("kept");
    let script = format!(
        "#!/bin/sh\nprintf 'X: y\\r\\n\\r\\n'\ncat > '{}'\n",
        kept.display()
    );
    stage.write("a/cgi-bin/admin", script, 0o755);
    answer(request(&stage, "admin/toylist"), &body);
    assert!(fs::read(kept).unwrap() == body);
}

#[test]
fn what_cannot_be_the_address_of_a_list_is_not_found() {
    let stage = stage();
    let long = format!("listinfo/{}", "x".repeat(129));
    for url in [
        "listinfo/..",
        "listinfo/<script>",
        "admin/-x/members",
        "listinfo/a b",
        &long,
    ] {
        let got = get(&stage, url).expect_ours("404");
        assert!(
            !got.page.contains("script") && !got.page.contains("xxx"),
            "{got:?}"
        );
        // Whoever looks for such things does not fill the log.
        assert_eq!(got.stderr, "");
    }
    // HEAD gets no page.
    let mut command = request(&stage, "listinfo/..");
    command.env("REQUEST_METHOD", "HEAD");
    assert_eq!(answer(command, b"").page, "");
}

#[test]
fn every_failure_of_ours_is_503_and_says_when_to_come_back() {
    type Spoil = fn(&Stage);
    let cases: [(&str, Spoil, &str); 8] = [
        (
            "no program",
            |s| fs::remove_file(s.path("a/cgi-bin/listinfo")).unwrap(),
            "cgi-bin/listinfo",
        ),
        (
            "others may write it",
            |s| set_mode(s, "a/cgi-bin/listinfo", 0o757),
            "everybody may write it",
        ),
        (
            "others may write its directory",
            |s| set_mode(s, "a/cgi-bin", 0o777),
            "everybody may write it",
        ),
        (
            "no program at all",
            |s| s.write("a/cgi-bin/listinfo", "", 0o755),
            "Exec format error",
        ),
        (
            "no parity",
            |s| fs::remove_file(s.path("state/parity.toml")).unwrap(),
            "parity.toml",
        ),
        (
            "a broken parity",
            |s| s.write("state/parity.toml", "x", 0o644),
            "parity.toml",
        ),
        (
            "no lock file",
            |s| fs::remove_file(s.path("state/lock")).unwrap(),
            "lock file",
        ),
        (
            "a broken site",
            |s| s.write("site.toml", "x", 0o644),
            "site.toml",
        ),
    ];
    let stage = stage();
    let sound =
        ["state/parity.toml", "state/lock", "site.toml"].map(|name| (name, stage.read(name)));
    for (name, spoil, cause) in cases {
        spoil(&stage);
        let got = get(&stage, "listinfo/toylist").expect_ours("503");
        assert!(
            got.stderr.starts_with("mm-cgi: ") && got.stderr.contains(cause),
            "{name}: {got:?}"
        );
        assert!(
            !got.page.contains(stage.dir.to_str().unwrap()),
            "{name}: {got:?}"
        );
        for (name, text) in &sound {
            stage.write(name, text, 0o644);
        }
        set_mode(&stage, "a/cgi-bin", 0o755);
        put_programs(&stage, "a");
        assert_eq!(get(&stage, "listinfo/toylist").by(), "tree a", "{name}");
    }
    fs::rename(stage.path("a"), stage.path("a.away")).unwrap();
    get(&stage, "listinfo/toylist").expect_ours("503");
    fs::rename(stage.path("a.away"), stage.path("a")).unwrap();
}

fn set_mode(stage: &Stage, name: &str, mode: u32) {
    fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn who_cannot_be_served_now_is_told_so() {
    let stage = stage();
    stage.parity(&["pause", "toylist"]).expect(0);
    let got = get(&stage, "listinfo/toylist").expect_ours("503");
    assert!(got.page.contains("This mailing list is paused"), "{got:?}");
    assert_eq!(get(&stage, "listinfo/reallist1").by(), "tree a");
    // A body that nobody takes is read away: a server that hands all of it on first would take a
    // closed pipe for a failure.
    let mut command = request(&stage, "admin/toylist");
    command
        .env("REQUEST_METHOD", "POST")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = spawn(&mut command);
    let taken = child
        .stdin
        .take()
        .unwrap()
        .write_all(&vec![b'x'; 5_000_000]);
    assert!(taken.is_ok(), "{taken:?}");
    Got::of(&child.wait_with_output().unwrap()).expect_ours("503");
    // A link that no profile knows; a site that is no path.
    symlink("../bin/mm-cgi", stage.path("cgi-bin/nonsense")).unwrap();
    let got = get(&stage, "nonsense/toylist").expect_ours("503");
    assert!(
        got.stderr
            .contains("no tree of this site knows the program nonsense"),
        "{got:?}"
    );
    let mut command = request(&stage, "listinfo/toylist");
    command.env("MM_SITE", "site.toml").current_dir(&stage.dir);
    let got = answer(command, b"").expect_ours("503");
    assert!(got.stderr.contains("MM_SITE is no path from /"), "{got:?}");
    // A descriptor that is closed would be taken by the first file that is opened.
    let shell = format!("exec '{}' <&-", stage.path("cgi-bin/listinfo").display());
    let mut command = request(&stage, "listinfo/reallist1");
    command.env("PATH", "/usr/bin:/bin");
    let mut closed = Command::new("/bin/sh");
    closed.arg("-c").arg(shell).env_clear();
    for (name, value) in command.get_envs() {
        closed.env(name, value.unwrap());
    }
    answer(closed, b"").expect_ours("503");
}

/// A request about toylist that stands at its closed door.
fn waiting(stage: &Stage) -> Child {
    let mut command = request(stage, "listinfo/toylist");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = spawn(&mut command);
    let lock = stage.path("state/lock");
    let fds = format!("/proc/{}/fd", child.id());
    until("a request at the door", || {
        let mut open = fs::read_dir(&fds).unwrap().flatten();
        open.any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == lock))
    });
    child
}

#[test]
fn a_closed_door_is_waited_at_and_then_it_is_503() {
    let stage = stage();
    crate::doors::set_wait(&stage, "150ms");
    let lock = mover(&stage);
    close(&lock, door("toylist"));
    let got = get(&stage, "listinfo/toylist").expect_ours("503");
    assert!(got.page.contains("is being moved"), "{got:?}");
    assert_eq!(get(&stage, "listinfo/reallist1").by(), "tree a");
    crate::doors::set_wait(&stage, "1m");
    let child = waiting(&stage);
    stage.hand_parity(&["toylist"], &[]);
    drop(lock);
    assert_eq!(Got::of(&child.wait_with_output().unwrap()).by(), "tree b");
}

#[test]
fn a_fault_inside_us_is_answered_too() {
    let stage = stage();
    crate::doors::set_wait(&stage, "1m");
    let lock = mover(&stage);
    close(&lock, door("toylist"));
    for signal in [libc::SIGTERM, libc::SIGSEGV, libc::SIGABRT, libc::SIGXCPU] {
        let child = waiting(&stage);
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let got = Got::of(&child.wait_with_output().unwrap()).expect_ours("503");
        assert_eq!(got.stderr, "mm-cgi: internal error, answered with 503\n");
    }
}

#[test]
fn a_visitor_who_is_gone_is_nobodys_fault() {
    let stage = stage();
    let mut command = request(&stage, "listinfo/..");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let output = spawn(&mut command).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Lets a tree's `admin` begin its answer, and go on once there is a file `go`.
fn put_slow_program(stage: &Stage, tree: &str, background: bool) {
    let dir = stage.dir.display();
    let wait = format!("while [ -d '{dir}' ] && [ ! -e '{dir}/go' ]; do sleep 0.02; done");
    let wait = match background {
        true => format!("( {wait} ) </dev/null >/dev/null 2>&1 &"),
        false => wait,
    };
    let script = format!("#!/bin/sh\nprintf 'X: y\\r\\n\\r\\ntree {tree}\\n'\n{wait}\n");
    stage.write(&format!("{tree}/cgi-bin/admin"), script, 0o755);
}

/// One whose answer has begun.
fn begun(stage: &Stage) -> Child {
    let mut command = request(stage, "admin/toylist");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut byte = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut byte)
        .unwrap();
    child
}

#[test]
fn a_move_waits_for_a_request_and_names_it() {
    let stage = stage();
    put_slow_program(&stage, "a", false);
    let running = begun(&stage);
    let pid = format!("process {} of user ", running.id());
    let words = ["upgrade", "toylist", "--closed", "200ms"];
    stage
        .parity(&words)
        .expect(1)
        .complains(&["still inside: toylist: ", &pid, "a/cgi-bin/admin"]);
    stage
        .parity(&["drain", "toylist"])
        .expect(0)
        .says(&["toylist, web: ", &pid]);
    stage
        .parity(&["drain", "--all"])
        .expect(0)
        .says(&["toylist, web: ", &pid]);
    // Mail's floor is another byte, the door is open, and another list is no concern of it.
    let list = ListName::parse("toylist").unwrap();
    close(&mover(&stage), Range::floor(Floor::Mail, &list));
    close(&mover(&stage), door("toylist"));
    assert!(
        mover(&stage)
            .is_held(Range::floor(Floor::Web, &list))
            .unwrap()
    );
    stage.parity(&["upgrade", "reallist1"]).expect(0);
    // Back it goes at once, and says who was left.
    stage.parity(&["downgrade", "reallist1"]).expect(0);
    stage.write("go", "", 0o644);
    running.wait_with_output().unwrap();
    stage.parity(&words).expect(0);
}

#[test]
fn a_downgrade_is_not_held_up_by_a_request() {
    let stage = stage();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    put_slow_program(&stage, "b", false);
    let running = begun(&stage);
    let done = stage.parity(&["downgrade", "toylist", "--now"]).expect(0);
    done.says(&["left running: toylist: process ", "b/cgi-bin/admin"]);
    assert_eq!(get(&stage, "listinfo/toylist").by(), "tree a");
    stage.write("go", "", 0o644);
    running.wait_with_output().unwrap();
}

#[test]
fn the_lock_ends_with_the_last_child_of_the_program() {
    let stage = stage();
    put_slow_program(&stage, "a", true);
    let output = begun(&stage).wait_with_output().unwrap();
    assert!(output.status.success());
    let words = ["upgrade", "--all", "--closed", "200ms"];
    stage
        .parity(&words)
        .expect(1)
        .complains(&["still inside: toylist: "]);
    stage.write("go", "", 0o644);
    stage.parity(&["upgrade", "--all"]).expect(0);
}

#[test]
fn more_than_a_thousand_lists_wait_for_a_request_too() {
    let stage = stage();
    for n in 0..1_001 {
        stage.add_list(&format!("list{n}"));
    }
    put_slow_program(&stage, "a", false);
    let running = begun(&stage);
    let words = ["upgrade", "--all", "--closed", "200ms"];
    stage
        .parity(&words)
        .expect(1)
        .complains(&["still inside: toylist: process "]);
    stage.write("go", "", 0o644);
    running.wait_with_output().unwrap();
    stage.parity(&["upgrade", "--all"]).expect(0);
}

/// As a site that goes to a list manager without CGI programs.
pub(crate) fn without_cgi(stage: &Stage, web: &str) {
    let site = stage.read("site.toml");
    let (head, tail) = site.split_once("[trees.b]").unwrap();
    let tail = tail.replacen("\"mailman2\"", "\"mailman3\"", 1).replacen(
        "runners",
        &format!("domain = \"lists.example.org\"\nlmtp = \"127.0.0.1:1\"\n{web}runners"),
        1,
    );
    stage.write("site.toml", format!("{head}[trees.b]{tail}"), 0o644);
}

#[test]
fn a_tree_without_cgi_programs_leads_to_its_own_pages() {
    let stage = stage();
    without_cgi(
        &stage,
        "web = \"https://l.example.org/mm3/{list}.{domain}/\"\n",
    );
    stage.hand_parity(&["toylist"], &[]);
    let led = |url: &str, method: &str| {
        let mut command = request(&stage, url);
        command.env("REQUEST_METHOD", method);
        let got = answer(command, b"x=y");
        let location = got
            .header
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        format!("{} {}", got.by(), location.unwrap_or_default())
    };
    let its = "https://l.example.org/mm3/toylist.lists.example.org/";
    for url in [
        "listinfo/toylist",
        "admin/TOYLIST/members",
        "private/toylist.mbox/toylist.mbox",
    ] {
        assert_eq!(led(url, "GET"), format!("302 {its}"));
        assert_eq!(led(url, "HEAD"), format!("302 {its}"));
        assert_eq!(led(url, "POST"), format!("303 {its}"));
    }
    assert_eq!(get(&stage, "listinfo/reallist1").by(), "tree a");
    assert_eq!(get(&stage, "listinfo").by(), "tree a");
    // Committed: the overview is there, too.
    let text = stage.read("state/parity.toml");
    let text = text
        .replace("\"toylist\",\n", "")
        .replace("current = \"a\"", "current = \"b\"");
    stage.write("state/parity.toml", text, 0o644);
    assert_eq!(led("listinfo", "GET"), "302 https://l.example.org/mm3/");
    assert_eq!(led("listinfo/toylist", "GET"), format!("302 {its}"));
    // Mail's other spelling of a list is one here, where it names the page.
    assert_eq!(
        led("listinfo/toylist@lists.example.org", "GET"),
        format!("302 {its}")
    );
    // Without `web` there is nowhere to go.
    stage.write_site("");
    without_cgi(&stage, "");
    let got = get(&stage, "listinfo/toylist").expect_ours("503");
    assert!(got.stderr.contains("tree \"b\" has no `web`"), "{got:?}");
}

/// A profile of the admin's own, after that of tree b.
fn own_profile(stage: &Stage, web: &str) {
    let site = stage.read("site.toml");
    let (head, tail) = site.split_once("[trees.b]").unwrap();
    let tail = tail.replacen("\"mailman2\"", "\"own\"", 1);
    stage.write("site.toml", format!("{head}[trees.b]{tail}"), 0o644);
    stage.make_dir("profiles");
    let profile = format!(
        "format = 1\nabout = \"x\"\ncase = \"lower\"\n[verbs.post]\naddresses = [\"{{list}}\"]\n\
         argv = [\"{{tree}}/mail/mailman\", \"post\", \"{{list}}\"]\n{web}\n[lists]\nnonsense\n"
    );
    stage.write("profiles/own.toml", profile, 0o644);
}

#[test]
fn an_admins_own_profile_says_where_the_programs_are() {
    let stage = stage();
    stage.hand_parity(&["toylist"], &[]);
    own_profile(
        &stage,
        "[web]\nprogram = \"{tree}/web/{program}.py\"\nlists = [\"listinfo\", \"private\"]",
    );
    stage.make_dir("b/web");
    stage.write("b/web/listinfo.py", stage.read("b/cgi-bin/listinfo"), 0o755);
    stage.write("b/web/private.py", stage.read("b/cgi-bin/private"), 0o755);
    let got = get(&stage, "listinfo/toylist");
    assert!(
        got.shows(&format!(
            "argv {} ",
            stage.path("b/web/listinfo.py").display()
        )),
        "{got:?}"
    );
    // A link may have an ending of its own.
    symlink("../bin/mm-cgi", stage.path("cgi-bin/listinfo.cgi")).unwrap();
    assert_eq!(get(&stage, "listinfo.cgi/toylist").by(), "tree b");
    // What the other tree alone has is not here; it is where its own lists are.
    get(&stage, "admin/toylist").expect_ours("404");
    assert_eq!(get(&stage, "admin/reallist1").by(), "tree a");
    // THE TREES READ IT DIFFERENTLY. To a it is toylist, which is on b; to b it is toylist.mbox,
    // which is on a: nobody takes what it is sent to.
    let got = get(&stage, "private/toylist.mbox/toylist.mbox").expect_ours("503");
    assert!(got.stderr.contains("take different lists"), "{got:?}");
    // With both on b, b's reading counts.
    stage.hand_parity(&["toylist", "toylist.mbox"], &[]);
    assert_eq!(
        get(&stage, "private/toylist.mbox/toylist.mbox").by(),
        "tree b"
    );
    // A profile that is broken is in the way of its own tree's lists alone.
    own_profile(&stage, "[web]\nprogram = \"/web\"\nlists = []");
    get(&stage, "listinfo/toylist").expect_ours("503");
    assert_eq!(get(&stage, "listinfo/reallist1").by(), "tree a");
}

#[test]
fn a_guarded_trees_pages_are_its_own() {
    let stage = stage();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    assert!(
        stage
            .read("state/parity.toml")
            .contains("guarded = [\"b\"]")
    );
    stage.write(
        "b/cgi-bin/listinfo",
        "#!/bin/sh\nprintf 'Status: 500 X\\r\\n\\r\\ntree b\\n'\nexit 3\n",
        0o755,
    );
    let mut command = request(&stage, "listinfo/toylist");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let output = spawn(&mut command).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.starts_with(b"Status: 500 X\r\n"));
}

#[test]
fn a_person_is_told_what_a_request_would_get() {
    let stage = stage();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let told = |words: &[&str]| stage.run(stage.command("mm-cgi", words), b"");
    told(&["--explain", "listinfo", "/toylist"])
        .expect(0)
        .says(&[
            "tree         b (future)\nrelease      2.1.40\nabout        toylist\n",
            "b/cgi-bin/listinfo",
        ]);
    let done = told(&["--explain", "--tree", "a", "listinfo", "/toylist"]).expect(0);
    done.says(&["tree         a (current)", "a/cgi-bin/listinfo"]);
    let done = told(&["--explain", "listinfo"]).expect(0);
    done.says(&["tree         a (current)", "no list in particular"]);
    let done = told(&["--explain", "listinfo", "/.."]).expect(67);
    done.complains(&["a request would get 404"]);
    stage.parity(&["pause", "toylist"]).expect(0);
    let done = told(&["--explain", "listinfo", "/toylist"]).expect(75);
    done.complains(&["paused since", "a request would get 503"]);
    for (word, said) in [("--help", "usage: "), ("--version", "mm-cgi ")] {
        let mut command = Command::new(stage.path("bin/mm-cgi"));
        command.arg(word).env_clear();
        stage.run(command, b"").expect(0).says(&[said]);
    }
}
