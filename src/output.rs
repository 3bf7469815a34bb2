//! What a guarded program prints: a file without a name.
//!
//! No pipe: who works on in the background neither holds the MTA, which waits for the pipe's
//! end, nor dies of SIGPIPE. In memory: a delivering user may have no directory to write in, or a
//! full one. Of what is printed only the beginning and the end stay there, also after the guard
//! has ended: see [`Output::trim_on`].
//!
//! **Invariants.** No write of the program's fails or waits for our sake. Whoever trims holds
//! nothing of the MTA's, nor the lock, and ends with the last one who could print.

#![expect(unsafe_code, reason = "std has no memfd_create, fallocate and fork")]

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::sysexits;

/// So many bytes are kept of the beginning of what a program prints: what is passed on.
pub const KEPT_HEAD: u64 = 16 * 1024;
/// And so many of its end.
const KEPT_TAIL: u64 = 4 * 1024;

/// How often an output that grows is trimmed once the guard has ended, and one that does not.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// What is kept of what a program prints.
#[derive(Debug)]
pub struct Output {
    file: File,
}

impl Output {
    /// An empty one, shared by all that get a copy.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Output> {
        // SAFETY: the name is a NUL-terminated constant; the descriptor is new and nobody else's.
        let file = unsafe {
            match libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                fd => File::from_raw_fd(fd),
            }
        };
        // Always at its end, also after `echo x > /dev/stderr`, which opens it anew and cuts it.
        // SAFETY: touches no memory.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // It goes with the last copy: by it we see later whether anybody has one. Without it
        // nobody seems to.
        let _ = file.lock_shared();
        Ok(Output { file })
    }

    /// One more descriptor of it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn copy(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the memory of all but head and tail back: a program that prints for ever must not
    /// fill the machine's.
    pub fn trim(&self) {
        trim(&self.file);
    }

    /// Leaves a process behind that trims on, if anybody but us can still print.
    ///
    /// WHY A PROCESS. What works on after its program's end may print for ever, and nothing but a
    /// process can bound that without harm to it: a file that is sealed against growing, or of a
    /// limited size, makes its writes fail, and who minds his writes then stops his work; a pipe
    /// without a reader kills, and one that is full holds him. It is none of the MTA's: another
    /// session, no descriptor but the output. Where it cannot be had the output grows on.
    pub fn trim_on(self) {
        // Another description of the same file: ours must not count as one that prints.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let Ok(own) = OpenOptions::new().read(true).write(true).open(path) else {
            return;
        };
        drop(self.file);
        if is_last(&own) {
            return;
        }
        // SAFETY: this process has one thread, so its copy may do whatever it may.
        if unsafe { libc::fork() } == 0 {
            keep_trimming(&own);
            sysexits::exit(sysexits::OK);
        }
    }

    /// Its first bytes, at most `most` and [`KEPT_HEAD`].
    pub fn head(&self, most: u64) -> Vec<u8> {
        self.read(0, most.min(KEPT_HEAD))
    }

    /// Its last bytes, at most [`KEPT_TAIL`].
    pub fn tail(&self) -> Vec<u8> {
        self.read(self.length().saturating_sub(KEPT_TAIL), KEPT_TAIL)
    }

    /// Its last line that is not empty, as far as the last bytes hold it.
    pub fn last_line(&self) -> String {
        let tail = self.tail();
        let text = String::from_utf8_lossy(&tail);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or_default().trim().to_owned()
    }

    fn length(&self) -> u64 {
        length(&self.file)
    }

    fn read(&self, from: u64, most: u64) -> Vec<u8> {
        let size = self.length().saturating_sub(from).min(most);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let read = self.file.read_at(&mut bytes, from).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }
}

fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |meta| meta.len())
}

fn trim(file: &File) {
    let middle = length(file).saturating_sub(KEPT_HEAD + KEPT_TAIL);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let (Ok(from), Ok(length)) = (
        libc::off_t::try_from(KEPT_HEAD),
        libc::off_t::try_from(middle),
    ) else {
        return;
    };
    if length > 0 {
        // SAFETY: touches no memory of ours.
        unsafe { libc::fallocate(file.as_raw_fd(), mode, from, length) };
    }
}

/// Whether nobody else has the file, as far as its lock tells.
fn is_last(own: &File) -> bool {
    !matches!(own.try_lock(), Err(TryLockError::WouldBlock))
}

/// Trims until nobody else has the file.
fn keep_trimming(own: &File) {
    // SAFETY: plain system calls; the set is made empty before it is used.
    unsafe {
        for fd in 0..3 {
            libc::close(fd);
        }
        // No terminal's or MTA's signal to a group, and no directory that is held.
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
    sysexits::close_others(Some(own.as_fd()));
    let (mut pause, mut seen) = (SHORTEST, length(own));
    while !is_last(own) {
        trim(own);
        let now = length(own);
        pause = match now == seen {
            true => LONGEST.min(pause * 2),
            false => SHORTEST,
        };
        seen = now;
        std::thread::sleep(pause);
    }
}
