//! mm-guard: run by mm-deliver for a guarded tree. See `guard`.
//!
//! The C library's `main`, as in mm-deliver, and for its reasons.

#![no_main]

use std::ffi::{c_char, c_int};

use mm_deliver::{guard, sysexits};

#[global_allocator]
static MEMORY: sysexits::KeepMail = sysexits::KeepMail;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the name by which the C library calls us")]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    sysexits::exit(guard::main(std::env::args_os().skip(1)))
}
