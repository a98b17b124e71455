//! The same seed, the same market, for ever.

use synthetic::{Config, World, sessions, write_jsonl};

fn small() -> Config {
    Config { seed: 42, listings: 12, ..Config::default() }
}

/// Accepting another snapshot means: every recorded benchmark and the shipped model are of another market from now on.
/// See `enricher/model/README.md`.
#[test]
fn the_first_events_of_a_seed_never_change() {
    let mut text = Vec::new();
    write_jsonl(small(), 40, &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap());
}

#[test]
fn the_first_sessions_of_a_seed_never_change() {
    let lines: Vec<String> = sessions(&small(), 1)
        .take(12)
        .map(|s| format!("{} {}", s.token.session_id(), serde_json::to_string(&s.preferences).unwrap()))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_text_is_the_events_in_order() {
    let mut text = Vec::new();
    write_jsonl(small(), 500, &mut text).unwrap();
    let lines: Vec<Vec<u8>> = World::new(small()).unwrap().take(500).map(|event| event.json()).collect();
    assert_eq!(text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>(), lines);
}
