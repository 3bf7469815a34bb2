//! A machine with both web servers, two trees of CGI programs, and our configuration for each.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::http;
use crate::rig::{Host, account, base, free_port, programs, put, source};

/// The lists that there are, besides any number of unknown ones.
pub(super) const LISTS: [&str; 3] = ["reallist1", "reallist2", "toylist"];

/// As `contrib/apache/mm-deliver.conf` names them.
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

const SITE: &str = r#"owner = "root"
group = "list"
[trees.a]
root = "/srv/mailman/a"
profile = "mailman2"
queues = "/srv/mailman/a/qfiles"
runners = "none"
[trees.b]
root = "/srv/mailman/b"
profile = "mailman2"
queues = "/srv/mailman/b/qfiles"
runners = "none"
[data]
root = "/srv/mailman/var"
[aliases]
files = ["/etc/aliases"]
mta = "none"
[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["nobody"]
[web]
users = ["www-data"]
"#;

/// The site, up.
pub(super) struct Site {
    pub(super) host: Host,
    apache: u16,
    nginx: u16,
}

impl Site {
    /// Both servers run; all lists are on tree a, and b is ready.
    pub(super) fn new() -> Site {
        let (apache, nginx) = (free_port(), free_port());
        let host = Host::furnished(&base("web"), None, |run| furnish(run, apache, nginx));
        let site = Site {
            host,
            apache,
            nginx,
        };
        site.host.expect("mm-parity init --current a");
        site.host.expect("apache2ctl start");
        site.host.start_daemon(
            "setpriv --reuid=www-data --regid=www-data --clear-groups fcgiwrap -f -c 4 \
             -s unix:/run/web/fcgiwrap.socket",
        );
        site.until("a socket", || {
            site.host.path("/run/web/fcgiwrap.socket").exists()
        });
        site.host.expect("nginx");
        for (_, port) in site.servers() {
            site.until("an answer", || {
                http::get(port, "/mailman/listinfo").status == 200
            });
        }
        site
    }

    /// Each server, by its name, and its port.
    pub(super) fn servers(&self) -> [(&'static str, u16); 2] {
        [("apache", self.apache), ("nginx", self.nginx)]
    }

    /// Waits until it is so.
    #[track_caller]
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "waited in vain: {what}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn furnish(run: &Path, apache: u16, nginx: u16) {
    programs(run);
    put(
        &run.join("etc/mm-deliver/site.toml"),
        SITE.as_bytes(),
        0o644,
    );
    put(&run.join("etc/aliases"), b"root: nobody\n", 0o644);
    let mailman = run.join("srv/mailman");
    for list in LISTS {
        let config = mailman.join("var/lists").join(list).join("config.pck");
        put(&config, b"}q\x01(U\x0cdata_versionq\x02Kpu.", 0o660);
    }
    for (tree, release) in [("a", "2.1.39"), ("b", "2.1.40")] {
        furnish_tree(run, &mailman.join(tree), tree, release);
    }
    let links = run.join("programs/cgi-bin");
    fs::create_dir(&links).unwrap();
    for program in PROGRAMS {
        symlink("../mm-cgi", links.join(program)).unwrap();
    }
    put(&run.join("var/www/html/index.html"), b"hello\n", 0o644);
    servers(run, apache, nginx);
}

fn furnish_tree(run: &Path, root: &Path, tree: &str, release: &str) {
    let version = format!("VERSION = \"{release}\"\n");
    put(&root.join("Mailman/Version.py"), version.as_bytes(), 0o644);
    put(
        &root.join("mail/mailman"),
        b"#!/bin/sh\ncat >/dev/null\n",
        0o755,
    );
    fs::create_dir(root.join("qfiles")).unwrap();
    fs::create_dir(root.join("cgi-bin")).unwrap();
    fs::create_dir(root.join("hold")).unwrap();
    let built = root.join("cgi-bin/listinfo");
    let status = Command::new("gcc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
        .arg(&built)
        .arg(format!("-DTREE=\"{tree}\""))
        .arg(format!("-DRELEASE=\"{release}\""))
        .arg(format!("-DHOLD=\"/srv/mailman/{tree}/hold\""))
        .arg(source("web/cgi.c"))
        .status();
    assert!(status.unwrap().success(), "gcc failed");
    let (_, group) = account(run, "list");
    for program in PROGRAMS {
        let place = root.join("cgi-bin").join(program);
        if place != built {
            fs::copy(&built, &place).unwrap();
        }
        chown(&place, None, Some(group)).unwrap();
        let status = Command::new("chmod").arg("2755").arg(&place).status();
        assert!(status.unwrap().success());
        assert_eq!(fs::metadata(&place).unwrap().gid(), group);
    }
}

/// Debian's servers, each with what we ship for it, and a port of their own.
fn servers(run: &Path, apache: u16, nginx: u16) {
    let shipped = |name: &str| {
        let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
        fs::read_to_string(contrib.join(name)).unwrap()
    };
    let etc = run.join("etc");
    let ours = shipped("apache/mm-deliver.conf");
    put(
        &etc.join("apache2/conf-enabled/mm-deliver.conf"),
        ours.as_bytes(),
        0o644,
    );
    let ports = format!("ServerName lists.example.org\nListen 127.0.0.1:{apache}\n");
    put(&etc.join("apache2/ports.conf"), ports.as_bytes(), 0o644);
    put(
        &etc.join("nginx/snippets/mm-deliver.conf"),
        in_run(&shipped("nginx/mm-deliver.conf")).as_bytes(),
        0o644,
    );
    let server = format!(
        "server {{\n listen 127.0.0.1:{nginx};\n server_name lists.example.org;\n \
         root /var/www/html;\n include snippets/mm-deliver.conf;\n}}\n"
    );
    put(
        &etc.join("nginx/sites-enabled/lists"),
        server.as_bytes(),
        0o644,
    );
    let (user, group) = account(run, "www-data");
    let place = run.join("run/web");
    fs::create_dir(&place).unwrap();
    chown(place, Some(user), Some(group)).unwrap();
}

/// The socket in a directory of its user's: systemd makes it elsewhere, as root.
fn in_run(text: &str) -> String {
    let debian = "unix:/run/fcgiwrap.socket";
    assert!(text.contains(debian));
    text.replace(debian, "unix:/run/web/fcgiwrap.socket")
}
