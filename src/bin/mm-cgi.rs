//! mm-cgi: run by the web server, once a request, under the name of each CGI program. See `cgi`.
//!
//! The C library's `main`, not Rust's, for mm-deliver's reasons.

#![no_main]

use std::ffi::{c_char, c_int};

use mm_deliver::{cgi, sysexits};

#[global_allocator]
static MEMORY: sysexits::KeepMail = sysexits::KeepMail;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the name by which the C library calls us")]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    sysexits::exit(cgi::main(std::env::args_os()))
}
