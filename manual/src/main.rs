//! Writes the manual pages and the shells' completions into a directory: what the package has of them.
//!
//!     cargo run -p manual -- target/manual
//!
//! Pages of mm-parity and mm-aliases are made of their command lines, with the sections of `pages/*.more`
//! behind them; those of site.toml and profile.toml are the examples in contrib, which explain each key;
//! the others stand in `pages/`. One page a command, as git has them.
//!
//! **Invariants.** The same input gives the same bytes: no date but the one in `DATE`, no path of this
//! machine.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

type Done = Result<(), Box<dyn Error>>;

/// What stands at the foot of each page.
const SOURCE: &str = concat!("mm-deliver ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "mm-deliver";

/// The pages that are written by hand, each whole.
const PAGES: [(&str, &str); 5] = [
    ("mm-deliver.8", include_str!("../pages/mm-deliver.8")),
    ("mm-guard.8", include_str!("../pages/mm-guard.8")),
    ("mm-lmtp.8", include_str!("../pages/mm-lmtp.8")),
    ("mm-cgi.8", include_str!("../pages/mm-cgi.8")),
    (
        "mm-parity.toml.5",
        include_str!("../pages/mm-parity.toml.5"),
    ),
];

/// What follows on what the command line tells.
const MORE: [(&str, &str); 2] = [
    ("mm-parity", include_str!("../pages/mm-parity.more")),
    ("mm-aliases", include_str!("../pages/mm-aliases.more")),
];

/// The pages that are an example with its comments.
const EXAMPLES: [(&str, &str, &str, &str); 2] = [
    (
        "mm-site.toml",
        "what stands where: the site of mm-deliver",
        "/etc/mm-deliver/site.toml",
        include_str!("../../contrib/site.toml"),
    ),
    (
        "mm-profile.toml",
        "what a list manager looks like to mm-deliver",
        "/etc/mm-deliver/profiles/NAME.toml",
        include_str!("../../contrib/profile.toml"),
    ),
];

/// Where each shell looks, below /usr/share, and what it finds there: the program is asked, by its whole
/// path, since only root's PATH leads to it. zsh runs the file itself for the first TAB of a session, and
/// by then what the program has told of is not asked yet.
const SHELLS: [(&str, &str, &str, &str); 3] = [
    (
        "bash-completion/completions/",
        "",
        "",
        "eval \"$(MM_COMPLETE=bash /usr/sbin/PROGRAM)\"\n",
    ),
    (
        "zsh/vendor-completions/",
        "_",
        "",
        "#compdef PROGRAM\neval \"$(MM_COMPLETE=zsh /usr/sbin/PROGRAM)\"\n_clap_dynamic_completer_FUNCTION \
         \"$@\"\n",
    ),
    (
        "fish/vendor_completions.d/",
        "",
        ".fish",
        "MM_COMPLETE=fish /usr/sbin/PROGRAM | source\n",
    ),
];

/// What the words behind a command line's examples begin with where they are its statuses.
const STATUSES: &str = "Exit status: ";

fn main() -> Done {
    let out = std::env::args_os()
        .nth(1)
        .ok_or("usage: manual DIRECTORY")?;
    let out = PathBuf::from(out);
    for (name, text) in PAGES {
        write(&out.join("man").join(section(name)).join(name), text)?;
    }
    for (name, what, path, text) in EXAMPLES {
        let page = example(name, what, path, text);
        write(&out.join("man/man5").join(format!("{name}.5")), &page)?;
    }
    for command in [
        mm_deliver::admin::command(),
        mm_deliver::addresses::command(),
    ] {
        pages(&out.join("man/man8"), command)?;
    }
    for (directory, before, behind, text) in SHELLS {
        for program in ["mm-parity", "mm-aliases"] {
            let name = format!("{directory}{before}{program}{behind}");
            let text = text.replace("PROGRAM", program);
            let function = program.replace('-', "_");
            write(&out.join(name), &text.replace("FUNCTION", &function))?;
        }
    }
    Ok(())
}

/// `man8` of `mm-guard.8`.
fn section(name: &str) -> String {
    let number = name.rsplit('.').next().unwrap_or("8");
    format!("man{number}")
}

/// The pages of a program and of each of its commands.
fn pages(directory: &Path, command: Command) -> Done {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    let more = MORE.iter().find(|(of, _)| *of == name);
    page(
        directory,
        &name,
        command.clone(),
        more.map_or("", |(_, text)| text),
    )?;
    below(directory, &name, &command)
}

fn below(directory: &Path, parent: &str, command: &Command) -> Done {
    for inner in command.get_subcommands() {
        let name = format!("{parent}-{}", inner.get_name());
        let words = name
            .replacen('-', "\u{0}", 1)
            .replace('-', " ")
            .replace('\u{0}', "-");
        let words = spelled(&words, inner.get_name());
        // clap wants a name that lives for ever.
        let for_ever: &'static str = Box::leak(name.clone().into_boxed_str());
        let page_of = inner.clone().bin_name(words).name(for_ever);
        let also = format!(".SH SEE ALSO\n.BR {} (8)\n", roff(parent));
        page(directory, &name, page_of, &also)?;
        below(directory, &name, inner)?;
    }
    Ok(())
}

/// `mm-parity may-install`, not `mm-parity may install`.
fn spelled(words: &str, last: &str) -> String {
    let apart = last.replace('-', " ");
    match words.strip_suffix(&apart) {
        Some(before) => format!("{before}{last}"),
        None => words.to_owned(),
    }
}

fn page(directory: &Path, name: &str, command: Command, more: &str) -> Done {
    let man = Man::new(command)
        .title(name.to_uppercase())
        .section("8")
        .source(SOURCE)
        .manual(MANUAL);
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut text = String::from_utf8(text)?
        .replace(&format!(".SH EXTRA\n{STATUSES}"), ".SH EXIT STATUS\n")
        .replace(&format!("\n{STATUSES}"), "\n.SH EXIT STATUS\n")
        .replace(".SH EXTRA\n", ".SH EXAMPLES\n");
    if !text.contains(".SH EXIT STATUS\n") {
        let program: Vec<&str> = name.split('-').take(2).collect();
        text += &format!(
            ".SH EXIT STATUS\nAs\n.BR {} (8)\ntells.\n",
            roff(&program.join("-"))
        );
    }
    text += more;
    write(&directory.join(format!("{name}.8")), &text)
}

/// A page that is an example with its comments.
fn example(name: &str, what: &str, path: &str, text: &str) -> String {
    let mut page = format!(
        ".TH {} 5 \"\" \"{SOURCE}\" \"{MANUAL}\"\n.SH NAME\n{} \\- {what}\n.SH FILE\n.I {}\n.SH \
         DESCRIPTION\nEach key, where it stands, with what it is for. What has no\n.B #\nbefore it \
         is what this example says.\n.PP\n.nf\n",
        roff(&name.to_uppercase()),
        roff(name),
        roff(path)
    );
    for line in text.lines() {
        let line = roff(line);
        let guard = if line.starts_with(['.', '\'']) {
            "\\&"
        } else {
            ""
        };
        page += &format!("{guard}{line}\n");
    }
    page + ".fi\n.SH SEE ALSO\n.BR mm\\-parity (8),\n.BR mm\\-deliver (8)\n"
}

fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn write(path: &Path, text: &str) -> Done {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)?;
    Ok(())
}
