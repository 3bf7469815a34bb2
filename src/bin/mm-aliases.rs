//! mm-aliases: run by the admin and by cron. See `addresses`.

use std::process::ExitCode;

use mm_deliver::addresses;

fn main() -> ExitCode {
    addresses::main(std::env::args_os())
}
