//! Work on a long slice, by all processors at once.
//!
//! For looks at a hundred thousand lists; what takes no time is done by the one thread that is there.
//!
//! **Invariants.** What is returned does not depend on how many threads did it. No thread is left
//! behind.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, Builder};

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

#[cfg(test)]
mod tests {
    use super::*;

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
