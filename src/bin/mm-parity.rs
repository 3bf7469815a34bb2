//! mm-parity: run by the admin. See `admin`.

use std::process::ExitCode;

use mm_deliver::admin;

fn main() -> ExitCode {
    ExitCode::from(admin::main(std::env::args_os()))
}
