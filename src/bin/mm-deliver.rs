//! mm-deliver: run by the MTA, once a message. See `deliver`.
//!
//! The C library's `main`, not Rust's: Rust's own start opens /dev/null in the place of a
//! closed descriptor, so that a message that never came would look like an empty one, and it
//! sets SIGPIPE to be ignored.

#![no_main]

use std::ffi::{c_char, c_int};

use mm_deliver::{deliver, sysexits};

#[global_allocator]
static MEMORY: sysexits::KeepMail = sysexits::KeepMail;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the name by which the C library calls us")]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    sysexits::exit(deliver::main(std::env::args_os().skip(1)))
}
