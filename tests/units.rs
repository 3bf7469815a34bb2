//! The cron files and the systemd units in contrib are valid, and every command in them is one
//! that our programs take.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mm_deliver::profile::Routing;
use mm_deliver::profiles::Profile;

use crate::stage::{Stage, spawn};

const PROGRAMS: [(&str, &str); 2] = [
    ("/usr/sbin/mm-parity", env!("CARGO_BIN_EXE_mm-parity")),
    ("/usr/sbin/mm-aliases", env!("CARGO_BIN_EXE_mm-aliases")),
];

/// What a list manager's own programs are told in the units of runners: words that they take.
const RUNNERS: [&[&str]; 6] = [
    &["/srv/mailman/%i/bin/mailmanctl", "-s", "-q", "start"],
    &["/srv/mailman/%i/bin/mailmanctl", "-q", "restart"],
    &["/srv/mailman/%i/bin/mailmanctl", "-q", "stop"],
    &["/srv/mailman3/%i/bin/mailman", "start", "--force"],
    &["/srv/mailman3/%i/bin/mailman", "restart"],
    &["/srv/mailman3/%i/bin/mailman", "stop"],
];

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(name)
}

fn units() -> Vec<(String, String)> {
    let directory = fs::read_dir(contrib("systemd")).unwrap();
    let mut units: Vec<(String, String)> = directory
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    units.sort();
    units
}

/// Asks the program itself: what stands before --help must be words that it takes.
#[track_caller]
fn check_command(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words == ["/bin/sleep", "5"] || RUNNERS.contains(&words.as_slice()) {
        return;
    }
    let program = PROGRAMS
        .iter()
        .find(|(installed, _)| *installed == words[0]);
    let (_, built) = program.unwrap_or_else(|| panic!("no program of ours: {line}"));
    let mut command = Command::new(built);
    command.args(&words[1..]).arg("--help").env_clear();
    command.stdout(std::process::Stdio::null());
    assert!(spawn(&mut command).wait().unwrap().success(), "{line}");
}

/// The keys that our units use, by section, and what their values look like.
fn check_key(section: &str, key: &str, value: &str) -> Result<(), String> {
    let is_path =
        |text: &str| text.starts_with('/') && !text.replace("%i", "").contains([' ', '%']);
    let is_unit = |text: &str| {
        let kinds = [".service", ".target"];
        kinds.iter().any(|kind| text.ends_with(kind)) && !text.contains(' ')
    };
    let sound = match (section, key) {
        ("Unit", "Description") => !value.is_empty(),
        ("Unit", "ConditionPathExists") | ("Path", "PathChanged") => is_path(value),
        ("Unit", "StartLimitIntervalSec") => value == "0",
        ("Unit", "After" | "Wants") => is_unit(value),
        ("Service", "Type") => ["oneshot", "forking"].contains(&value),
        ("Service", "ExecStart" | "ExecStartPre" | "ExecReload" | "ExecStop") => {
            is_path(value.split(' ').next().unwrap())
        }
        ("Service", "PIDFile") => is_path(value),
        ("Service", "User" | "Group") => value.bytes().all(|b| b.is_ascii_lowercase()),
        ("Service", "Environment") => value.split_once('=').is_some_and(|(_, path)| is_path(path)),
        ("Service", "Restart") => value == "on-failure",
        ("Service", "RestartSec") => value.parse::<u32>().is_ok(),
        ("Service", "SuccessExitStatus") => value.parse::<u8>().is_ok(),
        ("Service", "TimeoutStartSec") => value == "10min",
        ("Service", "ProtectSystem") => value == "strict",
        ("Service", "ProtectHome") => value == "read-only",
        ("Service", "PrivateTmp" | "NoNewPrivileges") | ("Timer", "Persistent") => value == "yes",
        ("Service", "Nice") => value.parse::<u8>().is_ok_and(|nice| nice < 20),
        ("Timer", "OnCalendar") => ["hourly", "*:0/10"].contains(&value),
        ("Timer", "RandomizedDelaySec") => value.parse::<u32>().is_ok(),
        ("Path", "Unit") | ("Install", "WantedBy") => is_unit(value),
        _ => return Err("no such key here".to_owned()),
    };
    if sound {
        Ok(())
    } else {
        Err("not its value".to_owned())
    }
}

/// Each section once, each line a key of it.
fn check_unit(name: &str, text: &str) -> Result<(), String> {
    let mut sections: Vec<&str> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let at = |what: String| format!("{name}:{}: {line:?}: {what}", n + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let section = section
                .strip_suffix(']')
                .ok_or_else(|| at("no ]".to_owned()))?;
            if sections.contains(&section) {
                return Err(at("twice".to_owned()));
            }
            sections.push(section);
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| at("no =".to_owned()))?;
        let section = sections.last().copied().unwrap_or_default();
        check_key(section, key, value).map_err(at)?;
    }
    let own = match name.rsplit_once('.') {
        Some((_, "service")) => "Service",
        Some((_, "timer")) => "Timer",
        Some((_, "path")) => "Path",
        _ => return Err(format!("{name}: no kind of unit that is known here")),
    };
    match sections.contains(&"Unit") && sections.contains(&own) {
        true => Ok(()),
        false => Err(format!("{name}: no [{own}]")),
    }
}

#[test]
fn each_unit_holds_known_sections_keys_and_values() {
    let units = units();
    assert_eq!(units.len(), 7);
    for (name, text) in &units {
        check_unit(name, text).unwrap();
    }
    // A judge that lets everything pass is none.
    for broken in [
        "[Unit]\nDescription=x\n[Service]\nExecStart=mm-parity check\n",
        "[Unit]\nDescription=x\n[Service]\nExecstart=/usr/sbin/mm-parity check\n",
        "[Unit]\nDescription=x\n[Service]\nExecStart /usr/sbin/mm-parity\n",
        "[Unit]\nDescription=x\n[Service\nType=oneshot\n",
        "[Unit]\nDescription=x\n[Unit]\nDescription=x\n[Service]\nType=oneshot\n",
        "[Unit]\nDescription=x\n",
    ] {
        assert!(check_unit("x.service", broken).is_err(), "{broken}");
    }
}

#[test]
fn each_timer_and_path_starts_a_unit_that_is_there() {
    let units = units();
    let has = |name: &str| units.iter().any(|(other, _)| other == name);
    for (name, text) in &units {
        let (stem, kind) = name.rsplit_once('.').unwrap();
        if kind == "service" {
            continue;
        }
        let named = text.lines().find_map(|line| line.strip_prefix("Unit="));
        let starts = named.map_or_else(|| format!("{stem}.service"), str::to_owned);
        assert!(has(&starts), "{name}: {starts}");
        assert!(text.contains("\n[Install]\nWantedBy="), "{name}");
    }
}

#[test]
fn each_command_of_a_unit_is_one_that_the_program_takes() {
    let mut count = 0;
    for (_, text) in units() {
        let lines = text.lines();
        for line in lines.filter(|line| line.starts_with("Exec")) {
            check_command(line.split_once('=').unwrap().1);
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        // The parser above has judged them.
        return;
    }
    let stage = Stage::bare();
    stage.make_dir("units");
    let mut command = Command::new(analyze);
    command.args(["verify", "--man=no"]);
    for (name, text) in units() {
        let built = PROGRAMS.iter().fold(text, |text, (installed, built)| {
            text.replace(installed, built)
        });
        // It looks whether the programs are there: any will do for those of a tree.
        let built = built
            .replace("/srv/mailman/%i/bin/mailmanctl", "/bin/true")
            .replace("/srv/mailman3/%i/bin/mailman ", "/bin/true ");
        stage.write(&format!("units/{name}"), built, 0o644);
        let instance = name.replace("@.", "@a.");
        command.arg(stage.path("units").join(instance));
    }
    let done = stage.run(command, b"");
    assert_eq!(
        (done.status, done.stderr.as_str()),
        (Some(0), ""),
        "{done:#?}"
    );
}

/// The five fields, the user and the command of a line of /etc/cron.d.
fn cron_line(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let most = [59, 23, 31, 12, 7];
    for most in most {
        let field = words.next()?;
        let (range, step) = field.split_once('/').unwrap_or((field, "1"));
        let number = |text: &str| text.parse::<u8>().is_ok_and(|n| n <= most);
        if !(range == "*" || number(range)) || !number(step) || step == "0" {
            return None;
        }
    }
    let command: Vec<&str> = match words.next()? {
        "root" => words.collect(),
        _ => return None,
    };
    // An unescaped % ends the command.
    let sound = !command.is_empty() && !line.contains('%');
    sound.then(|| command.join(" "))
}

/// The commands of a file for /etc/cron.d, those that are offered behind a # too.
fn cron_commands(name: &str) -> Vec<String> {
    let text = fs::read_to_string(contrib(name)).unwrap();
    assert!(
        text.ends_with('\n'),
        "cron ignores a last line without newline"
    );
    let mut commands = Vec::new();
    for line in text.lines() {
        // The one that is offered must be as sound once its # is away.
        let offered = line.strip_prefix('#');
        let is_offered = |rest: &&str| rest.starts_with(|c: char| c == '*' || c.is_ascii_digit());
        let line = offered.filter(is_offered).unwrap_or(line);
        let is_setting = ["SHELL=", "PATH=", "MAILTO="]
            .iter()
            .any(|key| line.starts_with(key));
        if line.is_empty() || line.starts_with('#') || is_setting {
            continue;
        }
        let command = cron_line(line).unwrap_or_else(|| panic!("not a line of cron: {line}"));
        check_command(&command);
        commands.push(command);
    }
    commands
}

#[test]
fn each_line_of_the_cron_file_is_one_that_cron_reads_and_each_command_ours() {
    assert_eq!(cron_commands("mm-deliver.cron").len(), 4);
    for broken in [
        "* * * * root x",
        "60 * * * * root x",
        "*/0 * * * * root x",
        "* * * * * x",
    ] {
        assert_eq!(cron_line(broken), None, "{broken}");
    }
}

#[test]
fn each_job_of_the_lists_cron_file_is_one_that_a_shipped_profile_names_and_none_is_missing() {
    let commands = cron_commands("mm-deliver-lists.cron");
    let mut jobs: Vec<&str> = commands
        .iter()
        .map(|line| line.strip_prefix("/usr/sbin/mm-parity cron ").unwrap())
        .collect();
    jobs.sort_unstable();
    let mut named: Vec<String> = ["mailman2", "mailman3", "mlmmj"]
        .iter()
        .flat_map(|name| {
            let text = Routing::shipped(name).unwrap().text;
            let profile = Profile::parse(text).unwrap();
            profile.cron().keys().cloned().collect::<Vec<_>>()
        })
        // By hand, once a year or so.
        .filter(|job| job != "bumpdigests")
        .collect();
    named.sort_unstable();
    assert_eq!(jobs, named);
}

#[test]
fn a_quiet_sync_speaks_only_where_something_changes_or_fails() {
    let stage = Stage::new();
    // It has something to leave: entries straight into a tree.
    assert_ne!(stage.aliases(&["sync"]).expect(0).stdout, "");
    assert_eq!(stage.aliases(&["sync", "--quiet"]).expect(0).stdout, "");
    stage.add_list("newlist");
    stage
        .aliases(&["sync", "--quiet"])
        .expect(0)
        .says(&["10 entries changed"]);
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .aliases(&["sync", "--quiet"])
        .expect(1)
        .complains(&["which lists there are cannot be told"]);
}
