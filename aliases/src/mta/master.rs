//! What Postfix' master.cf sets otherwise than main.cf, for one service (`-o alias_maps=…`).
//!
//! **Invariants**: reads what `postconf -Px` printed, no file: of Postfix 3.7 as measured that is
//! `service/type/parameter = value` a line, other parameters' values filled in.

/// A parameter that one service has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The service and its type: `local/unix`.
    pub service: String,
    /// The parameter.
    pub parameter: String,
    /// What it is for that service.
    pub value: String,
}

/// Those of `parameters`, in the order of master.cf.
pub(crate) fn overrides(printed: &str, parameters: &[&str]) -> Vec<Override> {
    let one = |line: &str| {
        let (whose, value) = line.split_once('=')?;
        let (service, parameter) = whose.trim().rsplit_once('/')?;
        parameters.contains(&parameter).then(|| Override {
            service: service.to_owned(),
            parameter: parameter.to_owned(),
            value: value.trim().to_owned(),
        })
    };
    printed.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As postconf of Postfix 3.7.11 prints them.
    #[test]
    fn the_parameters_that_are_asked_for_are_told_with_their_service() {
        let printed = "relay/unix/syslog_name = postfix/relay\n\
                       local/unix/alias_maps = lmdb:/etc/aliases,hash:/etc/aliases\n\
                       mine/unix/local_recipient_maps =\nmine/unix/alias_maps =\n";
        let found = overrides(printed, &["alias_maps"]);
        let found: Vec<_> = found
            .iter()
            .map(|it| (&*it.service, &*it.parameter, &*it.value))
            .collect();
        let both = "lmdb:/etc/aliases,hash:/etc/aliases";
        let expected = [
            ("local/unix", "alias_maps", both),
            ("mine/unix", "alias_maps", ""),
        ];
        assert_eq!(found, expected);
    }
}
