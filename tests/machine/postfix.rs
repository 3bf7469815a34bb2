//! Mail through a real Postfix: before, while and after lists move, no byte is changed, no
//! message is lost, doubled or bounced, and each one goes to the tree that parity names.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::readers::OnDrop;
use crate::rig::{HOST, Machine, VERBS, sender};

const LISTS: [&str; 3] = ["quietlist", "reallist1", "toylist"];
const DELIVER: &str = "/usr/lib/mm-deliver/mm-deliver";
const DIRECT: &str = "/srv/mailman/a/mail/mailman";
const PARITY: &str = "/var/lib/mm-deliver/parity.toml";

/// A message with what mail software likes to change.
fn every_byte() -> Vec<u8> {
    let mut message = head("every byte");
    message.extend_from_slice(b"From the first line on\n.\n..dots\n");
    message.extend_from_slice(b">From quoted\n\nFrom here  on\nblanks at the end  \t \n");
    message.extend((0..=255).filter(|&b| b != b'\n' && b != b'\r'));
    message
        .extend_from_slice(b"\nlatin-1 \xe4\xf6\xfc, NUL \0\0 in a line, broken UTF-8 \xc3\x28\n");
    message.extend(std::iter::repeat_n(b'x', 5_000));
    message.extend_from_slice(b"\n\n\nthe end\n");
    message
}

/// Twenty megabytes that do not repeat.
fn twenty_megabytes() -> Vec<u8> {
    let mut message = head("twenty megabytes");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while message.len() < 20 * 1024 * 1024 {
        for _ in 0..11 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.to_le_bytes();
            message.extend(bytes.iter().map(|&b| match b {
                b'\n' | b'\r' => b'.',
                b => b,
            }));
        }
        message.push(b'\n');
    }
    message
}

fn small(subject: &str) -> Vec<u8> {
    let mut message = head(subject);
    message.extend_from_slice(b"hello\n");
    message
}

/// The fields that Postfix would add if they were missing, and an empty line.
fn head(subject: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: list@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{}@client.example>\nSubject: {subject}\nX-Latin: \u{e4}\n\n",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

/// A site as README describes it: nobody has moved, every alias goes through mm-deliver.
fn adopted() -> Machine {
    let machine = Machine::new(&LISTS);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine
}

/// Sends to each kind of address and looks at what arrives: Postfix must have run `program`,
/// and the mail of toylist and of quietlist, which nobody names, be in these trees.
#[track_caller]
fn check(machine: &Machine, stage: &str, program: &str, [toylist, quietlist]: [&str; 2]) {
    println!("| ==== {stage}: {program}, toylist on {toylist}, quietlist on {quietlist}");
    let every_byte = every_byte();
    let large = twenty_megabytes();
    let cases = [
        ("toylist", "post", "toylist", toylist, &every_byte),
        (
            "toylist-request",
            "request",
            "toylist",
            toylist,
            &every_byte,
        ),
        (
            "toylist-bounces+x=y",
            "bounces",
            "toylist",
            toylist,
            &every_byte,
        ),
        ("ToyList", "post", "toylist", toylist, &every_byte),
        ("quietlist", "post", "quietlist", quietlist, &every_byte),
        (
            "quietlist-owner",
            "owner",
            "quietlist",
            quietlist,
            &every_byte,
        ),
        ("toylist", "post", "toylist", toylist, &large),
    ];
    for (address, verb, list, tree, message) in cases {
        let (ran, got) = machine.send_and_take(address, message);
        let what = format!("{stage}, {address}");
        assert_eq!(ran, program, "{what}: the alias");
        assert_eq!(got.tree, tree, "{what}: the tree");
        let mailman = format!("/srv/mailman/{tree}/mail/mailman");
        assert_eq!(got.argv, [mailman.as_str(), verb, list], "{what}: argv");
        assert_eq!(got.user, (65534, 65534), "{what}: user and group");
        assert!(
            got.message() == message.as_slice(),
            "{what}: {} bytes were sent, {} arrived, or others",
            message.len(),
            got.message().len()
        );
        let variable = |name: &str| got.environment.get(name).map(String::as_str);
        assert_eq!(variable("SENDER"), Some(sender().as_str()), "{what}");
        let recipient = format!("{address}@{HOST}").to_lowercase();
        assert_eq!(
            variable("RECIPIENT").map(str::to_lowercase),
            Some(recipient),
            "{what}"
        );
        let extension = address.split_once('+').map(|(_, extension)| extension);
        assert_eq!(variable("EXTENSION"), extension, "{what}");
    }
    let mut client = machine.connect();
    for unknown in ["nosuchlist", "nosuchlist-request", "toylist-nosuch"] {
        let reply = client.ask(&format!("{unknown}@{HOST}")).unwrap();
        println!(
            "| RCPT TO:<{unknown}@{HOST}> -> {} {}",
            reply.code, reply.text
        );
        assert_eq!(reply.code, 550, "{stage}, {unknown}");
    }
    assert_eq!(
        machine.take().len(),
        0,
        "{stage}: more arrived than was sent"
    );
}

#[test]
fn postfix_hands_every_byte_to_the_tree_that_parity_names() {
    let machine = Machine::new(&LISTS);
    let aliases = fs::read(machine.path("/etc/aliases")).unwrap();
    check(&machine, "before adopt", DIRECT, ["a", "a"]);

    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-aliases check");
    check(&machine, "adopted", DELIVER, ["a", "a"]);

    machine.expect("mm-parity upgrade toylist");
    machine.expect("mm-parity status");
    check(&machine, "toylist upgraded", DELIVER, ["b", "a"]);

    machine.expect("mm-parity downgrade toylist");
    check(&machine, "toylist downgraded", DELIVER, ["a", "a"]);

    machine.expect("mm-parity upgrade --all");
    check(&machine, "all upgraded", DELIVER, ["b", "b"]);

    machine.expect("mm-parity commit");
    machine.expect("mm-parity status");
    check(&machine, "committed", DELIVER, ["b", "b"]);

    machine.expect("mm-parity commit --revert");
    check(&machine, "commit reverted", DELIVER, ["b", "b"]);

    machine.expect("mm-parity downgrade --all");
    check(&machine, "all downgraded", DELIVER, ["a", "a"]);

    machine.expect("mm-aliases unadopt");
    check(&machine, "unadopted", DIRECT, ["a", "a"]);
    let after = fs::read(machine.path("/etc/aliases")).unwrap();
    assert!(
        after == aliases,
        "unadopt left another file than adopt found"
    );
    machine.expect_no_bounce();
}

#[test]
fn postfix_runs_the_same_program_before_and_after_adopt() {
    let machine = Machine::new(&LISTS);
    let take = |stage: &str, program: &str| {
        println!("| ==== {stage}");
        VERBS.map(|(suffix, verb)| {
            let to = format!("toylist{suffix}");
            let (ran, got) = machine.send_and_take(&to, &small(stage));
            assert_eq!(ran, program, "{stage}");
            assert_eq!(got.argv[1..], [verb, "toylist"], "{stage}");
            (got.tree, got.argv, got.user)
        })
    };
    let before = take("direct", DIRECT);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    assert_eq!(take("adopted", DELIVER), before);
    machine.expect_no_bounce();
}

#[test]
fn postfix_keeps_mail_while_the_trees_program_is_gone() {
    let machine = adopted();
    machine.expect("mm-parity upgrade toylist");
    for (gone, away) in [
        ("/srv/mailman/b/mail/mailman", "/srv/mailman/b/mail/away"),
        ("/srv/mailman/b", "/srv/mailman/away"),
        (PARITY, "/var/lib/mm-deliver/away"),
        ("/etc/mm-deliver/site.toml", "/etc/mm-deliver/away"),
    ] {
        println!("| ==== {gone} is gone");
        machine.rename(gone, away);
        let id = machine.send("toylist", &every_byte());
        let line = machine.wait_for(&format!("{id}: to="), "status=");
        println!("| {line}");
        assert!(line.contains("status=deferred"), "{line}");
        assert!(line.contains("mm-deliver: "), "no reason of ours: {line}");
        assert!(line.contains("dsn=4.3.0"), "{line}");
        // Another try before it is mended changes nothing.
        machine.flush_in_vain(&id);
        machine.rename(away, gone);
        machine.flush();
        machine.wait_for(&id, ": removed");
        machine.show_log(&format!("{id}: to="));
        let got = machine.take_one();
        assert_eq!(got.tree, "b");
        assert!(got.message() == every_byte());
    }
    machine.expect_no_bounce();
}

#[test]
fn postfix_gives_waiting_mail_to_the_tree_that_a_list_went_back_to() {
    let machine = adopted();
    machine.expect("mm-parity upgrade toylist");
    machine.rename("/srv/mailman/b", "/srv/mailman/away");
    let id = machine.send("toylist", &small("taken back"));
    println!(
        "| {}",
        machine.wait_for(&format!("{id}: to="), "status=deferred")
    );
    // The future tree is gone altogether, and yet the list goes back.
    machine.expect("mm-parity downgrade toylist");
    machine.flush();
    machine.wait_for(&id, ": removed");
    machine.show_log(&format!("{id}: to="));
    assert_eq!(machine.take_one().tree, "a");
    machine.expect_no_bounce();
}

#[test]
fn postfix_keeps_a_paused_lists_mail_until_resume() {
    let machine = adopted();
    machine.expect("mm-parity pause toylist");
    let id = machine.send("toylist", &small("paused"));
    println!(
        "| {}",
        machine.wait_for(&format!("{id}: to="), "status=deferred")
    );
    let (_, other) = machine.send_and_take("quietlist", &small("not paused"));
    assert_eq!(other.tree, "a");
    machine.expect("mm-parity resume toylist");
    machine.flush();
    machine.wait_for(&id, ": removed");
    assert_eq!(machine.take_one().argv[1..], ["post", "toylist"]);
    machine.expect_no_bounce();
}

#[test]
fn postfix_loses_nothing_when_mail_is_queued_during_adopt() {
    let machine = Machine::new(&LISTS);
    // Deferred by a program that is missing, under the direct aliases.
    machine.rename("/srv/mailman/a/mail/mailman", "/srv/mailman/a/mail/away");
    let mut ids = Vec::new();
    for (suffix, _) in VERBS {
        ids.push(machine.send(&format!("toylist{suffix}"), &every_byte()));
        ids.push(machine.send(&format!("quietlist{suffix}"), &every_byte()));
    }
    for id in &ids {
        println!(
            "| {}",
            machine.wait_for(&format!("{id}: to="), "status=deferred")
        );
    }
    machine.rename("/srv/mailman/a/mail/away", "/srv/mailman/a/mail/mailman");
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    assert_eq!(machine.take().len(), 0);
    machine.flush();
    for id in &ids {
        machine.show_log(&format!("{id}: to="));
    }
    let got = machine.take();
    let mut found = BTreeMap::new();
    for delivery in &got {
        assert!(delivery.message() == every_byte());
        let count: &mut usize = found.entry((delivery.tree, &delivery.argv[2])).or_default();
        *count += 1;
    }
    println!("| delivered: {found:?}");
    let list = |tree, list: &str| found.get(&(tree, &list.to_owned())).copied();
    assert_eq!(list("b", "toylist"), Some(10));
    assert_eq!(list("a", "quietlist"), Some(10));
    assert_eq!(got.len(), 20);
    machine.expect_no_bounce();
}

#[test]
fn postfix_delivers_each_message_once_while_lists_move() {
    let machine = Machine::new(&LISTS);
    machine.expect("mm-parity init --current a");
    let addresses = [
        "toylist",
        "toylist-request",
        "toylist-bounces+x=y",
        "reallist1",
        "reallist1-owner",
        "quietlist",
    ];
    let done = AtomicBool::new(false);
    let sent = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Ends the senders also when a command below fails.
        let _guard = OnDrop(&done);
        for sender in 0..3 {
            let (machine, done, sent) = (&machine, &done, &sent);
            scope.spawn(move || keep_sending(machine, sender, &addresses, done, sent));
        }
        let rounds = [
            "mm-aliases adopt",
            "mm-parity upgrade toylist",
            "mm-parity downgrade toylist",
            "mm-parity upgrade --all",
            "mm-parity downgrade --all",
            "mm-parity upgrade toylist",
            "mm-parity commit --all",
            "mm-parity commit --revert",
            "mm-parity downgrade --all",
            "mm-aliases unadopt",
        ];
        for command in rounds.iter().chain(&rounds) {
            let before = sent.load(Ordering::Relaxed);
            machine.expect(command);
            // Let some mail through in each state.
            while sent.load(Ordering::Relaxed) < before + 40 {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    });
    machine.flush();
    let sent = sent.into_inner();
    let got = machine.take();
    let mut subjects = BTreeMap::<Vec<u8>, usize>::new();
    let mut trees = BTreeMap::<(&str, &str), usize>::new();
    for delivery in &got {
        let subject = delivery
            .message()
            .split(|&b| b == b'\n')
            .find(|line| line.starts_with(b"Subject: "))
            .unwrap();
        *subjects.entry(subject.to_vec()).or_default() += 1;
        *trees.entry((delivery.tree, &delivery.argv[2])).or_default() += 1;
    }
    let doubled = subjects.values().filter(|&&count| count > 1).count();
    println!(
        "| {sent} messages in {:.1} s: {} arrived, {doubled} of them more than once; by tree and list: {trees:?}",
        start.elapsed().as_secs_f32(),
        subjects.len()
    );
    println!(
        "| deferred on the way: {}",
        machine.count_log("status=deferred")
    );
    machine.show_log("status=deferred");
    assert_eq!(subjects.len(), sent, "messages were lost");
    assert_eq!(got.len(), sent, "messages arrived more than once");
    for list in ["toylist", "reallist1", "quietlist"] {
        for tree in ["a", "b"] {
            assert!(
                trees.contains_key(&(tree, list)),
                "no mail of {list} in {tree}"
            );
        }
    }
    machine.expect_no_bounce();
}

#[test]
fn postfix_a_torn_map_is_mended_by_sync() {
    let machine = Machine::new(&LISTS);
    let map = machine.path("/etc/aliases.db");
    let noise: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(151) ^ 0x5a).collect();
    // Before adopt no name is ours, and nothing would be looked up.
    fs::write(&map, "").unwrap();
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    for torn in [&b""[..], &noise] {
        for mend in ["mm-aliases sync", "mm-parity upgrade toylist"] {
            fs::write(&map, torn).unwrap();
            let check = machine.run("mm-aliases check");
            assert_eq!(check.status.code(), Some(2), "{mend}");
            let said = String::from_utf8_lossy(&check.stdout);
            assert!(said.contains("cannot be read"), "{mend}: {said}");
            machine.expect(mend);
            machine.expect("mm-aliases check");
        }
        machine.expect("mm-parity downgrade toylist");
    }
    let (ran, _) = machine.send_and_take("toylist", &small("mended"));
    assert_eq!(ran, DELIVER);
}

/// Sends one message after the other until it is told to stop.
fn keep_sending(
    machine: &Machine,
    sender_number: usize,
    addresses: &[&str],
    done: &AtomicBool,
    sent: &AtomicUsize,
) {
    let mut client = machine.connect();
    for (n, address) in addresses.iter().cycle().enumerate() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let message = small(&format!("sender {sender_number} message {n}"));
        let to = format!("{address}@{HOST}");
        client.send(&sender(), &to, &message).unwrap();
        sent.fetch_add(1, Ordering::Relaxed);
    }
}
