//! mm-aliases: run by the admin and by cron. See `addresses`.

use std::process::ExitCode;

use mm_deliver::{addresses, completion};

fn main() -> ExitCode {
    completion::answer("mm-aliases", addresses::command);
    addresses::main(std::env::args_os())
}
