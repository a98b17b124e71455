//! What others rely on: the records of a seed never change.

use synthetic::{Config, World, write_jsonl};

fn small() -> Config {
    Config { seed: 42, listings: 12, ..Config::default() }
}

/// Deleting this snapshot to make a change pass means: every recorded benchmark and the shipped model are of another
/// market from now on. See `enricher/model/README.md`.
#[test]
fn the_first_events_of_a_seed_never_change() {
    let mut text = Vec::new();
    write_jsonl(small(), 40, &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap());
}

#[test]
fn the_text_is_the_events_in_order() {
    let mut text = Vec::new();
    write_jsonl(small(), 500, &mut text).unwrap();
    let lines: Vec<Vec<u8>> = World::new(small()).unwrap().take(500).map(|event| event.json()).collect();
    assert_eq!(text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>(), lines);
}
