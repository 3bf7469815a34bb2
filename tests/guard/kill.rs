//! What a broken program does to a delivery, and what is left of it.

use std::fs;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::{Guarded, runs, until};

/// `[deliver] deadline` for a program that does not end by itself.
const SHORT: &str = "deadline = \"1s\"\n";

#[test]
fn every_status_but_0_keeps_the_message() {
    let guarded = Guarded::new("exit $1");
    for status in 0..=255 {
        let done = guarded.run_after("", &[&status.to_string()], b"m");
        match status {
            0 => assert_eq!(done.expect(0).stdout, ""),
            _ => {
                let done = done.expect_kept();
                let told = format!(" ended with status {status},");
                assert!(done.stderr.contains(&told), "{done:#?}");
            }
        }
    }
    let log = guarded.stage.read(&guarded.log());
    assert_eq!(log.lines().count(), 256);
    assert_eq!(log.matches("\t75\tstatus ").count(), 255);
    assert_eq!(log.matches("\t0\tstatus 0\t").count(), 1);
}

#[test]
fn every_signal_keeps_the_message() {
    let guarded = Guarded::new("kill -$1 $$\nexit 3");
    // Those that stop a program, and those that nobody minds.
    let other = [17, 18, 19, 20, 21, 22, 23, 28];
    let fatal = (1..=31)
        .chain(34..=64)
        .filter(|signal| !other.contains(signal));
    for signal in fatal {
        let done = guarded.run_after("ulimit -c 0", &[&signal.to_string()], b"m");
        let told = format!(" was killed by signal {signal},");
        done.expect_kept().complains(&[&told]);
    }
    let log = guarded.stage.read(&guarded.log());
    assert_eq!(log.matches("\t75\tsignal ").count(), 54);
}

#[test]
fn statuses_that_are_named_pass_and_no_others() {
    let guarded = Guarded::with(
        "echo no such user\nexit $1",
        "[probation]\npermanent = [67, 69]\n",
    );
    for status in ["67", "69"] {
        let done = guarded.run_after("", &[status], b"m");
        assert_eq!(done.status.map(|s| s.to_string()).as_deref(), Some(status));
        assert_eq!(
            (done.stdout.as_str(), done.stderr.as_str()),
            ("no such user\n", "")
        );
    }
    for status in ["68", "70", "75", "77"] {
        guarded.run_after("", &[status], b"m").expect_kept();
    }
}

#[test]
fn a_program_that_runs_out_of_memory_keeps_the_message() {
    let guarded = Guarded::new("ulimit -v 60000\nexec tail /dev/zero");
    guarded.run(b"m").expect_kept();
}

#[test]
fn a_program_that_hangs_is_ended_with_all_it_started() {
    let guarded = Guarded::with("sleep 90 &\necho $! > child\necho $$ > own\nwait", SHORT);
    guarded
        .run(b"m")
        .expect_kept()
        .complains(&["did not end in time"]);
    for name in ["child", "own"] {
        let pid = guarded.told(name);
        until("it ends", || !runs(&pid));
    }
    assert!(
        guarded
            .stage
            .read(&guarded.log())
            .contains("\t75\tdeadline\t")
    );
}

#[test]
fn a_program_that_ignores_the_signal_or_stops_is_killed() {
    for body in [
        "trap '' TERM HUP INT\nsh -c \"trap '' TERM; sleep 90\" &\necho $! > child\nwait\nwait\nsleep 90",
        "sleep 90 &\necho $! > child\nkill -STOP $$",
    ] {
        let guarded = Guarded::with(body, SHORT);
        guarded
            .run(b"m")
            .expect_kept()
            .complains(&["did not end in time"]);
        let pid = guarded.told("child");
        until("it ends", || !runs(&pid));
    }
}

#[test]
fn a_program_that_takes_its_end_for_success_keeps_the_message() {
    let guarded = Guarded::with("trap 'exit 0' TERM\nsleep 90 & wait", SHORT);
    guarded.run(b"m").expect_kept();
}

#[test]
fn a_child_that_works_on_is_left_alone_and_keeps_output_and_lock() {
    let guarded = Guarded::new(
        "{ read go < fifo; head -c 100000 /dev/zero && echo said && readlink /proc/self/fd/9 > lock\n\
         echo $? > finished; } &\necho $! > child\nexit 0",
    );
    mkfifo(&guarded, "fifo");
    // Its own output would not hold the MTA, nor end with it.
    let mut child = guarded.begin("");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop((child.stdout.take(), child.stderr.take()));
    let pid = guarded.told("child");
    assert!(runs(&pid));
    fs::write(guarded.path("fifo"), "go\n").unwrap();
    assert_eq!(guarded.told("finished"), "0");
    assert!(guarded.told("lock").ends_with("/lockfile"));
}

#[test]
fn a_child_that_reads_the_message_gets_it_whole() {
    let guarded = Guarded::new(
        "exec 3<&0\n{ while dd bs=50000 count=1 2> words; do grep -q '^0+0' words && break; sleep 0.02;\n\
         done <&3 > copy; wc -c < copy > size; } > /dev/null 2>&1 &\nexit 0",
    );
    let message = vec![b'x'; 2_000_000];
    guarded.run(&message).expect(0);
    assert_eq!(guarded.told("size"), "2000000");
}

#[test]
fn a_child_that_reads_late_gets_the_message_whole_wherever_it_went() {
    for (how, pause) in [("", "3"), ("setsid ", "1")] {
        let guarded = Guarded::new(&format!(
            "exec 3<&0\n{how}sh -c 'sleep {pause}; cat > copy; wc -c < copy > size' \
                 <&3 > /dev/null 2>&1 &\nexit 0"
        ));
        // More than a pipe holds, and less.
        for size in [2_000_000, 1_000] {
            guarded.run(&vec![b'x'; size]).expect(0);
            until("the child is done", || guarded.path("size").exists());
            assert_eq!(guarded.told("size"), size.to_string(), "{how}{pause}");
            fs::remove_file(guarded.path("size")).unwrap();
        }
    }
}

#[test]
fn a_child_that_never_reads_loses_nothing_and_holds_nobody_for_ever() {
    let guarded = Guarded::with(
        "exec 3<&0\n{ echo $$ > own; read go < fifo; cat > copy; wc -c < copy > size; } \
         <&3 > /dev/null 2>&1 &\nexit 0",
        SHORT,
    );
    mkfifo(&guarded, "fifo");
    let mut child = guarded.begin("");
    let mut stdin = child.stdin.take().unwrap();
    let message = vec![b'x'; 2_000_000];
    let writer = std::thread::spawn(move || stdin.write_all(&message));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // The guard has ended; the message is still the child's.
    fs::write(guarded.path("fifo"), "go\n").unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(guarded.told("size"), "2000000");
}

#[test]
fn a_signal_after_the_programs_end_ends_the_guard_and_not_the_delivery() {
    for body in ["echo $$ > child", "sleep 90 > /dev/null & echo $! > child"] {
        let guarded = Guarded::new(&format!("{body}\necho $$ > own\nexit 0"));
        let mut child = guarded.begin("");
        // Nobody writes the message's end: the guard waits for it.
        let stdin = child.stdin.take();
        let own = guarded.told("own");
        until("the program ends", || !runs(&own));
        kill("TERM", child.id());
        let begin = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{body}");
        assert!(begin.elapsed() < Duration::from_secs(20), "it stayed");
        drop(stdin);
        let pid = guarded.told("child");
        if runs(&pid) {
            kill("KILL", pid.parse().unwrap());
        }
    }
}

#[test]
fn what_a_program_leaves_of_the_message_is_read() {
    for body in [
        "exit 0",
        "sleep 5 > /dev/null & exit 0",
        "head -c 10 > /dev/null",
    ] {
        let guarded = Guarded::new(body);
        let mut child = guarded.begin("");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![b'x'; 2_000_000]).unwrap();
        drop(stdin);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{body}");
    }
}

#[test]
fn a_message_that_never_ends_does_not_change_a_delivery() {
    let guarded = Guarded::with("exit 0", SHORT);
    let mut child = guarded.begin("");
    let stdin = child.stdin.take();
    until("the guard ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

#[test]
fn a_program_that_closes_everything_is_judged_by_its_status() {
    for (status, expected) in [("0", 0), ("1", 75)] {
        let guarded = Guarded::new("exec 0<&- 1>&- 2>&- 9<&-\nexit $1");
        let done = guarded.run_after("", &[status], b"m");
        assert_eq!(done.status, Some(expected), "{done:#?}");
    }
}

#[test]
fn a_signal_to_the_guard_ends_the_program_and_keeps_the_message() {
    // Exim ignores some of them for its programs.
    for before in ["", "trap '' HUP INT QUIT TERM USR1 PIPE CHLD"] {
        for signal in ["HUP", "INT", "QUIT", "USR1", "ALRM", "TERM", "40"] {
            let guarded = Guarded::new("sleep 90 &\necho $! > child\nwait");
            let mut child = guarded.begin(before);
            let pid = guarded.told("child");
            kill(signal, child.id());
            assert_eq!(child.wait().unwrap().code(), Some(75), "{signal}");
            until("it ends", || !runs(&pid));
            assert!(
                guarded
                    .stage
                    .read(&guarded.log())
                    .contains("\t75\tstopped ")
            );
        }
    }
}

#[test]
fn a_program_dies_with_its_guard() {
    let guarded = Guarded::new("echo $$ > own\nexec sleep 90");
    let mut child = guarded.begin("");
    let pid = guarded.told("own");
    kill("KILL", child.id());
    child.wait().unwrap();
    until("it ends", || !runs(&pid));
}

#[test]
fn nobody_takes_a_message_that_the_mta_keeps() {
    for how in ["", "setsid "] {
        for ending in ["kill -9 $$", "exit 1", "sleep 90"] {
            let guarded = Guarded::with(
                &format!(
                    "{how}sh -c 'echo $$ > child; trap \"\" TERM; sleep 1; sleep 90' &\n\
                          while [ ! -s child ]; do sleep 0.01; done\n{ending}"
                ),
                SHORT,
            );
            guarded.run(b"m").expect_kept();
            let pid = guarded.told("child");
            assert!(!runs(&pid), "{how}{ending}: it runs beside the message");
        }
    }
}

#[test]
fn a_named_status_leaves_alone_who_works_on() {
    let guarded = Guarded::with(
        "sleep 90 > /dev/null &\necho $! > child\nexit 67",
        "[probation]\npermanent = [67]\n",
    );
    guarded.run(b"m").expect(67);
    let pid = guarded.told("child");
    assert!(runs(&pid));
    kill("KILL", pid.parse().unwrap());
}

/// Kernels forget PR_SET_PDEATHSIG for a set-group-ID program, as Mailman's wrapper is.
#[test]
fn an_mta_that_kills_its_programs_group_reaches_the_list_managers() {
    let guarded = Guarded::new("cut -d ' ' -f 5 /proc/$$/stat > group\nexec sleep 90");
    let mut child = guarded.begin("ulimit -c 0; cut -d ' ' -f 5 /proc/$$/stat > own");
    assert_eq!(guarded.told("group"), guarded.told("own"));
    kill("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn a_fault_after_a_delivery_does_not_double_it() {
    let guarded = Guarded::new("echo $$ > own\nexit 0");
    let mut child = guarded.begin("ulimit -c 0");
    let stdin = child.stdin.take();
    let pid = guarded.told("own");
    // Gone, not only dead: the guard has its status.
    until("it is buried", || {
        !fs::exists(format!("/proc/{pid}")).unwrap()
    });
    kill("SEGV", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}

#[test]
fn a_fault_of_the_guard_takes_the_program_along() {
    let guarded = Guarded::new("setsid sleep 90 &\necho $! > child\nwait");
    let mut child = guarded.begin("ulimit -c 0");
    let pid = guarded.told("child");
    kill("SEGV", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    until("it ends", || !runs(&pid));
}

#[test]
fn endless_output_takes_no_memory() {
    let guarded = Guarded::new(
        "exec 3>&1\nhead -c 8000000 /dev/zero\nfor n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; \
         stat -L -c %b /proc/self/fd/3 > blocks.new 2> /dev/null; done\nmv blocks.new blocks",
    );
    guarded.run(b"m").expect(0);
    let blocks: u64 = guarded.told("blocks").parse().unwrap();
    assert!(blocks * 512 <= 64 * 1024, "{blocks} blocks are still there");
}

#[test]
fn a_child_that_prints_for_ever_is_left_alone_and_takes_no_memory() {
    // 120 MB, each write judged; then it waits until hardly any of it is in memory.
    let guarded = Guarded::new(
        "exec 3>&1\nset -e\n{ read go < fifo\n\
         for n in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c 10000000 /dev/zero; done\n\
         for n in $(seq 300); do sleep 0.1; set -- $(stat -L -c '%s %b' /proc/self/fd/3)\n\
         [ $2 -gt 128 ] || break; done\n\
         readlink /proc/self/fd/0 /proc/self/fd/3 > own\necho $* > finished; } 2> said &\nexit 0",
    );
    mkfifo(&guarded, "fifo");
    let mut child = guarded.begin("");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    fs::write(guarded.path("fifo"), "go\n").unwrap();
    let told = guarded.told("finished");
    let (size, blocks) = told.split_once(' ').unwrap();
    assert_eq!(size, "120000000", "{}", guarded.stage.read("said"));
    let blocks: u64 = blocks.parse().unwrap();
    assert!(blocks * 512 <= 64 * 1024, "{blocks} blocks are still there");
    expect_no_trimmer(&guarded);
}

#[test]
fn who_trims_holds_neither_the_mta_nor_the_floor() {
    let guarded = Guarded::new("sleep 90 9<&- &\necho $! > child\nexit 0");
    let mut child = guarded.begin("");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let all = guards(&guarded);
    let [trimmer] = all.as_slice() else {
        panic!("{all:?} trim")
    };
    let held = || {
        let files = fs::read_dir(format!("/proc/{trimmer}/fd")).unwrap();
        let files = files.map(|file| fs::read_link(file.unwrap().path()).unwrap_or_default());
        files.collect::<Vec<_>>()
    };
    until("it has let go", || held().len() == 1);
    assert!(held()[0].to_string_lossy().contains("memfd:output"));
    let cwd = fs::read_link(format!("/proc/{trimmer}/cwd")).unwrap();
    assert_eq!(cwd, std::path::Path::new("/"));
    kill("KILL", guarded.told("child").parse().unwrap());
    expect_no_trimmer(&guarded);
}

/// Who trimmed ends by itself; if not, it is ended before the test fails.
#[track_caller]
fn expect_no_trimmer(guarded: &Guarded) {
    let begin = Instant::now();
    while !guards(guarded).is_empty() && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let left = guards(guarded);
    for pid in &left {
        kill("KILL", pid.parse().unwrap());
    }
    assert!(left.is_empty(), "{left:?} trims on");
}

/// The processes that run the stage's own mm-guard.
fn guards(guarded: &Guarded) -> Vec<String> {
    let program = guarded.path("bin/mm-guard");
    let all = fs::read_dir("/proc").unwrap().flatten();
    let its = all.filter(|one| fs::read_link(one.path().join("exe")).is_ok_and(|at| at == program));
    its.map(|one| one.file_name().to_string_lossy().into_owned())
        .filter(|pid| runs(pid))
        .collect()
}

#[test]
fn an_mta_that_reads_nothing_does_not_hold_the_guard() {
    let guarded = Guarded::new("head -c 100000 /dev/zero | tr '\\0' x\nexit 1");
    let mut child = guarded.begin("");
    drop(child.stdin.take());
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let begin = Instant::now();
    let mut child = guarded.begin("");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(begin.elapsed() < Duration::from_secs(60));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.starts_with("4.3.0 mm-guard: "));
}

fn kill(signal: &str, pid: u32) {
    let line = format!("kill -{signal} {pid}");
    let done = std::process::Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        .status();
    assert!(done.unwrap().success());
}

fn mkfifo(guarded: &Guarded, name: &str) {
    let done = std::process::Command::new("mkfifo")
        .arg(guarded.path(name))
        .status();
    assert!(done.unwrap().success());
}
