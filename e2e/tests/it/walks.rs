//! `docs/api.md` as its readers use it: every command is pasted into a shell while `roost up --demo` runs, from the top down, and what
//! comes must be what stands below it. Nothing is set up that the page does not set up.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::harness::{self, Running, free_port, patience, until};
use e2e::http;

/// Stands for anything in an expected output.
const ANYTHING: char = '…';
/// Where the page says that things listen, each of which becomes a free port here.
const PLACES: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:9464"];

/// One block of commands, and what it prints.
#[derive(Debug, PartialEq, Eq)]
struct Walk {
    name: String,
    commands: String,
    expected: Vec<String>,
}

/// The walks of a page, in order. Every `sh` block is one, has a name, and is followed by its output.
fn walks(page: &str) -> Result<Vec<Walk>> {
    let mut walks: Vec<Walk> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ').map_or((info, ""), |(language, rest)| (language, rest)) {
            ("sh", rest) => {
                let name =
                    rest.strip_prefix("walk=").with_context(|| format!("a block of commands has no name: {body:?}"))?;
                walks.push(Walk { name: name.to_owned(), commands: body.join("\n"), expected: Vec::new() });
            }
            ("text", _) => {
                let walk = walks.last_mut().filter(|walk| walk.expected.is_empty());
                walk.context("an output without commands")?.expected =
                    body.iter().map(|&line| line.to_owned()).collect();
            }
            _ => {}
        }
    }
    for walk in &walks {
        ensure!(!walk.expected.is_empty(), "{}: nothing says what it prints", walk.name);
    }
    Ok(walks)
}

/// Whether a line holds the parts of a pattern, in their order.
fn holds(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    pattern.split(ANYTHING).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The first expected line that does not come after those before it.
fn missing<'a>(output: &str, expected: &'a [String]) -> Option<&'a str> {
    let mut lines = output.lines();
    expected.iter().find(|pattern| !lines.by_ref().any(|line| holds(line, pattern))).map(String::as_str)
}

/// Runs all walks in one shell, as a reader has one; gives what each printed, and its exit code.
fn run(directory: &Path, walks: &[Walk]) -> Result<Vec<(String, String)>> {
    let mut script = String::new();
    for (number, walk) in walks.iter().enumerate() {
        // JSON texts end without a line's end.
        script += &format!("{{\n{}\n}} > out.{number} 2>&1; echo $? > code.{number}\n", walk.commands);
    }
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).current_dir(directory).stdin(Stdio::null());
    Running::spawn(&mut shell)?.finish("the walks", patience(120))?;
    let read = |name: String| std::fs::read_to_string(directory.join(&name)).with_context(|| name);
    (0..walks.len()).map(|n| Ok((read(format!("out.{n}"))?, read(format!("code.{n}"))?.trim().to_owned()))).collect()
}

#[test]
fn every_walk_of_the_page_does_what_the_page_says() -> Result<()> {
    let page = std::fs::read_to_string(harness::repository().join("docs/api.md"))?;
    let directory = tempfile::tempdir()?;
    let (api, push, admin) = (free_port()?, free_port()?, free_port()?);
    let mut command = harness::roost()?;
    command
        // A market that moves slowly: what was read a moment ago still holds.
        .args(["up", "--demo", "--rate", "1", "--data-dir"])
        .arg(directory.path().join("data"))
        .env("ROOST__API__LISTEN", format!("127.0.0.1:{api}"))
        .env("ROOST__INGEST__PUSH__LISTEN", format!("127.0.0.1:{push}"))
        .env("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
        .stdout(std::fs::File::create(directory.path().join("up.log"))?)
        .stderr(std::fs::File::create(directory.path().join("up.errors"))?);
    let _up = Running::spawn(&mut command)?;
    until("the demonstration's market is open", patience(60), || {
        let markets = http::get(&format!("http://127.0.0.1:{api}/api/v1/markets"))?;
        http::get(&format!("http://127.0.0.1:{admin}/readyz"))?;
        Ok(markets.contains("port-ellis").then_some(()))
    })?;

    let page = page.replace(PLACES[0], &format!("127.0.0.1:{api}")).replace(PLACES[1], &format!("127.0.0.1:{admin}"));
    let walks = walks(&page)?;
    ensure!(walks.len() >= 10, "{} walks", walks.len());
    let mut wrong = Vec::new();
    for (walk, (output, code)) in walks.iter().zip(run(directory.path(), &walks)?) {
        if code != "0" {
            wrong.push(format!("{}: exit code {code}: {output}", walk.name));
        }
        // Answers of JSON have no line's end: each begins with a brace behind the one before.
        let output = output.replace("}{\"", "}\n{\"");
        if let Some(line) = missing(&output, &walk.expected) {
            wrong.push(format!("{}: no line is\n    {line}\nin\n{output}", walk.name));
        }
    }
    ensure!(wrong.is_empty(), "docs/api.md and the API disagree:\n{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn a_line_holds_a_pattern_when_its_parts_come_in_order() {
    assert!(holds("{\"a\":1,\"b\":2}", "{\"a\":…\"b\":2"));
    assert!(!holds("{\"b\":2,\"a\":1}", "\"a\":…\"b\":2"));
    assert_eq!(missing("200\n304", &["200".to_owned(), "304".to_owned()]), None);
    assert_eq!(missing("304\n200", &["200".to_owned(), "304".to_owned()]), Some("304"));
}

#[test]
fn a_block_without_a_name_or_without_its_output_is_refused() {
    let walk = |page: &str| walks(page).map(|walks| walks.len());
    assert_eq!(walk("```sh walk=a\ntrue\n```\n```text\nx\n```\n").unwrap(), 1);
    for page in ["```sh\ntrue\n```\n```text\nx\n```\n", "```sh walk=a\ntrue\n```\n", "```text\nx\n```\n"] {
        assert!(walk(page).is_err(), "{page}");
    }
}
