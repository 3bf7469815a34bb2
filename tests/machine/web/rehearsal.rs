//! The report of a rehearsal, read in a real browser from a file: without a server, without a script.

use std::time::Duration;

use mm_deliver::clock::Timestamp;
use mm_deliver::rehearsal::compare::{Judge, Rules};
use mm_deliver::rehearsal::outcome::{Change, Ending, Happened, Letter, Outcome, Sent, Trial};
use mm_deliver::rehearsal::report::{Played, Report, html};
use serde_json::json;

use super::LOOK;
use super::browser::Browser;

const HOSTILE: &str =
    "<img src=x onerror=alert(1)><script>document.title='taken'</script>\u{202e}evil";
const LINES: &str =
    "a line of many words, as people write them who have no newline, and who go on and on ";

/// A post to four members, as a list manager sends it the `run`-th time.
fn outcome(run: usize, footer: &str, members: usize) -> Outcome {
    let sent = (0..members).map(|member| Sent {
        from: format!("toylist-bounces+{member}@lists.example"),
        to: vec![format!("member{member}@example.org")],
        message: format!(
            "Message-ID: <{run}@lists.example>\nFrom: Ann <ann@example.org>\nSubject: [toylist] lunch\n\
             List-Id: <toylist.lists.example>\nList-Unsubscribe: <https://lists.example/options/toylist>\n\n\
             {LINES}{LINES}\n-- \n{footer}\n"
        )
        .into_bytes(),
    });
    Outcome {
        ending: Ending::Exited(0),
        printed: Vec::new(),
        sent: sent.collect(),
        changes: vec![Change {
            path: format!("archive/{run}"),
            happened: Happened::Made,
        }],
        held: Some(0),
        data_version: Some(98),
        took: Duration::from_millis(120),
    }
}

/// What the future release makes of the `n`-th message.
fn future(n: usize) -> Outcome {
    let footer = match n % 2 {
        0 => {
            "To leave: https://lists.example/leave/toylist, or write to toylist-leave@lists.example"
        }
        _ => FOOTER,
    };
    let mut future = outcome(n * 3 + 2, footer, if n % 7 == 6 { 3 } else { 4 });
    future.data_version = Some(112);
    for sent in &mut future.sent {
        let text = String::from_utf8_lossy(&sent.message).into_owned();
        let with = match n {
            3 => format!("X-Note: {HOSTILE}\nList-Id:"),
            _ => "List-Id:".to_owned(),
        };
        let text = text.replace("List-Id:", &with);
        let text = text.replace(
            "/options/toylist>",
            "/options/toylist>, <mailto:toylist-leave@lists.example>",
        );
        sent.message = text.into_bytes();
    }
    match n {
        5 => future.held = Some(1),
        11 => {
            future.ending = Ending::Exited(1);
            future.printed =
                format!("Traceback:\n{HOSTILE}\nLookupError: unknown encoding: x-sjis\n")
                    .into_bytes();
        }
        12 => future.took = Duration::from_secs(9),
        13 => future.changes.clear(),
        _ => {}
    }
    future
}

const FOOTER: &str =
    "To unsubscribe: https://lists.example/leave/toylist, or write to toylist-leave@lists.example";

fn report() -> Report {
    let mut judge = Judge::new(Rules {
        slower: 3,
        volatile: Vec::new(),
    });
    for n in 0..42 {
        let [one, mut other] = [0, 1].map(|run| outcome(n * 3 + run, FOOTER, 4));
        if n == 20 {
            other.sent.pop();
        }
        let letter = Letter {
            name: format!("toylist.mbox:{}", n * 40 + 1),
            about: format!(
                "Ann <ann@example.org>, {}",
                if n == 3 { HOSTILE } else { "lunch" }
            ),
            verb: "post".to_owned(),
        };
        judge.add(
            &Trial {
                letter,
                current: [one, other],
                future: future(n),
            },
            n > 2,
        );
    }
    let tree = |name: &str, release: &str| (name.to_owned(), release.to_owned());
    Report {
        when: Timestamp(1_796_000_000),
        command: "mm-parity rehearse toylist --report toylist.html".to_owned(),
        lists: vec![Played {
            list: "toylist".to_owned(),
            trees: [tree("a", "2.1.39"), tree("b", "2.1.40")],
            findings: judge.end(),
            seen: (39, 0),
            notes: vec![
                "2 messages of the archive have no recipient of this list: not played".to_owned(),
            ],
        }],
    }
}

#[test]
fn web_a_browser_shows_what_a_rehearsal_found() {
    let report = report();
    let browser = Browser::new();
    browser.open(&html(&report));
    for (width, scheme) in [
        (1_100, "light"),
        (1_100, "dark"),
        (390, "light"),
        (390, "dark"),
    ] {
        browser.look_like(width, scheme);
        let context = format!("{width} points, {scheme}");
        assert_eq!(
            browser.evaluate(LOOK),
            json!([true, scheme == "dark", 0]),
            "{context}"
        );
        let text = browser.text("body");
        for shown in [
            "toylist: 41 of 42 messages come out otherwise; the worst: failed; 1 message could not be judged",
            "2.1.40",
            "LookupError: unknown encoding: x-sjis",
            "member3@example.org",
            "<img src=x onerror=alert(1)>",
            "\\u{202e}evil",
            "List-Unsubscribe",
            "version of the data afterwards: 112",
            "not judged",
        ] {
            assert!(text.contains(shown), "{context}: {shown} is not in {text}");
        }
        assert_ne!(
            browser.evaluate("return document.title"),
            "taken",
            "{context}"
        );
        filters_filter(&browser, &context);
    }
    // What differs is marked, word by word.
    let marked = "return ['del', 'ins'].map(kind => \
        [...document.querySelectorAll('.v-text ' + kind)].map(one => one.innerText).slice(0, 1))";
    assert_eq!(
        browser.evaluate(marked),
        json!([["unsubscribe"], ["leave"]])
    );
}

/// Each filter leaves its own differences, and `all` brings the others back.
fn filters_filter(browser: &Browser, context: &str) {
    const SEEN: &str = "return [...document.querySelectorAll('.group')]\
        .filter(one => one.getClientRects().length > 0)\
        .map(one => [...one.classList].find(name => name.startsWith('v-')))";
    let all = browser.evaluate(SEEN);
    let all: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one.as_str())
        .collect();
    for class in [
        "v-failed",
        "v-lost",
        "v-held",
        "v-text",
        "v-data",
        "v-headers",
        "v-slower",
        "v-unjudged",
    ] {
        let own: Vec<&str> = all.iter().copied().filter(|one| *one == class).collect();
        assert!(
            !own.is_empty() && own.len() < all.len(),
            "{context}: {class} of {all:?}"
        );
        browser.click(&format!("label.{class}"));
        assert_eq!(browser.evaluate(SEEN), json!(own), "{context}: {class}");
    }
    browser.click("label.v-all");
    assert_eq!(browser.evaluate(SEEN), json!(all), "{context}");
}
