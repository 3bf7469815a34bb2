//! A tree: the directory of one installed release, and what a profile's words mean in it.
//!
//! **Invariants.** Knows no parity: the same tree is current today and future tomorrow.
//! No I/O.

use std::path::PathBuf;

use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::list::ListName;
use crate::profile::{Case, Way};

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
    /// Where its server answers, for a list manager that is reached by a URL.
    pub url: Option<String>,
    /// Where the pages of its lists are, for a list manager without CGI programs: a URL with
    /// `{list}` in it.
    pub web: Option<String>,
    /// Where its LMTP server answers, for a list manager that takes mail that way.
    pub lmtp: Option<Endpoint>,
    /// Where its queues are, if not where the profile has them in the data.
    pub queues: Option<PathBuf>,
    /// Whether it needs programs that run all the time.
    pub runners: Runners,
}

/// Which running programs a tree needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runners {
    /// Those that its profile names.
    #[default]
    Profile,
    /// None: no life is looked for.
    None,
}

/// The file in a tree's data that says "these are the data, all of them": without it a list that is
/// not found there may be one whose file system is not mounted.
const SENTINEL: &str = ".mm-deliver-data";

impl Tree {
    /// Where the sentinel of its data stands.
    pub fn sentinel(&self) -> PathBuf {
        self.data.join(SENTINEL)
    }

    /// `template` with `{tree}`, `{data}`, `{domain}`, `{url}`, `{list}` and `{local}` replaced.
    ///
    /// The list's name is spelled as `case` says; `{local}` is what stands before its `@`, and
    /// `{domain}` its own domain, else the tree's. What stands in braces otherwise stays.
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
                ("domain", named) => {
                    let own = named.and_then(|(list, _)| list.as_str().split_once('@'));
                    let domain = own.map(|(_, domain)| domain).or(self.domain.as_deref());
                    text.push_str(domain.unwrap_or_default());
                }
                ("url", _) => text.push_str(self.url.as_deref().unwrap_or_default()),
                ("list", Some((list, case))) => text.push_str(case.spell(list)),
                ("local", Some((list, case))) => {
                    let name = case.spell(list);
                    text.push_str(name.split('@').next().unwrap_or(name));
                }
                _ => text.push_str(&rest[open..=close]),
            }
            rest = &rest[close + 1..];
        }
        text.push_str(rest);
        text
    }

    /// The page of this list at the tree's own web; of no list, what its lists' pages have in
    /// common: the URL without the part that has the list's name, and what follows.
    pub fn page(&self, list: Option<&ListName>) -> Option<String> {
        let template = self.web.as_deref()?;
        let Some(list) = list else {
            let named = template.find('{').unwrap_or(template.len());
            let end = template[..named]
                .rfind('/')
                .map_or(named, |slash| slash + 1);
            return Some(template[..end].to_owned());
        };
        let own = list.as_str().split_once('@').map(|(_, domain)| domain);
        let domain = own.or(self.domain.as_deref()).unwrap_or_default();
        Some(
            template
                .replace("{list}", list.local_part())
                .replace("{domain}", domain),
        )
    }

    /// The key of site.toml that `way` asks for and this tree has not.
    pub fn lacks(&self, way: &Way) -> Option<&'static str> {
        match way {
            Way::Run(argv) => argv.iter().find_map(|word| self.lacks_for(word)),
            Way::Lmtp(_) if self.lmtp.is_none() => Some("lmtp"),
            Way::Lmtp(recipient) => self.lacks_for(recipient),
        }
    }

    /// The same for one text of it.
    fn lacks_for(&self, template: &str) -> Option<&'static str> {
        let keys = [
            ("domain", "{domain}", &self.domain),
            ("url", "{url}", &self.url),
        ];
        keys.into_iter()
            .find(|(_, word, value)| value.is_none() && template.contains(word))
            .map(|(key, ..)| key)
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
            url: None,
            web: None,
            lmtp: None,
            queues: None,
            runners: Runners::Profile,
        };
        let list = ListName::parse("Toy{tree}".replace("{tree}", "List")).unwrap();
        let expand = |text| tree.expand(text, Some((&list, Case::AsWritten)));
        assert_eq!(expand("{tree}/mail/mailman"), "/srv/a/mail/mailman");
        assert_eq!(expand("{data}/lists/{list}"), "/srv/var/lists/ToyList");
        assert_eq!(expand("{list}-{other}{"), "ToyList-{other}{");
        assert_eq!(tree.expand("{list}", Some((&list, Case::Lower))), "toylist");
        assert_eq!(expand("{local}-x@{domain}{url}"), "ToyList-x@");
        assert_eq!(tree.lacks_for("{local}@{domain}"), Some("domain"));
        assert_eq!(tree.lacks_for("{url}{list}"), Some("url"));
        assert_eq!(tree.lacks_for("{tree}{data}{list}{local}"), None);
        let tree = Tree {
            domain: Some("lists.example.org".into()),
            url: Some("https://rt.example.org/".into()),
            ..tree
        };
        let expand = |text, list| tree.expand(text, Some((list, Case::AsWritten)));
        assert_eq!(
            expand("{local}-x@{domain}", &list),
            "ToyList-x@lists.example.org"
        );
        assert_eq!(
            expand("--url={url}", &list),
            "--url=https://rt.example.org/"
        );
        let own = ListName::parse("Toy@Other.org").unwrap();
        assert_eq!(expand("{local}-x@{domain}", &own), "Toy-x@other.org");
        assert_eq!(tree.lacks_for("{local}@{domain}{url}"), None);
        assert_eq!(tree.page(Some(&list)), None);
        let tree = Tree {
            web: Some("https://l.example.org/mm3/lists/{list}.{domain}/info".into()),
            ..tree
        };
        let page = |list| tree.page(list).unwrap();
        assert_eq!(page(None), "https://l.example.org/mm3/lists/");
        let (at, of_list) = ("https://l.example.org/mm3/lists", page(Some(&list)));
        assert_eq!(of_list, format!("{at}/toylist.lists.example.org/info"));
        assert_eq!(page(Some(&own)), format!("{at}/toy.other.org/info"));
        let way = Way::Lmtp("{local}@{domain}".into());
        assert_eq!(tree.lacks(&way), Some("lmtp"));
        let tree = Tree {
            lmtp: Endpoint::parse("127.0.0.1:8024").ok(),
            ..tree
        };
        assert_eq!(tree.lacks(&way), None);
        let tree = Tree {
            domain: None,
            ..tree
        };
        assert_eq!(tree.lacks(&way), Some("domain"));
    }
}
