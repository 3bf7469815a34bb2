//! A tree: the directory of one installed release, and what a profile's words mean in it.
//!
//! **Invariants.** Knows no parity: the same tree is current today and future tomorrow.
//! No I/O.

use std::path::PathBuf;

use crate::list::ListName;
use crate::profile::Case;

/// One installed release, as site.toml describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The tree's name in site.toml and parity.toml: `a`.
    pub name: String,
    /// Where it is installed; `{tree}` in profiles.
    pub root: PathBuf,
    /// The profile that says what is in it.
    pub profile: String,
    /// Where its lists' data are; `{data}` in profiles.
    pub data: PathBuf,
    /// The domain of its lists, for a list manager that names them LIST@DOMAIN.
    pub domain: Option<String>,
}

impl Tree {
    /// `template` with `{tree}`, `{data}`, `{list}` and `{domain}` replaced.
    ///
    /// The list's name is spelled as `case` says. What stands in braces otherwise stays.
    pub fn expand(&self, template: &str, list: Option<(&ListName, Case)>) -> String {
        let mut text = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|n| open + n) else {
                break;
            };
            text.push_str(&rest[..open]);
            match (&rest[open + 1..close], list) {
                ("tree", _) => text.push_str(&self.root.to_string_lossy()),
                ("data", _) => text.push_str(&self.data.to_string_lossy()),
                ("domain", _) => text.push_str(self.domain.as_deref().unwrap_or_default()),
                ("list", Some((list, case))) => text.push_str(case.spell(list)),
                _ => text.push_str(&rest[open..=close]),
            }
            rest = &rest[close + 1..];
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_template_takes_the_trees_paths_and_the_lists_name() {
        let tree = Tree {
            name: "a".into(),
            root: "/srv/a".into(),
            profile: "mailman2".into(),
            data: "/srv/var".into(),
            domain: None,
        };
        let list = ListName::parse("Toy{tree}".replace("{tree}", "List")).unwrap();
        let expand = |text| tree.expand(text, Some((&list, Case::AsWritten)));
        assert_eq!(expand("{tree}/mail/mailman"), "/srv/a/mail/mailman");
        assert_eq!(expand("{data}/lists/{list}"), "/srv/var/lists/ToyList");
        assert_eq!(expand("{list}-{other}{"), "ToyList-{other}{");
        assert_eq!(tree.expand("{list}", Some((&list, Case::Lower))), "toylist");
    }
}
