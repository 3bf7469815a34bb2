//! mm-parity: run by the admin. See `admin`.

use std::process::ExitCode;

use mm_deliver::{admin, completion};

fn main() -> ExitCode {
    completion::answer("mm-parity", admin::command);
    ExitCode::from(admin::main(std::env::args_os()))
}
