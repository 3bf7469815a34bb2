//! What a profile says of an installation's layout: how one is recognised, what in it is the lists'
//! data, what is one tree's, and which settings two trees must not share.
//!
//! **Invariants.** No I/O. What is wrong is told with its place in the text. A name in here is one
//! part of a path or several, never one that leads out of where it is.

use regex::bytes::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::read::bad;
use crate::profile::BadProfile;

/// What stands for a setting's name in the regex of a setting.
const NAME: &str = "NAME";

/// How an installation of a list manager is laid out.
#[derive(Debug)]
pub struct Layout {
    /// It is one if all of these are there below its root.
    pub holds: Vec<String>,
    /// Which releases are meant, where several list managers have the same files.
    pub releases: Option<Regex>,
    /// The files with the admin's settings, the first one that sets something counts.
    pub settings: Vec<String>,
    /// Those that come with a release, and are asked last.
    pub defaults: Vec<String>,
    /// How a setting is written there, with `NAME` in it.
    setting: String,
    /// The setting that says where its data are, if not in its root.
    pub home: Option<String>,
    /// The setting that says as whom it runs.
    pub user: Option<String>,
    /// How a setting is written by who adds one: `NAME = 'VALUE'`.
    pub write: String,
    /// What of its home is the lists' data, and goes outside.
    pub data: Vec<String>,
    /// The same of what belongs to one tree and stays.
    pub own: Vec<String>,
    /// Where its templates are.
    pub templates: Option<Templates>,
    /// What two trees must not share.
    pub apart: Vec<Apart>,
    /// The alias files that it writes by itself.
    pub regenerates: Vec<Regenerates>,
}

/// The templates of a release, and among them those that are the lists', the site's or a host's.
#[derive(Debug)]
pub struct Templates {
    /// Their directory below the tree's root.
    pub directory: String,
    /// What the directories in it are called that come with the release.
    pub shipped: Regex,
    /// Where a list's own ones are, below the data: `lists/{list}`.
    pub list: String,
}

/// A setting that two trees with one list's data must not share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// Its name.
    pub setting: String,
    /// What it is: `the pid file`.
    pub what: String,
    /// Where that is if nothing is set; `{home}` is where the tree's own settings have its data.
    pub default: String,
    /// What happens where two trees share it.
    pub effect: String,
    /// Whether messages go astray by it.
    #[serde(default)]
    pub critical: bool,
    /// What a second tree sets, where its default would be shared once the data are outside.
    pub give: Option<String>,
}

/// A setting by which a list manager writes alias files itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regenerates {
    /// Its name.
    pub setting: String,
    /// With this value.
    pub value: String,
    /// Which files.
    pub files: Vec<String>,
    /// What to do in its place.
    pub mend: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLayout {
    holds: Spanned<Vec<String>>,
    releases: Option<Spanned<String>>,
    #[serde(default)]
    settings: Vec<Spanned<String>>,
    #[serde(default)]
    defaults: Vec<Spanned<String>>,
    setting: Option<Spanned<String>>,
    home: Option<String>,
    user: Option<String>,
    #[serde(default)]
    write: String,
    data: Vec<Spanned<String>>,
    #[serde(default)]
    own: Vec<Spanned<String>>,
    templates: Option<RawTemplates>,
    #[serde(default)]
    apart: Vec<Spanned<Apart>>,
    #[serde(default)]
    regenerates: Vec<Spanned<Regenerates>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTemplates {
    directory: Spanned<String>,
    shipped: Spanned<String>,
    list: Spanned<String>,
}

impl Layout {
    /// The regex of a setting of this name: its one group is the value, where that is a text.
    ///
    /// # Errors
    /// Never for a name that [`RawLayout::cook`] has seen.
    pub fn setting(&self, name: &str) -> Result<Regex, regex::Error> {
        Regex::new(&self.setting.replace(NAME, &regex::escape(name)))
    }

    /// A setting as it is written into the file of settings.
    pub fn written(&self, name: &str, value: &str) -> String {
        self.write.replace(NAME, name).replace("VALUE", value)
    }
}

impl RawLayout {
    pub(super) fn cook(self) -> Result<Layout, BadProfile> {
        let all = self.data.iter().chain(&self.own);
        for entry in all.clone() {
            if !is_name(entry.get_ref()) || entry.get_ref().contains('/') {
                return Err(bad(entry, "one name is expected, without a / in it"));
            }
        }
        if self.data.is_empty() || self.holds.get_ref().is_empty() {
            return Err(BadProfile {
                at: Some(self.holds.span().start),
                what: "[layout] names neither what an installation holds nor what its data are"
                    .to_owned(),
            });
        }
        if let Some(path) = self.holds.get_ref().iter().find(|path| !is_name(path)) {
            return Err(BadProfile {
                at: Some(self.holds.span().start),
                what: format!("{path:?} leads out of the installation"),
            });
        }
        if let Some(file) = self
            .settings
            .iter()
            .chain(&self.defaults)
            .find(|file| !file.get_ref().starts_with("{tree}/"))
        {
            return Err(bad(file, "a file of settings begins with \"{tree}/\""));
        }
        let setting = match &self.setting {
            Some(text) => setting(text)?,
            None => String::new(),
        };
        let asks = self.home.is_some()
            || self.user.is_some()
            || !self.apart.is_empty()
            || !self.regenerates.is_empty();
        if asks && (setting.is_empty() || self.settings.is_empty()) {
            return Err(BadProfile {
                at: Some(self.holds.span().start),
                what: "[layout] asks for settings: `settings` and `setting` say how they are read"
                    .to_owned(),
            });
        }
        Ok(Layout {
            holds: self.holds.into_inner(),
            releases: self.releases.as_ref().map(regex).transpose()?,
            settings: texts(self.settings),
            defaults: texts(self.defaults),
            setting,
            home: self.home,
            user: self.user,
            write: self.write,
            data: texts(self.data),
            own: texts(self.own),
            templates: self.templates.map(RawTemplates::cook).transpose()?,
            apart: self.apart.into_iter().map(Spanned::into_inner).collect(),
            regenerates: self
                .regenerates
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
        })
    }
}

impl RawTemplates {
    fn cook(self) -> Result<Templates, BadProfile> {
        for text in [&self.directory, &self.list] {
            if !is_name(text.get_ref()) {
                return Err(bad(text, "it leads out of the installation"));
            }
        }
        if !self.list.get_ref().ends_with("/{list}") {
            return Err(bad(
                &self.list,
                "a list's templates are in a directory of its own: {list} ends it",
            ));
        }
        Ok(Templates {
            directory: self.directory.into_inner(),
            shipped: regex(&self.shipped)?,
            list: self.list.into_inner(),
        })
    }
}

/// The text of a regex with `NAME` in it and one group.
fn setting(text: &Spanned<String>) -> Result<String, BadProfile> {
    let tried = Regex::new(&text.get_ref().replace(NAME, "x"));
    let tried = tried.map_err(|error| bad(text, &error.to_string()))?;
    match text.get_ref().contains(NAME) && tried.captures_len() == 2 {
        true => Ok(text.get_ref().clone()),
        false => Err(bad(
            text,
            "the regex has NAME, the setting's, and exactly one group: the value",
        )),
    }
}

fn regex(text: &Spanned<String>) -> Result<Regex, BadProfile> {
    Regex::new(text.get_ref()).map_err(|error| bad(text, &error.to_string()))
}

fn texts(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

/// Whether a path stays below what it is read in.
fn is_name(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn layout(text: &str) -> Result<Layout, BadProfile> {
        toml::from_str::<RawLayout>(text).unwrap().cook()
    }

    #[test]
    fn a_name_that_leads_out_of_the_installation_is_refused() {
        let whole = "holds = [\"H\"]\ndata = [\"D\"]\n";
        for (name, is_sound) in [
            ("lists", true),
            ("..", false),
            ("", false),
            ("a/b", false),
            (".", false),
        ] {
            assert_eq!(
                layout(&whole.replace('D', name)).is_ok(),
                is_sound,
                "{name:?}"
            );
        }
        for (name, is_sound) in [("mail/x", true), ("../x", false), ("/etc", false)] {
            assert_eq!(
                layout(&whole.replace('H', name)).is_ok(),
                is_sound,
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_regex_of_a_setting_takes_its_name_and_a_text() {
        let text = "holds = [\"x\"]\ndata = [\"y\"]\nsettings = [\"{tree}/s\"]\nhome = \"VAR\"\n\
                    setting = '''(?m)^NAME[ \\t]*=[ \\t]*(?:[\"']([^\"'\\n]*)[\"'])?'''\n\
                    write = \"NAME = 'VALUE'\"\n";
        let layout = layout(text).unwrap();
        let regex = layout.setting("VAR").unwrap();
        let group = |text: &[u8]| {
            let found = regex.captures(text)?;
            Some(found.get(1).map(|value| value.as_bytes().to_vec()))
        };
        assert_eq!(
            group(b"x = 1\nVAR = '/srv'\n"),
            Some(Some(b"/srv".to_vec()))
        );
        assert_eq!(group(b"VAR = join(A, 'b')\n"), Some(None));
        assert_eq!(group(b"VARIANT = '/srv'\n# VAR = 1\n"), None);
        assert_eq!(layout.written("VAR", "/x"), "VAR = '/x'");
    }
}
