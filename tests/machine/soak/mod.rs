//! The soak: a real Postfix takes numbered mail for fifty lists while they move at random, the
//! trees' programs crash, hang or are missing, mm-parity is killed, parity.toml is edited by
//! hand, and the disk is full for a while. Then the trees' own files are counted.
//!
//! It shows: every message that Postfix took is in exactly one tree exactly once, none went
//! back, and none was handled by the old tree after `upgrade` had returned.
//!
//! Not done to it: a SIGKILL of mm-deliver, or of a tree's program that has written and not yet
//! ended. Postfix then delivers again, with us or without: at-least-once is what it promises.
//!
//! `MM_SOAK_MESSAGES`, `MM_SOAK_SEED` and `MM_SOAK_SECONDS` (the time for moves, not for the
//! mail that waits at the end) change it; `tests/soak` sets them.

/// What the admin does: moves, and a kill of some.
mod admin;
/// The trees' files, counted.
mod count;
/// What goes wrong for a while.
mod faults;
/// The machine.
mod stage;
/// Which tree each list was on, and when.
mod stays;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use admin::Admin;
use faults::Faults;

use crate::numbered::Mail;
use crate::random::Random;
use crate::readers::OnDrop;

/// What is asked of one run.
struct Plan {
    messages: usize,
    seed: u64,
    time: Duration,
}

impl Plan {
    /// One move for twenty messages, one kill for a hundred.
    const MESSAGES_A_MOVE: usize = 20;
    const MESSAGES_A_KILL: usize = 100;

    fn from_environment() -> Plan {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")),
            Err(_) => default,
        };
        Plan {
            messages: usize::try_from(number("MM_SOAK_MESSAGES", 1000)).unwrap(),
            seed: number("MM_SOAK_SEED", 1),
            time: Duration::from_secs(number("MM_SOAK_SECONDS", 150)),
        }
    }

    /// How much of the plan is done, in messages.
    fn reached(&self, moves: usize, kills: usize) -> usize {
        (moves * Plan::MESSAGES_A_MOVE).min(kills * Plan::MESSAGES_A_KILL)
    }
}

#[test]
fn soak_every_message_is_in_one_tree_once() {
    let plan = Plan::from_environment();
    println!(
        "| {} messages, seed {}, at most {} s of moves",
        plan.messages,
        plan.seed,
        plan.time.as_secs()
    );
    let lists: Vec<String> = (0..50).map(|n| format!("list{n:02}")).collect();
    let machine = stage::set(&lists, plan.messages);
    let mail = Mail::new(&lists, plan.messages);
    let mut admin = Admin::new(&machine, &lists);
    let mut faults = Faults::new(&machine);
    let mut random = Random(plan.seed);
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Ends the senders also when an act below fails.
        let _end = OnDrop(&mail.done);
        for sender in 0..4 {
            let (mail, machine) = (&mail, &machine);
            let random = Random(plan.seed ^ ((sender + 1) << 32));
            scope.spawn(move || mail.keep_sending(machine, random));
        }
        loop {
            let reached = plan.reached(admin.moves, admin.kills);
            mail.allow(reached + 50);
            let all = reached >= plan.messages && mail.sent() >= plan.messages;
            if all || start.elapsed() > plan.time {
                break;
            }
            faults.turn(&mut random);
            admin.act(&mut random);
        }
        faults.end();
    });
    admin.resume_all();
    println!("| moves and mail took {} s", start.elapsed().as_secs());
    stage::drain(&machine);
    println!(
        "| the queue was empty after {} s",
        start.elapsed().as_secs()
    );
    let faults: BTreeMap<_, _> = faults.seen;
    println!("| went wrong: {faults:?}");
    admin.print();
    machine.expect("mm-aliases check");
    let found = count::recount(&machine, &mail.accepted(), admin.stays());
    found.print(&mail, &admin);
    found.expect_nothing_wrong();
    assert!(admin.moves > 0 && admin.kills > 0, "nothing was done to it");
}
