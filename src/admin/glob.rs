//! Patterns for lists' names, matched by us: the shell does not know the lists.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[!a-z]` one byte of a set.
//!
//! **Invariants.** No I/O; time at most pattern times name.

/// Whether `word` is a pattern and not a name: no list's name has such a byte.
pub fn is_glob(word: &[u8]) -> bool {
    word.iter().any(|b| b"*?[".contains(b))
}

/// Whether `name` (lower case) is matched by `pattern`, upper case folded.
///
/// A `[` without its `]` matches nothing.
pub fn matches(pattern: &[u8], name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let (pattern, name) = (&pattern[..], name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on if the bytes after the last star do not fit: one byte further.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, n));
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        match name.get(n).and_then(|&byte| one(&pattern[p..], byte)) {
            Some(length) => {
                p += length;
                n += 1;
            }
            None => match star {
                Some((after, from)) if from < name.len() => {
                    (p, n) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                _ => return false,
            },
        }
    }
}

/// The length of the first element of `pattern`, if it takes `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let negated = pattern.get(1) == Some(&b'!');
            let start = 1 + usize::from(negated);
            // A ] that comes first stands for itself.
            let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
            let mut found = false;
            let mut set = &pattern[start..end];
            while let [first, rest @ ..] = set {
                if let [b'-', last, rest @ ..] = rest {
                    found |= (first..=last).contains(&&byte);
                    set = rest;
                } else {
                    found |= *first == byte;
                    set = rest;
                }
            }
            (found != negated).then_some(end + 1)
        }
        plain => (plain == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_a_shell_would() {
        for (pattern, name, expected) in [
            ("*", "toylist", true),
            ("toy*", "toylist", true),
            ("TOY*", "toylist", true),
            ("*list", "toylist", true),
            ("*o*i*t", "toylist", true),
            ("*o*x*t", "toylist", false),
            ("toylis", "toylist", false),
            ("toylist*", "toylist", true),
            ("?oylist", "toylist", true),
            ("?toylist", "toylist", false),
            ("reallist[12]", "reallist1", true),
            ("reallist[12]", "reallist3", false),
            ("reallist[0-9]", "reallist7", true),
            ("reallist[!0-9]", "reallist7", false),
            ("reallist[!0-9]", "reallistx", true),
            ("reallist[", "reallist[", false),
            ("x[a-]", "x-", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn many_stars_are_answered_at_once() {
        let name = "a".repeat(128);
        assert!(!matches(format!("{}b", "*a".repeat(40)).as_bytes(), &name));
    }
}
