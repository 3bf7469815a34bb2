//! Work on a long slice, by all processors at once.
//!
//! For looks at a hundred thousand lists; what takes no time is done by the one thread that is there.
//!
//! **Invariants.** What is returned does not depend on how many threads did it. No thread is left
//! behind.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, Builder};
use std::time::Duration;

use crate::screen::Progress;

/// How often it is asked whether it is over.
const PAUSE: Duration = Duration::from_millis(20);

/// Fewer items than this are done before another thread has begun.
const LEAST: usize = 1024;

/// What `work` returns of each part of `all`, in their order.
///
/// Where no thread can be had (a limit on processes), the part is done by the caller's own.
pub(crate) fn in_parts<T: Sync, R: Send>(all: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let part = all.len().div_ceil(processors).max(LEAST);
    let work = &work;
    thread::scope(|scope| {
        let mut parts = all.chunks(part);
        let first = parts.next();
        let begin = |part| (part, Builder::new().spawn_scoped(scope, move || work(part)));
        let others: Vec<_> = parts.map(begin).collect();
        let mut done: Vec<R> = first.into_iter().map(work).collect();
        for (part, thread) in others {
            done.push(match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => work(part),
            });
        }
        done
    })
}

/// What `work` returns of each of `all`, in their order: for work that takes its time. The caller's
/// own thread asks meanwhile whether it `is_over`, and says so to `work`, which returns early then;
/// and tells a terminal how much of `what` is done.
pub(crate) fn each<T: Sync, R: Send>(
    what: &str,
    all: &[T],
    is_over: &dyn Fn() -> bool,
    work: impl Fn(&T, &AtomicBool) -> R + Sync,
) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(is_over()));
    let one_after_the_other = || {
        let mut done = Vec::new();
        while let Some((n, item)) = take(all, &next) {
            done.push((n, work(item, &over)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let threads: Vec<_> = (0..processors.min(all.len()))
            .map_while(|_| {
                let (ended, one_after_the_other) = (ended.clone(), &one_after_the_other);
                // The sender is dropped where the thread ends, in a panic as well.
                let thread = move || {
                    let _ended = ended;
                    one_after_the_other()
                };
                Builder::new().spawn_scoped(scope, thread).ok()
            })
            .collect();
        drop(ended);
        let mut progress = Progress::of(what);
        while let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(PAUSE) {
            progress.at(next.load(Ordering::Relaxed), all.len());
            if is_over() {
                over.store(true, Ordering::Relaxed);
            }
        }
        // Where no thread could be had.
        let mut done = one_after_the_other();
        for thread in threads {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|&(n, _)| n);
    done.into_iter().map(|(_, done)| done).collect()
}

fn take<'a, T>(all: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let n = next.fetch_add(1, Ordering::Relaxed);
    all.get(n).map(|item| (n, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_its_time_is_done_once_each_and_told_when_it_is_over() {
        for count in [0, 1, 7, 100] {
            let all: Vec<usize> = (0..count).collect();
            let done = each("x", &all, &|| false, |&n, over| {
                (n, over.load(Ordering::Relaxed))
            });
            let expected: Vec<_> = all.iter().map(|&n| (n, false)).collect();
            assert_eq!(done, expected);
        }
        let wait = |_: &(), over: &AtomicBool| {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let asked = AtomicUsize::new(0);
        each(
            "x",
            &[()],
            &|| asked.fetch_add(1, Ordering::Relaxed) > 1,
            wait,
        );
    }

    #[test]
    fn each_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, LEAST, LEAST + 1, 10 * LEAST + 7] {
            let all: Vec<usize> = (0..count).collect();
            let done = in_parts(&all, <[usize]>::to_vec);
            assert_eq!(done.concat(), all);
        }
    }

    #[test]
    #[should_panic(expected = "the last one")]
    fn a_panic_in_a_part_is_not_passed_over() {
        let all: Vec<usize> = (0..10 * LEAST).collect();
        in_parts(&all, |part| {
            assert!(!part.ends_with(&[10 * LEAST - 1]), "the last one");
        });
    }
}
