//! The document as a judge: what an operation may answer, and whether an answer is that. `Desk` asks it about every answer of every
//! test, so that no status, no kind of problem and no member can be there that the document does not tell of.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::desk::Answer;

/// The document that the code makes, with its routes by segments.
pub struct Contract {
    pub document: Value,
    operations: Vec<Operation>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    pub says: Value,
}

pub static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::of(api::openapi()));

impl Contract {
    fn of(document: Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, says) in item.as_object().unwrap() {
                let id = says["operationId"].as_str().unwrap_or_default().to_owned();
                operations.push(Operation {
                    id,
                    method: method.to_uppercase(),
                    path: path.clone(),
                    says: says.clone(),
                });
            }
        }
        Self { document, operations, validators: Mutex::default() }
    }

    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation that a request asks for: of several paths the one with the fewest placeholders.
    fn asked(&self, method: &str, path: &str) -> Option<&Operation> {
        let path = path.split('?').next().unwrap_or_default();
        let fits = |operation: &&Operation| {
            let (own, asked) = (operation.path.split('/'), path.split('/'));
            own.clone().count() == asked.clone().count()
                && own.zip(asked).all(|(own, asked)| own == asked || own.starts_with('{') && !asked.is_empty())
        };
        let nearest = self.operations.iter().filter(fits).min_by_key(|it| it.path.matches('{').count())?;
        let path = &nearest.path;
        self.operations.iter().find(|operation| operation.path == *path && operation.method == method)
    }

    /// Says what is wrong with an answer. An answer to a request that no route takes is not judged: the document is of routes.
    pub fn judge(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let Some(operation) = self.asked(method, path) else { return Ok(()) };
        let at = format!("{} {} ({}) answers {}", operation.method, operation.path, operation.id, answer.status);
        let Some(response) = operation.says["responses"].get(answer.status.to_string()) else {
            return Err(format!("{at}, which the document does not tell of: {}", answer.text));
        };
        let kind = answer.header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let Some(contents) = response.get("content").and_then(Value::as_object) else {
            return if answer.text.is_empty() {
                Ok(())
            } else {
                Err(format!("{at} with a body that is not documented"))
            };
        };
        let media = kind.and_then(|kind| contents.get(kind));
        let Some(media) = media else { return Err(format!("{at} as {kind:?}, documented are {:?}", contents.keys())) };
        // What a layer has pressed says what it says plainly, and that is judged where it is asked plainly.
        if answer.header("content-encoding").is_some() {
            return Ok(());
        }
        match kind.unwrap_or_default() {
            "application/x-ndjson" => {
                let line_of = json!({"$ref": "#/components/schemas/BatchLine"});
                answer
                    .text
                    .lines()
                    .try_for_each(|line| self.validate(&line_of, &parse(line)?))
                    .map_err(|e| format!("{at}: {e}"))
            }
            json if json.ends_with("json") => {
                let body = parse(&answer.text)?;
                self.validate(&media["schema"], &body).map_err(|error| format!("{at}: {error}: {body:#}"))?;
                self.judge_kind(media, &body).map_err(|error| format!("{at}: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// A problem must be of a kind that the document names at this status.
    fn judge_kind(&self, media: &Value, body: &Value) -> Result<(), String> {
        let Some(slug) = body["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")) else { return Ok(()) };
        match media.get("examples").and_then(|all| all.get(slug)) {
            Some(_) => Ok(()),
            None => Err(format!("a {slug}, which the document does not name there; see openapi/refusals.rs")),
        }
    }

    /// Whether a value is what a schema of the document says.
    pub fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let key = schema.to_string();
        let known = self.validators.lock().unwrap().get(&key).cloned();
        let validator = known.unwrap_or_else(|| {
            let mut whole = schema.clone();
            whole["components"] = self.document["components"].clone();
            let made = jsonschema::options().should_validate_formats(true).build(&whole);
            let made = Arc::new(made.unwrap_or_else(|error| panic!("{key} is no schema: {error}")));
            self.validators.lock().unwrap().insert(key, Arc::clone(&made));
            made
        });
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}
