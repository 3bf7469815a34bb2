//! Whole aliases files, weighted towards the corners where readers differ.
//!
//! A file is a few lines; how odd they are is chosen once for each file, so that there are files
//! with one oddity among ordinary lines (an MTA may refuse a whole file for the first) and files of
//! nothing else. Names are few, so that they meet again.
//!
//! **Invariants**: the same seed gives the same files, on every machine.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::{BoxedStrategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

type Bytes = BoxedStrategy<Vec<u8>>;

const PLAIN_NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"list",
    b"list-owner",
    b"list-request",
    b"postmaster",
    b"x.y",
    b"x+y",
    b"x_y",
    b"1",
];
const ODD_NAMES: &[&[u8]] = &[
    b"A",
    b"List",
    b"LIST-OWNER",
    b"\"a\"",
    b"\"A\"",
    b"\"a b\"",
    b"\"a:b\"",
    b"\"a\\\"b\"",
    b"\"\"",
    b"\"a",
    b"a\"",
    b"a\"b\"",
    b"a b",
    b"a\tb",
    b"a,b",
    b", a",
    b"a,",
    b"a@b.example",
    b"a@localhost",
    b"@b",
    b"a@",
    b"a%b",
    b"a!b",
    b"a\\b",
    b"a\\ b",
    b"\\a",
    b"a\\",
    b"\\\"a\\\"",
    b"#a",
    b"a#b",
    b"\"#a\"",
    b"(c)a",
    b"a(c)",
    b"(c)",
    b"<a>",
    b"<>",
    b"a<b>",
    b"[a]",
    b"a;",
    b"*",
    b"|a",
    b"/a",
    b":a",
    b"",
    b"\xe9",
    b"a\xe9",
    b"\xc3\xbc",
    b"\xc3\x9c",
    b"\xc3\x9f",
    b"\xc4\xb0",
    b"\xef\xbb\xbfa",
    b"\xc2\xa0a",
    b":include:/etc/list",
    b"owner-a",
    b"a'b",
    b"'a'",
    b"a$b",
    b"a=b",
    b"-a",
    b".a",
    b"a..b",
];
const PLAIN_DESTINATIONS: &[&[u8]] = &[
    b"u1",
    b"u2",
    b"a",
    b"b",
    b"u1@x.example",
    b"\"|/bin/prog post list\"",
    b"/var/mail/u1",
    b":include:/etc/list",
];
const ODD_DESTINATIONS: &[&[u8]] = &[
    b"U1",
    b"\\u1",
    b"\\\\u1",
    b"\\",
    b"u1\\",
    b"u\\1",
    b"\"u1\"",
    b"\"u 1\"",
    b"\"u\\\"1\"",
    b"\"\"",
    b"\"u1",
    b"u1\"",
    b"\"u1\"\"u2\"",
    b"\"u1\"u2",
    b"u1\"u2\"",
    b"|/bin/prog",
    b"|/bin/prog a b",
    b"|\"/bin/prog a b\"",
    b"| /bin/prog",
    b"\"| /bin/prog\"",
    b"\" |/bin/prog\"",
    b"\"|/bin/prog a,b\"",
    b"|/bin/prog a,b",
    b"\"|/bin/prog a#b\"",
    b"\"|/bin/prog #b\"",
    b"\"|/bin/prog a\\\\b\"",
    b"\"|/bin/prog \\\"a b\\\"\"",
    b"\"|/bin/prog 'a b'\"",
    b"\"|/bin/prog a:b;c\"",
    b"\"|/bin/prog $a %b\"",
    b"\"|/bin/prog a \"",
    b"\"|/bin/prog  a\"",
    b"\"|a\"\"|b\"",
    b"\"|a\" \"|b\"",
    b"\"|a\" u2",
    b"u2\"|a\"",
    b"|",
    b"\"|\"",
    b"\"|/bin/prog",
    b"'|/bin/prog'",
    b"\"/var/mail/a b\"",
    b"~/x",
    b"~u1",
    b"\":include:/etc/list\"",
    b":Include:/etc/list",
    b":include: /etc/list",
    b":include:",
    b"\":include:/etc/a b\"",
    b":include:/etc/a,b",
    b":fail:",
    b":fail: no such list",
    b":defer: later",
    b":blackhole:",
    b":unknown:",
    b"error:550 no",
    b"\"error:5.1.1:no such list\"",
    b"error:",
    b"(c)",
    b"u1 (c)",
    b"(c) u1",
    b"u1(c)",
    b"(c (d) e)",
    b"(open",
    b"u1)",
    b"<u1>",
    b"Some Name <u1>",
    b"\"Some, Name\" <u1@x.example>",
    b"<u1",
    b"u1>",
    b"<>",
    b"<u1><u2>",
    b"group: u1, u2;",
    b"group:;",
    b"u1;",
    b"u1; u2",
    b"u1%x.example@y.example",
    b"x!u1",
    b"@x.example:u1@y.example",
    b"u1@",
    b"@x.example",
    b"u1@[127.0.0.1]",
    b"[u1]",
    b"[open",
    b"u1 # c",
    b"#c",
    b"u1#c",
    b"# c",
    b"u1 u2",
    b"u1\tu2",
    b"u1:",
    b"u1: u2",
    b":u1",
    b":",
    b"u.1",
    b".",
    b"u1..u2",
    b".u1",
    b"u\xe9",
    b"\xc3\xbc",
    b"\xc3\xbc@x.example",
    b"\"\xc3\xbc\"",
    b"u1@\xc3\xbc.example",
    b"-u1",
    b"\"-u1\"",
    b"u'1",
    b"u$1",
    b"`u1`",
    b"u1=u2",
    b"u1+tag",
    b"*",
];
const SEPARATORS: &[&[u8]] = &[
    b", ", b",", b" , ", b",,", b", ,", b" ", b"\t", b",\t", b"", b";", b"; ", b",\r", b"\x0b",
    b"\x0c",
];
const COLONS: &[&[u8]] = &[
    b": ", b":", b":\t", b" : ", b"\t:\t", b"::", b": :", b" ", b"", b":  ", b":\x0b", b":\x0c",
    b":,", b": , ",
];
const ENDS: &[&[u8]] = &[
    b"\n", b"\r\n", b" \n", b"\t\n", b",\n", b" ,\n", b"\\\n", b" \\\n", b"\\\r\n", b"\r", b"\n\r",
    b"\x0b\n", b"\x0c\n", b"\r\r\n", b";\n", b" # c\n", b" (c)\n", b"\"\n", b"\0\n", b"",
];
const INDENTS: &[&[u8]] = &[
    b" ",
    b"\t",
    b"  ",
    b" \t",
    b"\x0b",
    b"\x0c",
    b"\r",
    b"\xc2\xa0",
    b" ,",
    b"        ",
];
const BETWEEN: &[&[u8]] = &[
    b"\n",
    b"# c\n",
    b"#\n",
    b" # c\n",
    b"\t# c: u1\n",
    b"#a: u1\n",
    b" \n",
    b"\t\n",
    b"\r\n",
    b"#c\r\n",
    b"#c\\\n",
    b"\x0b\n",
    b"\x0c\n",
    b"# \xe9\n",
    b"# \0\n",
    b"#",
    b"\n\n",
    b" \r\n",
    b"\x0c# c\n",
];
const ODD_BYTES: &[u8] = b"\"\"\\\\##,,::;;||()<>[]@%! \t\r\n\n\x0b\x0c\0\xe9\x80a/.'$*~";

/// Generated files without end.
pub(crate) struct Files {
    runner: TestRunner,
    strategy: Bytes,
}

impl Files {
    /// The files of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            strategy: file(),
        }
    }
}

impl Iterator for Files {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let tree = self.strategy.new_tree(&mut self.runner);
        Some(tree.expect("a strategy without filters").current())
    }
}

/// One aliases file.
pub(crate) fn file() -> Bytes {
    let lines = prop_oneof![
        4 => vec(line(1), 1..6),
        4 => vec(line(4), 1..6),
        2 => vec(line(9), 1..8),
    ];
    let head = prop_oneof![30 => Just(&b""[..]), 1 => Just(&b"\xef\xbb\xbf"[..])];
    let faults = prop_oneof![
        6 => Just(Vec::new()),
        2 => vec((any::<Index>(), select(ODD_BYTES), any::<bool>()), 1..4),
    ];
    let cut = prop_oneof![5 => Just(false), 1 => Just(true)];
    (head, lines, faults, cut)
        .prop_map(|(head, lines, faults, cut)| {
            let mut file = [head, &lines.concat()].concat();
            for (at, byte, insert) in faults {
                let at = at.index(file.len() + 1);
                match file.get_mut(at) {
                    Some(there) if !insert => *there = byte,
                    _ => file.insert(at, byte),
                }
            }
            if cut && file.ends_with(b"\n") {
                file.pop();
            }
            file
        })
        .boxed()
}

/// A line, odd in `odd` of ten cases.
fn line(odd: u32) -> Bytes {
    let plain = prop_oneof![
        8 => joined([choice(PLAIN_NAMES), one(b": "), destinations(0), one(b"\n")]),
        1 => choice(&BETWEEN[..4]),
        1 => joined([choice(&INDENTS[..3]), destinations(0), one(b"\n")]),
        1 => joined([choice(PLAIN_NAMES), one(b": "), destinations(0), one(b",\n"), choice(&INDENTS[..3]), destinations(0), one(b"\n")]),
    ];
    let strange = prop_oneof![
        8 => joined([name(odd), colon(odd), destinations(odd), end(odd)]),
        4 => joined([choice(INDENTS), destinations(odd), end(odd)]),
        3 => choice(BETWEEN),
        2 => joined([choice(INDENTS), name(odd), colon(odd), destinations(odd), end(odd)]),
        1 => joined([name(odd), end(odd)]),
        1 => vec(select(ODD_BYTES), 0..8).boxed(),
    ];
    prop_oneof![10 - odd => plain, odd => strange].boxed()
}

fn name(odd: u32) -> Bytes {
    let repeated = (select(&b"kK"[..]), 200..300_usize);
    prop_oneof![
        (10 - odd) * 4 => choice(PLAIN_NAMES),
        odd * 4 => choice(ODD_NAMES),
        1 => repeated.prop_map(|(byte, length)| vec![byte; length]),
    ]
    .boxed()
}

fn colon(odd: u32) -> Bytes {
    prop_oneof![10 => one(b": "), odd => choice(COLONS)].boxed()
}

fn end(odd: u32) -> Bytes {
    prop_oneof![10 => one(b"\n"), odd => choice(ENDS)].boxed()
}

/// The right side: destinations and what separates them.
fn destinations(odd: u32) -> Bytes {
    let one_more = prop_oneof![
        10 - odd => choice(PLAIN_DESTINATIONS),
        odd => choice(ODD_DESTINATIONS),
    ];
    let one_more = one_more.boxed();
    let long = (100..1100_usize).prop_map(|length| {
        let arguments = vec![b'x'; length];
        [b"\"|/bin/prog ", &arguments[..], b"\""].concat()
    });
    let many = (50..400_usize).prop_map(|count| {
        let names: Vec<String> = (0..count).map(|n| format!("user{n:03}")).collect();
        names.join(", ").into_bytes()
    });
    let separated = joined([separator(odd), one_more.clone()]);
    let usual =
        (one_more, vec(separated, 0..3)).prop_map(|(first, more)| [first, more.concat()].concat());
    prop_oneof![
        60 => usual,
        2 * odd => one(b""),
        1 => long,
        u32::from(odd > 3) => many,
    ]
    .boxed()
}

fn separator(odd: u32) -> Bytes {
    prop_oneof![10 => one(b", "), odd => choice(SEPARATORS)].boxed()
}

fn one(text: &'static [u8]) -> Bytes {
    Just(text.to_vec()).boxed()
}

fn choice(texts: &'static [&'static [u8]]) -> Bytes {
    select(texts).prop_map(<[u8]>::to_vec).boxed()
}

fn joined<const N: usize>(parts: [Bytes; N]) -> Bytes {
    Vec::from(parts).prop_map(|parts| parts.concat()).boxed()
}
