#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::rehearsal::outcome::{Change, Ending, Happened, Outcome, Sent};

/// A post to these members, as a list manager sends it the `run`-th time: what is others each time is.
fn outcome(members: usize, run: u32, edit: &dyn Fn(usize, String) -> Option<String>) -> Outcome {
    let sent = (0..members).filter_map(|n| {
        let text = format!(
            "Received: by mx; {run}\nMessage-ID: <{run}.{n}@x>\nDate: Sun, {run} Nov 2026\nFrom: ann@x\n\
             To: toylist@x\nSubject: hi\nList-Id: <toylist>\nX-Cookie: {:08x}\nContent-Type: multipart/mixed;\n \
             boundary=\"=={run}\"\n\n--=={run}\n\nhello\n{:016x}\n-- \ntoylist, the list\n--=={run}--\n",
            run.wrapping_mul(77_777_777),
            u64::from(run).wrapping_mul(7_777_777_777_777)
        );
        Some(Sent {
            from: format!("toylist-bounces+{n}@x"),
            to: vec![format!("member{n}@x")],
            message: edit(n, text)?.into_bytes(),
        })
    });
    Outcome {
        ending: Ending::Exited(0),
        printed: Vec::new(),
        sent: sent.collect(),
        changes: vec![Change {
            path: format!("lists/toylist/archive/{run}"),
            happened: Happened::Made,
        }],
        held: Some(0),
        data_version: Some(98),
        took: Duration::from_millis(900),
    }
}

fn plain(_: usize, text: String) -> Option<String> {
    Some(text)
}

/// So many messages, of which the future release makes what `future` says.
fn judged(count: u32, future: &dyn Fn(u32) -> Outcome) -> Findings {
    let rules = Rules {
        slower: 3,
        volatile: Vec::new(),
    };
    let mut judge = Judge::new(rules);
    for n in 0..count {
        judge.add(&trial(n, future(n)), true);
    }
    judge.end()
}

fn trial(n: u32, future: Outcome) -> Trial {
    Trial {
        letter: Letter {
            name: format!("toylist.mbox:{n}"),
            about: String::new(),
            verb: "post".to_owned(),
        },
        current: [
            outcome(14, n * 3 + 1, &plain),
            outcome(14, n * 3 + 2, &plain),
        ],
        future,
    }
}

#[test]
fn what_is_others_each_time_is_the_same() {
    let found = judged(20, &|n| outcome(14, n * 3 + 3, &plain));
    assert_eq!(
        found.worst,
        BTreeMap::from([(Verdict::Same, 20)]),
        "{:?}",
        found.groups
    );
    assert_eq!(found.status(), 0);
    assert!(found.within(&[Verdict::Same]).is_ok());
}

#[test]
fn every_seventh_recipient_who_is_lost_is_named() {
    let found = judged(20, &|n| {
        outcome(14, n * 3 + 3, &|member, text| {
            (member % 7 != 6).then_some(text)
        })
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::RecipientsLost, 20)]));
    assert_eq!(found.groups.len(), 1);
    assert_eq!(found.groups[0].count, 20);
    assert_eq!(
        found.groups[0].examples[0].new,
        "not to member13@x, member6@x"
    );
    assert_eq!(found.status(), 10);
    let against = found
        .within(&[Verdict::Same, Verdict::HeadersDiffer])
        .unwrap_err();
    assert_eq!(against, ["20 messages: recipients lost"]);
}

#[test]
fn one_word_of_a_footer_is_one_group_with_that_line() {
    let found = judged(20, &|n| {
        outcome(14, n * 3 + 3, &|_, text| {
            Some(text.replace("the list", "a list"))
        })
    });
    assert_eq!(found.groups.len(), 1, "{:?}", found.groups);
    let group = &found.groups[0];
    assert_eq!((group.verdict, group.count), (Verdict::TextDiffers, 20));
    assert_eq!(group.examples.len(), EXAMPLES);
    assert_eq!(group.examples[0].old, "toylist, the list");
    assert_eq!(group.examples[0].new, "toylist, a list");
}

#[test]
fn a_header_that_comes_or_says_something_else_is_told_by_its_name() {
    let found = judged(9, &|n| {
        outcome(14, n * 3 + 3, &|_, text| {
            let text = text.replace(
                "List-Id: <toylist>",
                &format!("List-Id: <toylist>\nX-New: {n}"),
            );
            Some(text.replace("Subject: hi", "Subject: [toy] hi"))
        })
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::HeadersDiffer, 9)]));
    let told: Vec<(&str, u64)> = found
        .groups
        .iter()
        .map(|group| (group.about.as_str(), group.count))
        .collect();
    assert_eq!(told, [("Subject", 9), ("X-New", 9)]);
    assert!(found.within(&[Verdict::HeadersDiffer]).is_ok());
}

#[test]
fn a_difference_in_half_of_the_runs_shows() {
    // A word, a recipient, and a cookie of another form, each in every second message.
    for edit in [
        (&|_, text: String| Some(text.replace("hello", "hullo")))
            as &dyn Fn(usize, String) -> Option<String>,
        &|n, text| (n != 3).then_some(text),
        &|_, text| Some(text.replace("X-Cookie: ", "X-Cookie: 00")),
    ] {
        let found = judged(20, &|n| match n % 2 {
            0 => outcome(14, n * 3 + 3, &plain),
            _ => outcome(14, n * 3 + 3, edit),
        });
        assert_eq!(found.worst[&Verdict::Same], 10, "{:?}", found.groups);
        assert_eq!(found.status(), 10);
    }
}

#[test]
fn who_fails_holds_or_takes_long_is_told() {
    let crash = |n: u32| {
        let mut future = outcome(14, n * 3 + 3, &plain);
        future.ending = Ending::Exited(1);
        future.printed = b"Traceback\nUnicodeError: x\n".to_vec();
        future
    };
    let found = judged(3, &crash);
    assert_eq!(found.worst, BTreeMap::from([(Verdict::Failed, 3)]));
    assert_eq!(
        found.groups[0].examples[0].new,
        "ended with status 1: UnicodeError: x"
    );
    let found = judged(3, &|n| Outcome {
        held: Some(1),
        ..outcome(14, n * 3 + 3, &plain)
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::HeldDifferently, 3)]));
    let found = judged(3, &|n| Outcome {
        took: Duration::from_secs(3),
        ..outcome(14, n * 3 + 3, &plain)
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::Slower, 3)]));
    let found = judged(3, &|n| Outcome {
        changes: Vec::new(),
        ..outcome(14, n * 3 + 3, &plain)
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::DataDiffer, 3)]));
    assert_eq!(
        found.groups[0].examples[0].old,
        "made: lists/toylist/archive/#"
    );
}

#[test]
fn one_transaction_for_all_is_as_good_as_one_for_each() {
    let found = judged(3, &|n| {
        let mut future = outcome(14, n * 3 + 3, &plain);
        let all = future
            .sent
            .iter()
            .flat_map(|sent| sent.to.clone())
            .collect();
        future.sent.truncate(1);
        future.sent[0].from = "toylist-bounces@x".to_owned();
        future.sent[0].to = all;
        future
    });
    // Nobody is lost; that bounces do not tell any more whose they are is told once.
    assert_eq!(found.worst, BTreeMap::from([(Verdict::HeadersDiffer, 3)]));
    let told: Vec<&str> = found
        .groups
        .iter()
        .map(|group| group.about.as_str())
        .collect();
    assert_eq!(told, ["Envelope sender"], "{:?}", found.groups);
}

#[test]
fn what_the_current_release_does_not_do_twice_is_not_judged_and_no_mail_is_not_fine() {
    let rules = || Rules {
        slower: 3,
        volatile: Vec::new(),
    };
    let mut judge = Judge::new(rules());
    let mut unsteady = trial(1, outcome(14, 9, &plain));
    unsteady.current[1].sent.pop();
    judge.add(&unsteady, true);
    let found = judge.end();
    assert_eq!((found.status(), found.not_judged()), (11, 1));
    assert!(found.within(&[Verdict::Same]).is_err());
    let none = Judge::new(rules()).end();
    assert_eq!(none.status(), 11);
    assert!(none.within(&Verdict::ALL).is_err());
    let mut built_in = Judge::new(rules());
    built_in.add(&trial(1, outcome(14, 9, &plain)), false);
    assert_eq!(built_in.end().status(), 11);
}

#[test]
fn memory_does_not_grow_with_what_differs() {
    let found = judged(400, &|n| {
        outcome(2, n * 3 + 3, &|_, text| {
            let word: String = (0..4)
                .map(|k| char::from(b'a' + u8::try_from((n >> (4 * k)) & 15).unwrap()))
                .collect();
            Some(text.replace("hello", &(word + &"x".repeat(9000))))
        })
    });
    assert!(found.groups.len() <= GROUPS && found.more > 0);
    assert!(
        found
            .groups
            .iter()
            .all(|group| group.examples[0].new.len() < KEPT + 100)
    );
}

#[test]
fn another_envelope_sender_is_told_once_for_all_recipients() {
    let found = judged(4, &|n| {
        let mut future = outcome(14, n * 3 + 3, &plain);
        for sent in &mut future.sent {
            sent.from = sent.from.replace("-bounces+", "-owner+");
        }
        future
    });
    assert_eq!(found.worst, BTreeMap::from([(Verdict::HeadersDiffer, 4)]));
    let told: Vec<(&str, u64)> = found
        .groups
        .iter()
        .map(|group| (group.about.as_str(), group.count))
        .collect();
    assert_eq!(told, [("Envelope sender", 4)]);
}

#[test]
fn who_takes_what_was_refused_has_not_failed() {
    let trial = trial(1, outcome(0, 9, &plain));
    let refusing = |outcome: &Outcome| Outcome {
        ending: Ending::Exited(65),
        sent: Vec::new(),
        ..outcome.clone()
    };
    let judged = |trial: Trial| {
        let mut judge = Judge::new(Rules {
            slower: 3,
            volatile: Vec::new(),
        });
        judge.add(&trial, true);
        judge.end().worst
    };
    let current = [refusing(&trial.current[0]), refusing(&trial.current[1])];
    let taken = Trial {
        current: current.clone(),
        ..trial.clone()
    };
    assert_eq!(
        judged(taken),
        BTreeMap::from([(Verdict::HeldDifferently, 1)])
    );
    // And who is sent what nobody got is told as well.
    let sent = Trial {
        current,
        future: outcome(3, 9, &plain),
        ..trial
    };
    assert_eq!(
        judged(sent),
        BTreeMap::from([(Verdict::RecipientsAdded, 1)])
    );
}

#[test]
fn what_is_one_messages_alone_makes_no_group_of_its_own() {
    let words = [
        "lunch",
        "dinner",
        "a walk",
        "Monday",
        "one more thing",
        "the house",
    ];
    let rules = Rules {
        slower: 3,
        volatile: Vec::new(),
    };
    let mut judge = Judge::new(rules);
    for (n, subject) in (0..).zip(words) {
        let of = |run: u32, prefix: &str, to: &str| {
            outcome(3, n * 3 + run, &|member, text| {
                let subject = format!("Subject: {prefix}{subject}\nX-To: <{to}{member}=x@lists>");
                Some(text.replace("Subject: hi", &subject))
            })
        };
        judge.add(
            &Trial {
                letter: Letter {
                    name: format!("toylist.mbox:{n}"),
                    about: format!("Ann <ann@x>, {subject}"),
                    verb: "post".to_owned(),
                },
                current: [of(1, "", "leave+member"), of(2, "", "leave+member")],
                future: of(3, "[toy] ", "out+member"),
            },
            true,
        );
    }
    let found = judge.end();
    let told: Vec<(&str, u64)> = found
        .groups
        .iter()
        .map(|group| (group.about.as_str(), group.count))
        .collect();
    assert_eq!(told, [("Subject", 6), ("X-To", 6)], "{:#?}", found.groups);
}

#[test]
fn a_header_that_comes_by_turns_and_a_file_that_changes_by_turns_are_told_when_they_stay_away() {
    let mut judge = Judge::new(Rules {
        slower: 3,
        volatile: Vec::new(),
    });
    let of = |run: u32, is_there: bool| {
        let mut outcome = outcome(3, run, &|_, text| {
            let with = if is_there {
                "X-Turn: yes\nSubject:"
            } else {
                "Subject:"
            };
            Some(text.replace("Subject:", with))
        });
        if is_there {
            let path = "lists/toylist/digest.mbox".to_owned();
            let happened = Happened::Changed;
            outcome.changes.push(Change { path, happened });
        }
        outcome
    };
    // The current release has them in one of two runs, the future one never.
    for n in 0..20 {
        let is_first = n % 2 == 0;
        judge.add(
            &Trial {
                current: [of(n * 3 + 1, is_first), of(n * 3 + 2, !is_first)],
                ..trial(n, of(n * 3 + 3, false))
            },
            true,
        );
    }
    let found = judge.end();
    assert_eq!(found.worst, BTreeMap::from([(Verdict::Same, 20)]));
    assert_eq!(
        found.doubts,
        [
            "X-Turn: the current release has it by turns, in 50% of its runs, and the future one in 0%",
            "changed: lists/toylist/digest.mbox: the current release has it by turns, in 50% of its runs, \
             and the future one in 0%",
        ]
    );
    assert_eq!(found.status(), 11);
    assert!(found.within(&Verdict::ALL).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

    /// Whoever is left out of which half of the messages, and whichever words change in it: each shows.
    #[test]
    fn no_half_of_the_messages_is_hidden(which in proptest::collection::vec(proptest::prelude::any::<[bool; 2]>(), 1..12)) {
        let count = u32::try_from(which.len()).unwrap();
        let found = judged(count, &|n| {
            let [loses, says] = which[n as usize];
            outcome(14, n * 3 + 3, &|member, text| {
                let text = if says { text.replace("hello", "hullo") } else { text };
                (!loses || member != 5).then_some(text)
            })
        });
        let of = |is: fn(&[bool; 2]) -> bool| which.iter().filter(|one| is(one)).count() as u64;
        let having = |verdict| found.having.get(&verdict).copied().unwrap_or(0);
        proptest::prop_assert_eq!(having(Verdict::RecipientsLost), of(|one| one[0]));
        proptest::prop_assert_eq!(having(Verdict::TextDiffers), of(|one| one[1]));
        let same = found.worst.get(&Verdict::Same).copied().unwrap_or(0);
        proptest::prop_assert_eq!(same, of(|one| !one[0] && !one[1]));
    }
}

/// Whether the third of these messages is called the same as the first two.
fn is_same(runs: [&str; 2], future: &str) -> bool {
    let sent = |text: &str| Outcome {
        sent: vec![Sent {
            from: "l@x".to_owned(),
            to: vec!["a@x".to_owned()],
            message: text.as_bytes().to_vec(),
        }],
        ..outcome(0, 1, &plain)
    };
    let mut trial = trial(1, sent(future));
    trial.current = runs.map(sent);
    let mut judge = Judge::new(Rules {
        slower: 3,
        volatile: Vec::new(),
    });
    judge.add(&trial, true);
    judge.end().status() == 0
}

#[test]
fn nothing_that_a_reader_gets_is_beyond_comparison() {
    let part = |name: &str, tail: &str| {
        format!(
            "From: a@x\nMessage-ID: <1@x>\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMIME-Version: 1.0\n\
             Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/pdf\n\
             Content-Disposition: attachment; filename={name}\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n{tail}"
        )
    };
    let bill = part("bill.pdf", "");
    assert!(is_same([&bill, &bill], &bill));
    assert!(
        !is_same([&bill, &bill], &part("evil.exe", "")),
        "a file's name"
    );
    let (one, other) = (
        part("bill.pdf", "-- \nof friends\n"),
        part("bill.pdf", "-- \nof enemies\n"),
    );
    assert!(!is_same([&one, &one], &other), "behind the last part");
    let base64 = |text: &str| {
        format!(
            "From: a@x\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{text}\n-- \na footer\n"
        )
    };
    let (one, other) = (base64("aGVsbG8="), base64("UEFZIQ=="));
    assert!(!is_same([&one, &one], &other), "what cannot be decoded");
    let head =
        |id: &str, date: &str| format!("From: a@x\nMessage-ID: <{id}>\nDate: {date}\n\nhello\n");
    let (one, other) = (
        head("ann.1@x", "Sun, 22 Nov 2026 10:02:00 +0000"),
        head("ann.2@x", "Sun, 22 Nov 2026 10:02:00 +0000"),
    );
    assert!(!is_same([&one, &one], &other), "the author's Message-ID");
    let other = head("ann.2@x", "Sun, 22 Nov 2026 10:02:01 +0000");
    let third = head("ann.3@x", "Sun, 22 Nov 2026 10:02:09 +0000");
    assert!(
        is_same([&one, &other], &third),
        "one of the list manager's own"
    );
    let text = |text: &str| format!("From: a@x\n\n{text}\n");
    for (one, other) in [
        ("at 14:03", "at 14:07"),
        ("call 2125551234", "call 2125551239"),
        ("-- ", "--"),
    ] {
        assert!(!is_same([&text(one), &text(one)], &text(other)), "{one}");
    }
}
