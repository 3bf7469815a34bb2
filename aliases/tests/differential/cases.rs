//! The texts of a case file (`aliases/tests/grammar/*.cases`), to be given to the program again.
//!
//! **Invariants**: what the case file says of a text is not looked at here.

/// The file of each case, in their order.
pub(crate) fn texts(cases: &str) -> Vec<Vec<u8>> {
    let lines = cases.lines();
    lines
        .filter_map(|line| line.strip_prefix("text "))
        .map(unescape)
        .collect()
}

/// `\n`, `\r`, `\t`, `\\` and `\xHH` as bytes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, more @ ..] = rest {
        rest = more;
        let (byte, length) = match (byte, more) {
            (b'\\', [b'n', ..]) => (b'\n', 1),
            (b'\\', [b'r', ..]) => (b'\r', 1),
            (b'\\', [b't', ..]) => (b'\t', 1),
            (b'\\', [b'x', high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap();
                (u8::try_from(digit(high) * 16 + digit(low)).unwrap(), 3)
            }
            (b'\\', [other, ..]) => (*other, 1),
            (byte, _) => (*byte, 0),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}
