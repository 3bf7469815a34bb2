//! What a tree's program may try in a room, and what comes of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mm_deliver::accounts::Account;
use mm_deliver::rehearsal::outcome::{Ending, Happened};
use mm_deliver::rehearsal::room::{Delivery, Layer, Limits, Plan, Room, Seen};

/// A tree and data of a list, and a room that shows them.
struct Site {
    top: PathBuf,
    plan: Plan,
}

impl Site {
    fn new(name: &str, user: &str) -> Site {
        let top = PathBuf::from(format!("/tmp/mm-room-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        for place in ["tree", "data/list", "scratch", "beside"] {
            fs::create_dir_all(top.join(place)).unwrap();
        }
        let user = Account::new(user).user().unwrap();
        fs::write(top.join("data/list/old"), "old\n").unwrap();
        fs::write(top.join("data/list/seen"), "seen\n").unwrap();
        fs::write(top.join("beside/secret"), "secret\n").unwrap();
        for path in ["data", "data/list", "data/list/old", "data/list/seen"] {
            std::os::unix::fs::chown(top.join(path), Some(user.uid), Some(user.gid)).unwrap();
        }
        let layers = ["tree", "data"].map(|name| Layer {
            at: top.join(name),
            lower: top.join(name),
        });
        let plan = Plan {
            scratch: top.join("scratch"),
            layers: layers.to_vec(),
            watched: top.join("data"),
            seen: Vec::new(),
            ports: vec![25],
            limits: Limits {
                time: Duration::from_secs(20),
                ..Limits::default()
            },
            runner: user.clone(),
            user,
            settle: None,
            queues: Vec::new(),
            start: None,
            environment: Vec::new(),
            held: Vec::new(),
        };
        Site { top, plan }
    }

    fn run(&self, room: &Room, script: &str) -> Seen {
        let script = script.replace("{top}", self.top.to_str().unwrap());
        let argv = ["/bin/bash", "-c", &script].map(Into::into).to_vec();
        let path = ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into());
        let delivery = Delivery {
            argv,
            environment: vec![path],
            message: Arc::new(b"Subject: x\n\nhello\n".to_vec()),
        };
        let seen = room.deliver(delivery, None).unwrap();
        println!("| {script:.100}: {:?}", seen.ending);
        println!(
            "|   {}",
            String::from_utf8_lossy(&seen.printed)
                .trim_end()
                .replace('\n', "\n|   ")
        );
        seen
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

fn said(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.printed).into_owned()
}

/// Every file below, with what an `ls` and a checksum would say.
fn listing(top: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let bytes = fs::read(&path).unwrap_or_default();
        all.push(format!(
            "{path:?} {:o} {} {} {}.{} {bytes:?}",
            meta.permissions().mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
        if meta.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    all.sort();
    all
}

#[test]
fn rehearsal_a_room_tells_what_was_sent_and_written_and_forgets_it() {
    let site = Site::new("tells", "nobody");
    let before = listing(&site.top);
    let room = Room::open(site.plan.clone()).unwrap();
    let script = "cat >/tmp/message
        cd {top}/data/list && echo new >>old && rm seen && echo 1 >made && touch {top}/tree/x; id -un; pwd
        exec 3<>/dev/tcp/127.0.0.1/25
        read -r line <&3; printf 'HELO x\\r\\nMAIL FROM:<l@x>\\r\\nRCPT TO:<a@x>\\r\\nDATA\\r\\n' >&3
        for i in 1 2 3 4; do read -r line <&3; done
        cat /tmp/message >&3; printf '.\\r\\n' >&3; read -r line <&3; echo \"$line\"; exit 3 ";
    for _ in 0..2 {
        let seen = site.run(&room, script);
        assert_eq!(seen.ending, Ending::Exited(3));
        assert_eq!(seen.sent.len(), 1);
        assert_eq!(seen.sent[0].message, b"Subject: x\n\nhello\n");
        assert_eq!(seen.sent[0].to, ["a@x"]);
        let changes: Vec<(Happened, &str)> = seen
            .changes
            .iter()
            .map(|change| (change.happened, change.path.as_str()))
            .collect();
        assert_eq!(
            changes,
            [
                (Happened::Made, "list/made"),
                (Happened::Changed, "list/old"),
                (Happened::Gone, "list/seen"),
            ]
        );
        assert!(said(&seen).contains("nobody\n"), "{}", said(&seen));
    }
    drop(room);
    // But for the directories of the scratch, which are empty.
    let after = listing(&site.top);
    let other: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(
        other.iter().all(|line| line.contains("/scratch")),
        "{other:?}"
    );
}

#[test]
fn rehearsal_what_works_on_in_the_background_is_waited_for() {
    let site = Site::new("background", "nobody");
    let room = Room::open(site.plan.clone()).unwrap();
    let seen = site.run(
        &room,
        "(sleep 1; echo late >{top}/data/list/late) >/dev/null 2>&1 & exit 0",
    );
    assert_eq!(seen.ending, Ending::Exited(0));
    assert_eq!(seen.changes.len(), 1, "{:?}", seen.changes);
    assert!(seen.took > Duration::from_millis(900));
}

#[test]
fn rehearsal_nothing_outside_is_seen_reached_or_changed_whoever_runs_in_there() {
    for user in ["nobody", "root"] {
        let site = Site::new(&format!("outside-{user}"), user);
        let before = listing(&site.top.join("beside"));
        let passwd = fs::read("/etc/passwd").unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let core = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = outside.local_addr().unwrap().port();
        let room = Room::open(site.plan.clone()).unwrap();
        let seen = site.run(
            &room,
            &format!(
                "exec 2>&1
                cat {{top}}/beside/secret
                echo evil >>/etc/passwd
                echo evil >/usr/bin/evil
                ls /srv /home /root /sys /var/lib
                mkdir /evil; ls -A /run /var
                mount -o remount,rw / ; mount -t tmpfs x /usr; umount /etc
                echo evil >/proc/sys/kernel/core_pattern; echo b >/proc/sysrq-trigger
                hostname evil
                mknod /tmp/disk b 254 0 && head -c 16 /tmp/disk
                kill -0 {0} && echo sees us
                ls -d /proc/[0-9]*; kill -9 1; kill -9 -1
                chroot /proc/1/root ls / ; ls /proc/1/root/ >/dev/null && echo root of the keeper
                unshare -r true && echo a user namespace
                (echo >/dev/tcp/127.0.0.1/{port}) && echo reached
                (echo >/dev/tcp/192.0.2.1/25) && echo out
                hostname
                true",
                std::process::id()
            ),
        );
        let said = said(&seen);
        for word in [
            "secret\n",
            "sees us",
            "reached",
            "out\n",
            "a user namespace",
            "root of the keeper",
        ] {
            assert!(!said.contains(word), "{user}: {word}: {said}");
        }
        assert_eq!(listing(&site.top.join("beside")), before);
        assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);
        assert!(!Path::new("/usr/bin/evil").exists());
        assert_eq!(
            fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
            host
        );
        assert_eq!(
            fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
            core
        );
    }
}

#[test]
fn rehearsal_who_wants_too_much_gets_an_end_and_the_next_message_a_fresh_room() {
    for user in ["nobody", "root"] {
        let mut site = Site::new(&format!("much-{user}"), user);
        site.plan.limits = Limits {
            time: Duration::from_secs(5),
            memory: 256 << 20,
            processes: 64,
            room: 16 << 20,
        };
        let room = Room::open(site.plan.clone()).unwrap();
        let seen = site.run(&room, "sleep 600");
        assert_eq!(seen.ending, Ending::TimeUp);
        let begin = Instant::now();
        let seen = site.run(
            &room,
            "exec 2>/dev/null; f() { f | f & }; f; while :; do f; done",
        );
        assert!(
            matches!(
                seen.ending,
                Ending::OverLimit | Ending::TimeUp | Ending::Exited(254)
            ),
            "{:?}",
            seen.ending
        );
        assert!(begin.elapsed() < Duration::from_secs(30));
        let seen = site.run(
            &room,
            "head -c 64M /dev/zero >{top}/data/list/full; head -c 64M /dev/zero >/tmp/full; echo done",
        );
        let ends = ["No space left", "File size limit", "File too large"];
        assert!(
            ends.iter().any(|end| said(&seen).contains(end)),
            "{}",
            said(&seen)
        );
        let seen = site.run(
            &room,
            "a=$(head -c 300M /dev/zero | tr '\\0' x); echo ${#a}",
        );
        assert!(!said(&seen).contains("314572800"), "{}", said(&seen));
        let seen = site.run(&room, "ls {top}/data/list /tmp; ls -d /proc/[0-9]* | wc -l");
        assert_eq!(seen.ending, Ending::Exited(0));
        assert!(said(&seen).contains("old\nseen\n"), "{}", said(&seen));
        assert!(!said(&seen).contains("full"), "{}", said(&seen));
    }
}

#[test]
fn rehearsal_what_is_made_to_lead_us_astray_leads_nowhere() {
    let site = Site::new("astray", "nobody");
    let room = Room::open(site.plan.clone()).unwrap();
    let script = "cd {top}/data/list && ln -s /etc/passwd link && mkfifo pipe && rm old && ln -s /dev/zero old
        perl -e 'for (1..5000) { mkdir q(d) and chdir q(d) or last }'; echo made";
    let begin = Instant::now();
    let seen = site.run(&room, script);
    assert!(said(&seen).contains("made"), "{}", said(&seen));
    let told: Vec<&str> = seen
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(told, ["list/link", "list/old", "list/pipe"]);
    // The room is fresh again all the same.
    let seen = site.run(&room, "ls {top}/data/list");
    assert_eq!(said(&seen), "old\nseen\n");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn rehearsal_no_device_key_pipe_or_socket_of_the_host_is_reached() {
    let beside = PathBuf::from(format!("/tmp/mm-room-{}-shown", std::process::id()));
    let _ = fs::remove_dir_all(&beside);
    fs::create_dir_all(&beside).unwrap();
    let live = std::os::unix::net::UnixListener::bind(beside.join("socket")).unwrap();
    live.set_nonblocking(true).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, beside.join("pipe"), 0o666.into()).unwrap();
    // Somebody reads it, as a service would.
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
    let pipe = rustix::fs::open(beside.join("pipe"), flags, rustix::fs::Mode::empty()).unwrap();
    fs::write(beside.join("file"), "shown\n").unwrap();
    for name in ["socket", "pipe"] {
        fs::set_permissions(beside.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let full = fs::metadata("/dev/full").unwrap();
    for user in ["nobody", "root"] {
        let mut site = Site::new(&format!("host-{user}"), user);
        site.plan.seen = vec![beside.clone()];
        let room = Room::open(site.plan.clone()).unwrap();
        let script = format!(
            "cat {0}/file; chmod 600 /dev/full; chown 1:1 /dev/full; exec 3>/dev/full && echo x >&3
            perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); print connect(S, sockaddr_un(q({0}/socket))) ? qq(connected\\n) : qq(no: $!\\n)'
            perl -MFcntl -e 'sysopen(P, q({0}/pipe), O_WRONLY|O_NONBLOCK) ? print qq(piped ), syswrite(P, q(x)), qq(\\n) : print qq(no pipe: $!\\n)'
            perl -e 'for (248, 249, 250, 319) {{ print syscall($_, 0, 0, 0, 0, 0), qq( $!\\n) }}'; true",
            beside.display()
        );
        for _ in 0..2 {
            let seen = site.run(&room, &script);
            let said = said(&seen);
            assert!(said.contains("shown\n"), "{user}: {said}");
            assert!(said.contains("No space left"), "{user}: {said}");
            for word in ["connected", "piped"] {
                assert!(!said.contains(word), "{user}: {word}: {said}");
            }
            if cfg!(target_arch = "x86_64") {
                let closed = said.matches("-1 Function not implemented").count();
                assert_eq!(closed, 4, "{user}: {said}");
            }
        }
        let now = fs::metadata("/dev/full").unwrap();
        assert_eq!(
            (now.mode(), now.uid(), now.gid()),
            (full.mode(), full.uid(), full.gid())
        );
    }
    assert!(live.accept().is_err(), "somebody came");
    assert!(rustix::io::read(&pipe, &mut [0]).is_err(), "somebody wrote");
    fs::remove_dir_all(&beside).unwrap();
}
