//! Web pages through a real Apache with mod_cgi and a real nginx with fcgiwrap, as Debian has them
//! and with the very files that contrib has; and in a real browser.

/// A real browser, led by its driver.
mod browser;
/// A client that mends nothing.
mod http;
/// What a rehearsal found, as a page.
mod rehearsal;
/// The machine.
mod site;

use std::fs;
use std::io::Write;

use browser::Browser;
use http::{Got, begin, end, get, head, post};
use site::Site;

use crate::guides::{commands, put_examples, typed};
use crate::rig::put;

/// The release of the tree that answers, as a page shows it.
fn release(got: &Got) -> &str {
    let at = got.body.find("release ").map(|at| at + "release ".len());
    let rest = at.map_or("", |at| &got.body[at..]);
    rest.split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()
        .unwrap_or_default()
}

const OLD: &str = "2.1.39";
const NEW: &str = "2.1.40";

#[test]
fn web_a_lists_url_is_the_same_wherever_it_is() {
    let site = Site::new();
    let check = |when: &str, toylist: &str, others: &str, overview: &str| {
        for (server, port) in site.servers() {
            let context = format!("{server}, {when}");
            let of = |target: &str| {
                let got = get(port, target);
                assert_eq!(got.status, 200, "{context}, {target}: {got:?}");
                release(&got).to_owned()
            };
            assert_eq!(of("/mailman/listinfo/toylist"), toylist, "{context}");
            assert_eq!(of("/mailman/listinfo/ToyList/"), toylist, "{context}");
            assert_eq!(of("/mailman/listinfo/reallist1"), others, "{context}");
            for none in [
                "/mailman/listinfo",
                "/mailman/listinfo/",
                "/mailman/listinfo/nosuch",
            ] {
                assert_eq!(of(none), overview, "{context}");
            }
            a_form(port, &context, toylist);
            println!("| {context}: toylist {toylist}, reallist1 {others}, all lists {overview}");
        }
    };
    check("at first", OLD, OLD, OLD);
    site.host.expect("mm-parity upgrade toylist");
    check("upgraded", NEW, OLD, OLD);
    site.host.expect("mm-parity downgrade toylist");
    check("downgraded", OLD, OLD, OLD);
    site.host.expect("mm-parity upgrade --all");
    check("all upgraded", NEW, NEW, OLD);
    site.host.expect("mm-parity commit");
    check("committed", NEW, NEW, NEW);
    site.host.expect("mm-parity commit --revert");
    check("reverted", NEW, NEW, OLD);
}

/// A form is sent, a cookie comes, and the way back leads to the same URL.
fn a_form(port: u16, context: &str, release_there: &str) {
    let sent = post(
        port,
        "/mailman/subscribe/toylist",
        b"x=1&email=a%2Bb%40example.org",
    );
    assert_eq!(sent.status, 303, "{context}: {sent:?}");
    let back = sent.header("Location").unwrap();
    assert!(
        back.ends_with("/mailman/listinfo/toylist"),
        "{context}: {sent:?}"
    );
    let cookie = sent
        .header("Set-Cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let mut request = head("GET", "/mailman/listinfo/toylist");
    request.extend(format!("Cookie: other=1; {cookie}\r\n\r\n").bytes());
    let got = end(begin(port, &request));
    assert!(
        got.body.contains("subscribed: a+b@example.org"),
        "{context}: {got:?}"
    );
    assert_eq!(release(&got), release_there, "{context}");
}

#[test]
fn web_a_body_of_5_mb_passes_and_what_fails_is_503() {
    let site = Site::new();
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sum = body
        .iter()
        .fold(0_u64, |sum, &byte| (sum * 31 + u64::from(byte)) % 1_000_003);
    let expected = format!("5000000 sum {sum}");
    let unavailable = |when: &str, got: &Got| {
        assert_eq!(got.status, 503, "{when}: {got:?}");
        assert!(got.header("Retry-After").is_some(), "{when}: {got:?}");
        assert!(
            got.body.contains("Nothing of what you sent"),
            "{when}: {got:?}"
        );
    };
    for (server, port) in site.servers() {
        let got = post(port, "/mailman/admin/toylist", &body);
        assert_eq!(
            got.says("body"),
            Some(expected.as_str()),
            "{server}: {}",
            got.header
        );
    }
    site.host.expect("mm-parity pause toylist");
    for (server, port) in site.servers() {
        let got = get(port, "/mailman/listinfo/toylist");
        unavailable(&format!("{server}, paused"), &got);
        assert!(
            got.body.contains("This mailing list is paused"),
            "{server}: {got:?}"
        );
        // Nobody takes the body, and the answer comes all the same.
        unavailable(
            &format!("{server}, paused, 5 MB"),
            &post(port, "/mailman/admin/toylist", &body),
        );
        assert_eq!(
            get(port, "/mailman/listinfo/reallist1").status,
            200,
            "{server}"
        );
        let mut request = head("HEAD", "/mailman/listinfo/toylist");
        request.extend(b"\r\n");
        let got = end(begin(port, &request));
        assert_eq!((got.status, got.body.as_str()), (503, ""), "{server}");
    }
    site.host.expect("mm-parity resume toylist");
    site.host.rename("/srv/mailman/a", "/srv/mailman/a.away");
    for (server, port) in site.servers() {
        unavailable(
            &format!("{server}, no tree"),
            &get(port, "/mailman/listinfo/toylist"),
        );
        unavailable(
            &format!("{server}, no tree"),
            &get(port, "/mailman/listinfo"),
        );
    }
    site.host.rename("/srv/mailman/a.away", "/srv/mailman/a");
    // The web server's own log says why, with the path that no visitor sees.
    let log = fs::read_to_string(site.host.path("/var/log/apache2/error.log")).unwrap();
    assert!(
        log.contains("mm-cgi: ") && log.contains("cgi-bin/listinfo"),
        "{log}"
    );
    assert!(log.contains("the list is paused since"), "{log}");
}

/// What a request names, and what becomes of it is right if the tree takes no list that is elsewhere.
const TARGETS: [&str; 26] = [
    "//mailman//listinfo//toylist",
    "/mailman/roster/toylist",
    "/mailman/roster//toylist",
    "/mailman/roster/./toylist",
    "/mailman/roster/../roster/toylist",
    "/mailman/roster/toylist/../reallist1",
    "/mailman/roster/reallist1/../toylist",
    "/mailman/roster/%2e%2e/toylist",
    "/mailman/roster/%2e/toylist",
    "/mailman/roster/toylist%2freallist1",
    "/mailman/roster/toylist%2f..%2freallist1",
    "/mailman/roster/%2ftoylist",
    "/mailman/roster/%74oy%6cist",
    "/mailman/roster/%2574oylist",
    "/mailman/roster/toylist%00reallist1",
    "/mailman/roster/toylist%00",
    "/mailman/roster/toylist%0d%0aSet-Cookie:%20evil=1",
    "/mailman/roster/%0atoylist",
    "/mailman/roster/toylist%0a/reallist1",
    "/mailman/roster/toylist%20/x",
    "/mailman/roster/toylist%7f",
    "/mailman/roster/toylist%c3%a9",
    "/mailman/roster/toylist%ff/..",
    "/mailman/roster/--site+x/toylist",
    "/mailman/roster/toylist;x",
    "/mailman/roster/toylist@lists.example.org",
];

#[test]
fn web_no_request_reaches_a_tree_that_its_list_is_not_on() {
    let site = Site::new();
    site.host.expect("mm-parity upgrade toylist");
    for (server, port) in site.servers() {
        let mut served = 0;
        for target in TARGETS {
            let got = get(port, target);
            let context = format!("{server}, {target}");
            assert!(
                !got.header.to_lowercase().contains("evil"),
                "{context}: {got:?}"
            );
            println!(
                "| {context}: {}, tree {}, list {}",
                got.status,
                got.says("tree").unwrap_or("-"),
                got.says("list").unwrap_or("-")
            );
            match got.status {
                200 if got.says("tree").is_some() => {
                    served += 1;
                    let expected = match got.says("list") {
                        Some("toylist") => "b",
                        _ => "a",
                    };
                    assert_eq!(got.says("tree"), Some(expected), "{context}: {got:?}");
                }
                200 => assert!(
                    !got.body.contains("toylist") || release(&got) == NEW,
                    "{context}"
                ),
                // The server's own, or ours: never a bare 500.
                301 | 302 | 400 | 403 | 404 => {}
                other => panic!("{context}: {other}: {got:?}"),
            }
        }
        assert!(served >= 4, "{server}: {served}");
        nothing_is_set_by_a_request(server, port);
    }
}

/// Arguments and the environment are the server's, and what a header may be.
fn nothing_is_set_by_a_request(server: &str, port: u16) {
    for query in ["--site+evil.toml", "--explain", "--help", "-x+y", "%0d%0ax"] {
        let got = get(port, &format!("/mailman/roster/toylist?{query}"));
        assert_eq!(got.says("tree"), Some("b"), "{server}, {query}: {got:?}");
        assert_eq!(got.says("argc"), Some("1"), "{server}, {query}: {got:?}");
    }
    let mut request = head("GET", "/mailman/roster/toylist");
    for line in [
        "Proxy: http://evil.example/",
        "MM_SITE: /tmp/evil.toml",
        "MM-SITE: /tmp/evil.toml",
        "X-Evil: evil",
        "Cookie: good=1",
    ] {
        request.extend(format!("{line}\r\n").bytes());
    }
    request.extend(b"\r\n");
    let got = end(begin(port, &request));
    assert_eq!(got.says("tree"), Some("b"), "{server}: {got:?}");
    assert!(
        !got.body.contains("evil") && !got.body.contains("MM_SITE"),
        "{server}: {got:?}"
    );
    for line in [
        "cwd /srv/mailman/b/cgi-bin",
        "env HTTP_COOKIE=good=1",
        "env PATH_INFO=/toylist",
        "env SCRIPT_NAME=/mailman/roster",
        "env SCRIPT_FILENAME=/srv/mailman/b/cgi-bin/roster",
        "env REQUEST_METHOD=GET",
        "env REMOTE_ADDR=127.0.0.1",
    ] {
        assert!(
            got.body.lines().any(|shown| shown == line),
            "{server}, {line}: {got:#?}"
        );
    }
    // The real group is the server's, and the program's own is the list manager's.
    let groups: Vec<&str> = got.says("groups").unwrap().split(' ').collect();
    assert_eq!(groups, ["33", "38"], "{server}");
}

/// Who is inside of toylist by the web, as `drain` says it.
fn is_inside(site: &Site) -> bool {
    let command = site
        .host
        .command("mm-parity drain toylist")
        .output()
        .unwrap();
    String::from_utf8_lossy(&command.stdout).contains("toylist, web: process")
}

/// A form of 1,000 bytes of which ten are sent.
fn slowly(port: u16) -> std::net::TcpStream {
    let mut request = head("POST", "/mailman/admin/toylist");
    request.extend(b"Content-Length: 1000\r\n\r\n0123456789");
    begin(port, &request)
}

#[test]
fn web_an_upgrade_waits_for_a_request_and_the_server_ends_a_slow_one() {
    let site = Site::new();
    let [(_, apache), (_, nginx)] = site.servers();
    // nginx takes the form whole first: nobody is inside, and it comes to the new release.
    let mut slow = slowly(nginx);
    site.host.expect("mm-parity upgrade toylist");
    slow.write_all(&[b'x'; 990]).unwrap();
    assert_eq!(end(slow).says("body").map(|said| &said[..5]), Some("1000 "));
    site.host.expect("mm-parity downgrade toylist");
    // Apache starts the program at once, and ends the request after Debian's time.
    let slow = slowly(apache);
    site.until("a request inside", || is_inside(&site));
    let refused = site.host.run("mm-parity upgrade toylist --closed 500ms");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("still inside: toylist: process") && said.contains("cgi-bin/admin"),
        "{said}"
    );
    site.host.expect("mm-parity upgrade toylist --closed 60s");
    drop(slow);
    site.host.expect("mm-parity downgrade toylist");
    // A client that hangs up is gone at once, its program with it.
    let slow = slowly(apache);
    site.until("a request inside", || is_inside(&site));
    drop(slow);
    site.until("its end", || !is_inside(&site));
    // One that comes while the doors are closed waits, and is then answered by the new release.
    for (server, port) in site.servers() {
        let mut held = head("GET", "/mailman/admin/toylist?hold");
        held.extend(b"\r\n");
        let held = begin(port, &held);
        site.until("a request inside", || is_inside(&site));
        let mut upgrade = site.host.command("mm-parity upgrade toylist --closed 60s");
        let upgrade = upgrade.spawn().unwrap();
        site.until("a closed door", || {
            let got = get(port, "/mailman/listinfo/toylist");
            got.status == 503 && got.body.contains("is being moved")
        });
        fs::write(site.host.path("/srv/mailman/a/hold/go"), "").unwrap();
        assert_eq!(release(&end(held)), OLD, "{server}");
        assert!(
            upgrade.wait_with_output().unwrap().status.success(),
            "{server}"
        );
        assert_eq!(
            release(&get(port, "/mailman/listinfo/toylist")),
            NEW,
            "{server}"
        );
        site.host.expect("mm-parity downgrade toylist");
        fs::remove_file(site.host.path("/srv/mailman/a/hold/go")).unwrap();
    }
}

#[test]
fn web_a_browser_sees_one_url() {
    let site = Site::new();
    let browser = Browser::new();
    for (server, port) in site.servers() {
        let url = format!("http://127.0.0.1:{port}/mailman/listinfo/toylist");
        let see = |expected: &str, who: &str| {
            let text = browser.wait_for(&[
                "toylist",
                &format!("release {expected}"),
                &format!("subscribed: {who}"),
            ]);
            assert_eq!(browser.url(), url, "{server}");
            println!("| {server}, {url}: {}", text.replace('\n', " | "));
        };
        browser.go(&url);
        see(OLD, "nobody");
        browser.type_into("#email", "alice@example.org");
        browser.click("#go");
        see(OLD, "alice@example.org");
        site.host.expect("mm-parity upgrade toylist");
        browser.reload();
        see(NEW, "alice@example.org");
        // A form that was shown by the one release is taken by the other.
        site.host.expect("mm-parity downgrade toylist");
        browser.type_into("#email", "bob@example.org");
        browser.click("#go");
        see(OLD, "bob@example.org");
        site.host.expect("mm-parity upgrade --all");
        site.host.expect("mm-parity commit");
        browser.reload();
        see(NEW, "bob@example.org");
        site.host.expect("mm-parity pause toylist");
        browser.reload();
        assert_eq!(browser.url(), url, "{server}");
        assert_eq!(
            browser.text("h1"),
            "This mailing list is paused",
            "{server}"
        );
        site.host.expect("mm-parity resume toylist");
        site.host.expect("mm-parity commit --revert");
        site.host.expect("mm-parity downgrade --all");
        browser.forget_cookies();
    }
}

/// What the page of the state is asked: whether it goes beyond the screen, how dark it is, and what
/// in it could run or load anything.
const LOOK: &str = "const page = document.documentElement; \
    const [red] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); \
    return [page.scrollWidth <= page.clientWidth, red < 128, \
        document.querySelectorAll('script, img, iframe, object, link, form, [onerror]').length];";

#[test]
fn web_a_browser_shows_the_state_of_a_site() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)><script>document.title='taken'</script>";
    let site = Site::new();
    let [(_, apache), _] = site.servers();
    let write = || {
        site.host
            .expect("mm-parity status --format html --output /var/www/html/state.html")
    };
    site.host.expect("mm-parity upgrade toylist");
    // A release whose program breaks, and says so in words that a page would run.
    let broken = format!("#!/bin/sh\necho \"{HOSTILE}\" >&2\nexit 1\n");
    let program = site.host.path("/srv/mailman/b/mail/mailman");
    fs::write(program, broken).unwrap();
    let as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups";
    let line = format!("{as_nobody} mm-deliver post toylist");
    let lost = site.host.run(&line);
    assert_eq!(lost.status.code(), Some(75));
    site.host.expect("mm-parity pause reallist2");
    write();

    let browser = Browser::new();
    browser.go(&format!("http://127.0.0.1:{apache}/state.html"));
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
            serde_json::json!([true, scheme == "dark", 0]),
            "{context}"
        );
        let text = browser.text("body");
        println!("| {context}: {}", text.replace('\n', " | "));
        for shown in [
            "1 of 3 lists on the future tree b 2.1.40",
            "Trouble",
            HOSTILE,
            "the last post for toylist",
            "2.1.39",
            "ready guarded",
            "reallist1",
            "paused",
            "mm-parity downgrade",
            "pause reallist2",
            "upgrade toylist",
        ] {
            assert!(text.contains(shown), "{context}: {shown} is not in {text}");
        }
        assert_ne!(
            browser.evaluate("return document.title"),
            "taken",
            "{context}"
        );
    }
    // What was taken back is gone from it as soon as it is written again.
    site.host.expect("mm-parity downgrade toylist");
    site.host.expect("mm-parity resume reallist2");
    write();
    browser.reload();
    let text = browser.text("body");
    assert!(text.contains("All 3 lists are on tree a 2.1.39"), "{text}");
}

#[test]
fn web_guide_is_what_one_types() {
    let site = Site::new();
    let host = &site.host;
    let ours = "/etc/apache2/conf-enabled/mm-deliver.conf";
    fs::remove_file(host.path(ours)).unwrap();
    fs::remove_file(host.path("/etc/nginx/snippets/mm-deliver.conf")).unwrap();
    let pages = || {
        let servers = site.servers().into_iter();
        let of = |(_, port)| get(port, "/mailman/listinfo/toylist").status;
        servers.map(of).collect::<Vec<_>>()
    };
    put_examples(host);
    // Debian's fcgiwrap is started by systemd, which makes its socket; so is what reloads.
    std::os::unix::fs::symlink(
        "/run/web/fcgiwrap.socket",
        host.path("/run/fcgiwrap.socket"),
    )
    .unwrap();
    let service = "#!/bin/sh\ncase \"$*\" in 'reload apache2') exec apache2ctl graceful ;; \
                   'reload nginx') exec nginx -s reload ;; esac\nexit 1\n";
    put(
        &host.path("/usr/lib/mm-deliver/systemctl"),
        service.as_bytes(),
        0o755,
    );
    let commands = commands("Install on Apache or nginx");
    assert!(commands.len() >= 7, "{commands:?}");
    for line in &commands {
        let (status, said) = typed(host, line);
        assert_eq!(status, Some(0), "{line}: {said}");
    }
    assert!(host.path(ours).exists());
    site.until("pages by what was typed", || pages() == [200, 200]);
    host.expect("mm-parity upgrade toylist");
    assert_eq!(pages(), [200, 200]);
}
