//! The operations of a document, one by one.

use serde_json::Value;

/// Which operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The path with its placeholders.
    pub path: String,
    /// `get`, `post`, …
    pub method: String,
    /// Its `operationId`.
    pub id: String,
}

/// Every operation with what the document says of it.
pub fn operations(document: &mut Value) -> impl Iterator<Item = (Operation, &mut Value)> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object_mut().into_iter().flatten();
        methods.filter(|(_, operation)| operation.get("responses").is_some()).map(move |(method, operation)| {
            let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
            (Operation { path: path.clone(), method: method.clone(), id }, operation)
        })
    })
}
