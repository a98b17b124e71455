//! `If-None-Match` against an entity tag (RFC 9110 §13.1.2, §8.8.3). Pure.

/// Whether one of the header's lines names `tag` (without quotes) or is `*`. Comparison is weak: `W/"x"` names `"x"`.
/// A malformed line names nothing: the client then gets the whole answer, which is always right.
pub fn any_matches<'a>(lines: impl IntoIterator<Item = &'a [u8]>, tag: &str) -> bool {
    lines.into_iter().any(|line| line.trim_ascii() == b"*" || tags(line).any(|listed| listed == tag.as_bytes()))
}

/// The opaque parts of a list of entity tags, up to the first malformed one. A comma may stand inside quotes.
fn tags(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        let quoted = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|&b| b == b'"')?;
        rest = &quoted[end + 1..];
        Some(&quoted[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_alone_in_lists_weak_and_by_the_star() {
        for (lines, matches) in [
            (&["\"a1\""][..], true),
            (&["W/\"a1\""], true),
            (&["*"], true),
            (&[" * "], true),
            (&["\"b\", \"a1\""], true),
            (&["\"b\",W/\"a1\" , \"c\""], true),
            (&["\"b\"", "\"a1\""], true),
            (&[",, \"a1\""], true),
            (&["\"x,\"a1\""], false),
            (&["\"x,y\",\"a1\""], true),
            (&["a1"], false),
            (&["\"a1"], false),
            (&["\"A1\""], false),
            (&["w/\"a1\""], false),
            (&["\"b\", *"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(any_matches(lines.iter().map(|l| l.as_bytes()), "a1"), matches, "{lines:?}");
        }
    }
}
