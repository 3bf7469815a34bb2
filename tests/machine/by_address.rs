//! Lists without aliases: the MTA's own transport tells mm-deliver an address. Postfix and Exim have
//! what contrib/by-address has, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::readers::OnDrop;
use crate::rig::{Agent, Answer, Exim, HOST, Machine, Postfix, VERBS, sender};

/// A list has another one's address.
const LISTS: [&str; 3] = ["quietlist", "toylist", "toylist-admin"];

fn message(subject: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: list@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{}@client.example>\nSubject: {subject}\n\nhello\n",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

fn contrib(name: &str) -> String {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contrib/by-address");
    fs::read_to_string(directory.join(name)).unwrap()
}

/// Postfix as contrib has it, for lists whose alias file names none.
fn postfix() -> Machine {
    let machine = without_aliases(&Postfix { kind: "hash" });
    append(
        &machine,
        "/etc/postfix/main.cf",
        &contrib("postfix-main.cf"),
    );
    append(
        &machine,
        "/etc/postfix/master.cf",
        &contrib("postfix-master.cf"),
    );
    fs::write(
        machine.path("/srv/postfix-recipients"),
        contrib("postfix-recipients"),
    )
    .unwrap();
    recipients(&machine);
    machine.expect("postfix reload");
    machine
}

fn recipients(machine: &Machine) {
    machine.expect(&format!(
        "sh /srv/postfix-recipients /srv/mailman/var/lists {HOST}"
    ));
}

/// The same of Exim.
fn exim() -> Machine {
    let machine = without_aliases(&Exim);
    let template = machine.path("/etc/exim4/exim4.conf.template");
    let text = fs::read_to_string(&template).unwrap();
    let mark = "\nbegin transports\n";
    assert_eq!(text.matches(mark).count(), 1, "{mark}");
    let [router, transport] = ["exim-router", "exim-transport"].map(contrib);
    let text = text.replace(mark, &format!("\n{router}{mark}{transport}\n"));
    fs::write(&template, text).unwrap();
    machine.expect("update-exim4.conf");
    let begun = machine.count_log("daemon started");
    // The root has no kill but a shell's own.
    fs::write(machine.path("/srv/reload"), "kill -HUP $(pidof -s exim4)\n").unwrap();
    machine.expect("sh /srv/reload");
    for _ in 0..600 {
        if machine.count_log("daemon started") > begun {
            return machine;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("Exim does not begin again");
}

/// A site that serves addresses; parity is made.
fn without_aliases(agent: &'static dyn Agent) -> Machine {
    let machine = Machine::with(agent, &LISTS);
    fs::write(
        machine.path("/etc/aliases"),
        "postmaster: root\nroot: sender\n",
    )
    .unwrap();
    machine.rebuild();
    fs::write(machine.path("/srv/mailman/var/.mm-deliver-data"), "").unwrap();
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    fs::write(
        &site,
        text.replace("[deliver]\n", "[deliver]\nrcpt = true\n"),
    )
    .unwrap();
    machine.expect("mm-parity init --current a");
    machine.expect("mm-parity check");
    machine
}

fn append(machine: &Machine, file: &str, text: &str) {
    let path = machine.path(file);
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}\n{text}")).unwrap();
}

/// Sends to every address: what arrives is what an alias would have brought.
#[track_caller]
fn check(machine: &Machine, stage: &str, tree: &str) {
    println!("| ==== {stage}: toylist in tree {tree}");
    let own = VERBS.map(|(suffix, verb)| (format!("toylist{suffix}"), verb, "toylist", tree));
    let others = [
        ("toylist-bounces+a.b=x.org", "bounces", "toylist", tree),
        ("toylist-confirm+0123abcd", "confirm", "toylist", tree),
        ("ToyList-Owner", "owner", "toylist", tree),
        ("toylist-admin-owner", "owner", "toylist-admin", "a"),
        ("quietlist", "post", "quietlist", "a"),
    ];
    let others = others.map(|(address, verb, list, tree)| (address.to_owned(), verb, list, tree));
    for (address, verb, list, tree) in own.into_iter().chain(others) {
        let (verb, list, tree) = match address.as_str() {
            // The list of that name wins it.
            "toylist-admin" => ("post", "toylist-admin", "a"),
            _ => (verb, list, tree),
        };
        let message = message(stage);
        let (ran, got) = machine.send_and_take(&address, &message);
        assert!(ran.ends_with("mm-deliver"), "{address}: {ran}");
        let mailman = format!("/srv/mailman/{tree}/mail/mailman");
        assert_eq!(
            got.argv,
            [mailman.as_str(), verb, list],
            "{stage}, {address}"
        );
        assert_eq!(got.user, machine.pipe_user(), "{stage}, {address}");
        let text = String::from_utf8_lossy(got.message());
        assert_eq!(
            text,
            String::from_utf8_lossy(&message),
            "{stage}, {address}"
        );
        let variable = |name: &str| got.environment.get(name).map(String::as_str);
        assert_eq!(variable("SENDER"), Some(sender().as_str()), "{address}");
        let recipient = variable("RECIPIENT").map(str::to_lowercase);
        assert_eq!(recipient, Some(format!("{address}@{HOST}").to_lowercase()));
        let extension = address.split_once('+').map(|(_, extension)| extension);
        assert_eq!(variable("EXTENSION"), extension, "{address}");
    }
}

/// Mail by address through this MTA: `made` tells it of a list that was made.
fn by_address(machine: &Machine, made: fn(&Machine)) {
    check(machine, "by address", "a");
    let mut client = machine.connect();
    for unknown in [
        "nosuchlist",
        "nosuchlist-owner",
        "toylist-nosuch",
        "../toylist",
        "--help",
        "-owner",
        "toylist/config.pck",
        "\"toylist\\@x\"",
    ] {
        let reply = client.ask(&format!("{unknown}@{HOST}")).unwrap();
        println!(
            "| RCPT TO:<{unknown}@{HOST}> -> {} {}",
            reply.code, reply.text
        );
        assert!((500..=559).contains(&reply.code), "{unknown}: {reply:?}");
    }

    println!("| ==== an empty sender");
    let reply = client.send("", &format!("toylist-bounces@{HOST}"), &message("bounce"));
    let id = machine.agent.queue_id(&reply.unwrap()).unwrap();
    machine.wait_until_delivered(&id);
    let got = machine.take_one();
    assert_eq!(got.argv[1..], ["bounces", "toylist"]);
    assert_eq!(got.environment.get("SENDER").map(String::as_str), Some(""));

    machine.expect("mm-parity upgrade toylist");
    check(machine, "upgraded", "b");

    println!("| ==== what cannot be delivered waits");
    machine.expect("mm-parity pause toylist");
    let id = machine.send("toylist", &message("paused"));
    println!("| {}", machine.wait_until_deferred(&id));
    machine.expect("mm-parity resume toylist");
    machine.flush();
    machine.wait_until_delivered(&id);
    assert_eq!(machine.take_one().tree, "b");
    machine.rename("/srv/mailman/b/mail/mailman", "/srv/mailman/b/mail/away");
    let id = machine.send("toylist-owner", &message("away"));
    println!("| {}", machine.wait_until_deferred(&id));
    machine.rename("/srv/mailman/b/mail/away", "/srv/mailman/b/mail/mailman");
    machine.flush();
    machine.wait_until_delivered(&id);
    assert_eq!(machine.take_one().argv[1..], ["owner", "toylist"]);

    println!("| ==== a list is made");
    make_list(machine, "newlist");
    made(machine);
    let (_, got) = machine.send_and_take("newlist-request", &message("new"));
    assert_eq!(got.argv[1..], ["request", "newlist"]);
    machine.expect("mm-parity downgrade toylist");
    check(machine, "downgraded", "a");
    machine.expect("mm-parity check");
    machine.expect_no_bounce();
}

fn make_list(machine: &Machine, name: &str) {
    let lists = machine.path("/srv/mailman/var/lists");
    fs::create_dir(lists.join(name)).unwrap();
    let config = lists.join("toylist/config.pck");
    fs::copy(config, lists.join(name).join("config.pck")).unwrap();
}

/// Mail while lists move: each message arrives once.
fn while_lists_move(machine: &Machine) {
    let addresses = [
        "toylist",
        "toylist-bounces+x=y",
        "toylist-admin",
        "quietlist-owner",
    ];
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Ends the senders also when a command below fails.
        let _guard = OnDrop(&done);
        for number in 0..2 {
            let (done, sent) = (&done, &sent);
            scope.spawn(move || {
                let mut client = machine.connect();
                for (n, address) in addresses.iter().cycle().enumerate() {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let message = message(&format!("sender {number} message {n}"));
                    let to = format!("{address}@{HOST}");
                    client.send(&sender(), &to, &message).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for command in [
            "mm-parity upgrade toylist",
            "mm-parity downgrade toylist",
            "mm-parity upgrade --all",
            "mm-parity commit",
            "mm-parity commit --revert",
            "mm-parity downgrade --all",
        ] {
            let before = sent.load(Ordering::Relaxed);
            machine.expect(command);
            while sent.load(Ordering::Relaxed) < before + 20 {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    machine.flush();
    let got = machine.take();
    let (mut subjects, mut trees) = (BTreeMap::new(), BTreeMap::new());
    for delivery in &got {
        let mut lines = delivery.message().split(|&b| b == b'\n');
        let subject = lines.find(|line| line.starts_with(b"Subject: "));
        *subjects.entry(subject.unwrap().to_vec()).or_insert(0) += 1;
        *trees
            .entry((delivery.tree, delivery.argv[2].clone()))
            .or_insert(0) += 1;
    }
    let sent = sent.into_inner();
    println!(
        "| {sent} messages, {} arrived; by tree and list: {trees:?}",
        got.len()
    );
    assert_eq!(subjects.len(), sent, "messages were lost");
    assert_eq!(got.len(), sent, "messages arrived more than once");
    for list in LISTS {
        for tree in ["a", "b"] {
            let some = trees.contains_key(&(tree, list.to_owned()));
            assert!(some, "no mail of {list} in {tree}");
        }
    }
    machine.expect_no_bounce();
}

#[test]
fn postfix_takes_mail_by_address() {
    let machine = postfix();
    by_address(&machine, recipients);

    println!("| ==== a list called like a user");
    make_list(&machine, "sender");
    recipients(&machine);
    machine.send("sender", &message("a user's"));
    machine.flush();
    assert_eq!(machine.take().len(), 0, "the list got it");

    println!("| ==== lists that are not mounted are not taken for gone");
    let map = fs::read(machine.path("/etc/postfix/mm-lists.db")).unwrap();
    machine.rename("/srv/mailman/var", "/srv/mailman/away");
    let done = machine.run("sh /srv/postfix-recipients /srv/mailman/var/lists x.org");
    assert_eq!(done.status.code(), Some(1));
    assert!(fs::read(machine.path("/etc/postfix/mm-lists.db")).unwrap() == map);
}

#[test]
fn postfix_delivers_each_message_by_address_once_while_lists_move() {
    while_lists_move(&postfix());
}

#[test]
fn mta_exim_takes_mail_by_address() {
    let machine = exim();
    // It looks at the directory itself.
    by_address(&machine, |_| {});

    println!("| ==== a list called like an alias and one like a user");
    for name in ["postmaster", "sender"] {
        make_list(&machine, name);
        let answer = machine.look_up(name);
        println!("| {name}: {answer:?}");
        let is_a_lists = format!("{answer:?}").contains("mm_deliver");
        assert!(
            !is_a_lists && matches!(answer, Answer::Found(_)),
            "{answer:?}"
        );
    }
}

#[test]
fn mta_exim_delivers_each_message_by_address_once_while_lists_move() {
    while_lists_move(&exim());
}
