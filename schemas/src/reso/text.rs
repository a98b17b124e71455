//! Texts that people will see: without what could break or fake a page, and cut to a length.
//!
//! Does not escape for HTML: whoever writes HTML does.

use std::borrow::Cow;

/// Whether a character reorders the text around it (Unicode's bidirectional controls) or hides in it.
pub(super) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// One line for display: control and bidirectional characters removed (white space ones become blanks), outer blanks too.
pub(super) fn line(text: Cow<'_, str>) -> Cow<'_, str> {
    cleaned(text, |c| if c.is_whitespace() { Some(' ') } else { None })
}

/// Several lines for display: as [`line()`], but line feeds stay.
pub(super) fn lines(text: Cow<'_, str>) -> Cow<'_, str> {
    cleaned(text, |c| match c {
        '\n' => Some('\n'),
        '\t' => Some(' '),
        _ => None,
    })
}

fn cleaned(text: Cow<'_, str>, of_control: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    let outer = |c: char| c.is_whitespace() || c == '\u{FEFF}';
    if !is_plain {
        let kept: String = text
            .chars()
            .filter_map(|c| {
                if c.is_control() {
                    of_control(c)
                } else if is_bidi_control(c) || c == '\u{FEFF}' {
                    None
                } else {
                    Some(c)
                }
            })
            .collect();
        return Cow::Owned(trimmed(kept, outer));
    }
    match text {
        Cow::Borrowed(borrowed) => Cow::Borrowed(borrowed.trim()),
        Cow::Owned(owned) => Cow::Owned(trimmed(owned, outer)),
    }
}

fn trimmed(text: String, outer: impl Fn(char) -> bool + Copy) -> String {
    let inner = text.trim_matches(outer);
    if inner.len() == text.len() { text } else { inner.to_owned() }
}

/// At most `max` characters; whether something was cut.
pub(super) fn cut(mut text: String, max: usize) -> (String, bool) {
    match text.char_indices().nth(max) {
        Some((end, _)) => {
            text.truncate(end);
            (text, true)
        }
        None => (text, false),
    }
}

/// Longest link, in bytes: what browsers and proxies take.
const MAX_LINK_BYTES: usize = 2_048;

/// Whether a text is a link that a page may show: http or https, no blanks or control characters, bounded.
pub(super) fn is_link(text: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    });
    text.len() <= MAX_LINK_BYTES
        && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
        && !text.bytes().any(|b| b <= b' ' || b == 0x7F || b"\"<>\\^`{|}".contains(&b))
        && (text.is_ascii() || !text.chars().any(|c| c.is_control() || c.is_whitespace() || is_bidi_control(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_texts_lose_control_and_bidirectional_characters() {
        assert_eq!(line("  Seattle ".into()), "Seattle");
        assert_eq!(line("Se\u{0}at\u{202E}tle\n2".into()), "Seattle 2");
        assert_eq!(lines("one\r\ntwo\t\u{7}3\u{2066}".into()), "one\ntwo 3");
        assert_eq!(line("\u{FEFF}München\u{a0}".into()), "München");
        assert!(matches!(line("plain".into()), Cow::Borrowed("plain")));
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("åäö".to_owned(), 2), ("åä".to_owned(), true));
        assert_eq!(cut("åäö".to_owned(), 3), ("åäö".to_owned(), false));
    }

    #[test]
    fn only_http_and_https_are_links() {
        for link in ["https://example.com/a?b=c", "HTTP://example.com", "https://[::1]/"] {
            assert!(is_link(link), "{link}");
        }
        for other in
            ["javascript:alert(1)", "//example.com", "http://", "https:// x", "ftp://a", "https://a\"onload=", "é"]
        {
            assert!(!is_link(other), "{other}");
        }
    }
}
