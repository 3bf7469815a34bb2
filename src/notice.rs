//! What a visitor reads where no list manager answers: small pages that need nothing else.
//!
//! **Invariants.** Nothing from outside stands in them but the one address of a redirect, which
//! site.toml's reader and the names of lists keep free of what would end a header or be markup.
//! [`FAULT`] is whole before anything can go wrong: it is written by a signal handler.

/// The beginning of every page; its title follows.
macro_rules! head {
    () => {
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<style>\n\
         :root { color-scheme: light dark }\n\
         body { font: 1.1rem/1.5 sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem }\n\
         h1 { font-size: 1.5rem }\n</style>\n<title>"
    };
}

/// The header lines that every answer has behind its status.
macro_rules! plain {
    () => {
        "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
    };
}

/// What is answered where we fail in a way that nobody foresaw.
pub const FAULT: &[u8] = concat!(
    "Status: 503 Service Unavailable\r\nRetry-After: 60\r\n",
    plain!(),
    "\r\n",
    head!(),
    "Please try again</title>\n</head>\n<body>\n<h1>Please try again</h1>\n\
     <p>This page cannot be shown at the moment. Nothing of what you sent was taken: please send it \
     again in a minute.</p>\n</body>\n</html>\n"
)
.as_bytes();

/// A page of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// There can be no such list, or its list manager has no such page.
    NotFound,
    /// The list is being moved: a matter of seconds.
    Moving,
    /// The admin paused the list.
    Paused,
    /// Something is broken.
    Unavailable,
}

impl Notice {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Notice::NotFound => 404,
            Notice::Moving | Notice::Paused | Notice::Unavailable => 503,
        }
    }

    /// In how many seconds it is worth another try.
    fn retry_after(self) -> Option<u32> {
        match self {
            Notice::NotFound => None,
            Notice::Moving => Some(10),
            Notice::Paused => Some(600),
            Notice::Unavailable => Some(60),
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Notice::NotFound => (
                "There is no such page",
                "The address names no mailing list that there could be here.",
            ),
            Notice::Moving => (
                "One moment, please",
                "This mailing list is being moved to a newer release, which takes a few seconds. \
                 Nothing of what you sent was taken: please send it again.",
            ),
            Notice::Paused => (
                "This mailing list is paused",
                "Its administrator has stopped it for a while. Mail to it is kept and delivered \
                 later. Nothing of what you sent here was taken: please send it again later.",
            ),
            Notice::Unavailable => (
                "Please try again",
                "This page cannot be shown at the moment. Nothing of what you sent was taken: \
                 please send it again in a few minutes.",
            ),
        }
    }

    /// The whole answer, as CGI has it; to a HEAD request without its page (RFC 3875, 4.3.2).
    pub fn answer(self, is_head: bool) -> String {
        let (title, text) = self.words();
        let reason = match self {
            Notice::NotFound => "404 Not Found",
            Notice::Moving | Notice::Paused | Notice::Unavailable => "503 Service Unavailable",
        };
        let retry = self.retry_after();
        let retry = retry.map_or_else(String::new, |s| format!("Retry-After: {s}\r\n"));
        let header = concat!(plain!(), "\r\n");
        let body = match is_head {
            true => String::new(),
            false => format!(
                "{}{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body>\n</html>\n",
                head!()
            ),
        };
        format!("Status: {reason}\r\n{retry}{header}{body}")
    }
}

/// The answer that leads to `url`: with 302 to who only looks, with 303 to who sent something, so
/// that it is not sent there (RFC 9110, 15.4.4).
pub fn redirect(url: &str, method: &[u8]) -> String {
    let is_head = method == b"HEAD";
    let status = match is_head || method == b"GET" {
        true => "302 Found",
        false => "303 See Other",
    };
    let header = concat!(plain!(), "\r\n");
    let body = match is_head {
        true => String::new(),
        false => format!(
            "{}Moved</title>\n</head>\n<body>\n<h1>Moved</h1>\n<p>This mailing list is \
             <a href=\"{url}\">over there</a>.</p>\n</body>\n</html>\n",
            head!()
        ),
    };
    format!("Status: {status}\r\nLocation: {url}\r\n{header}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_header_and_one_page() {
        for page in [
            Notice::NotFound,
            Notice::Moving,
            Notice::Paused,
            Notice::Unavailable,
        ] {
            let whole = page.answer(false);
            let (header, body) = whole.split_once("\r\n\r\n").unwrap_or_default();
            assert!(
                header.starts_with(&format!("Status: {}", page.status())),
                "{header}"
            );
            assert_eq!(
                header.contains("Retry-After: "),
                page.status() == 503,
                "{header}"
            );
            assert!(body.starts_with("<!DOCTYPE html>") && body.ends_with("</html>\n"));
            assert_eq!(page.answer(true), format!("{header}\r\n\r\n"));
        }
        let fault = String::from_utf8_lossy(FAULT);
        assert!(fault.starts_with("Status: 503 Service Unavailable\r\nRetry-After: "));
        assert_eq!(fault.matches("\r\n\r\n").count(), 1);
        // As much as a pipe takes without waiting.
        assert!(FAULT.len() < 4_096, "{}", FAULT.len());
    }

    #[test]
    fn a_form_is_not_sent_to_another_server() {
        assert!(
            redirect("https://l/", b"GET")
                .starts_with("Status: 302 Found\r\nLocation: https://l/\r\n")
        );
        assert!(redirect("https://l/", b"POST").starts_with("Status: 303 See Other\r\n"));
        assert!(redirect("https://l/", b"HEAD").ends_with("\r\n\r\n"));
    }
}
