//! Pages of `docs/` that are generated from the dictionary, or must name all of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use schemas::dead_letter::Code;
use schemas::header;
use schemas::topic::Topic;

use super::messages::MESSAGES;
use super::{assert_generated, crate_dir};

fn page(name: &str) -> PathBuf {
    crate_dir().join("../docs").join(name)
}

#[test]
fn the_page_of_dead_letters_lists_every_code() {
    let mut text = include_str!("dead-letters.head.md").to_owned();
    for code in Code::ALL {
        writeln!(text, "| `{code}` | {} |", code.meaning().trim()).unwrap();
    }
    assert_generated(&page("dead-letters.md"), &text);
}

#[test]
fn the_page_of_messages_names_every_topic_header_and_schema() {
    let text = std::fs::read_to_string(page("messages.md")).unwrap();
    let names = Topic::ALL.iter().map(|topic| topic.name().to_owned());
    let headers = header::ALL.iter().map(|name| (*name).to_owned());
    let schemas = MESSAGES.iter().map(|message| format!("{}.schema.json", message.name));
    for name in names.chain(headers).chain(schemas) {
        assert!(text.contains(&format!("`{name}`")), "docs/messages.md does not name `{name}`");
    }
}
