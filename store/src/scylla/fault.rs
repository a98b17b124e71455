//! What the driver says, sorted by what the caller can do: try again, or end the process.

use std::error::Error;

use ::scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError,
};

use crate::StoreError;

pub(super) fn of_execution(error: &ExecutionError) -> StoreError {
    match error {
        ExecutionError::BadQuery(_) => fatal(error),
        ExecutionError::LastAttemptError(attempt) => of_attempt(attempt),
        ExecutionError::PrepareError(prepare) => of_prepare(prepare),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Whether a node was away, if only for a moment.
pub(super) const fn is_broken_connection(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::ConnectionPoolError(_)
            | ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(_))
    )
}

pub(super) fn of_prepare(error: &PrepareError) -> StoreError {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => of_attempt(first_attempt),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn of_attempt(error: &RequestAttemptError) -> StoreError {
    match error {
        RequestAttemptError::DbError(db, said) if is_for_good(db) => StoreError::Fatal(format!(
            "the store refuses a statement of roost: {db}: {said}. Look whether the role may read and write the keyspace \
             and whether `roost init` of this version has been run"
        )),
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => fatal(error),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Whether the same statement would be answered the same way again.
fn is_for_good(error: &DbError) -> bool {
    matches!(
        error,
        DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::ConfigError
    )
}

/// Why there is no session. A refused login does not become right by itself; everything else may.
pub(super) fn of_session(error: &NewSessionError, username: &str) -> StoreError {
    match error {
        NewSessionError::IllegalConfig(_) | NewSessionError::EmptyKnownNodesList => fatal(error),
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error: ConnectionError::ConnectionSetupRequestError(setup),
            ..
        })) => match &setup.error {
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError | DbError::Unauthorized, said) => {
                StoreError::Fatal(format!(
                    "the store refuses the role {username:?}: {said}. Set store.scylla.user and password_file to a \
                     role that may log in"
                ))
            }
            ConnectionSetupRequestErrorKind::MissingAuthentication => StoreError::Fatal(
                "the store asks for a role: set store.scylla.user and store.scylla.password_file".to_owned(),
            ),
            _ => StoreError::Unavailable(error.to_string()),
        },
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// An answer that is not of the shape this version asks for.
pub(super) fn unreadable(error: &dyn Error) -> StoreError {
    StoreError::Fatal(format!(
        "the store's answer cannot be read: {error}. The tables are not those of this version: look at `roost init`"
    ))
}

fn fatal(error: &dyn Error) -> StoreError {
    StoreError::Fatal(format!(
        "a request that no store could answer: {error}; this is a fault of roost or of its config"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        for db in [DbError::Overloaded, DbError::IsBootstrapping, DbError::ServerError, DbError::TruncateError] {
            let error = RequestAttemptError::DbError(db, "busy".into());
            assert!(matches!(of_execution(&error.into()), StoreError::Unavailable(_)));
        }
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(2));
        assert!(matches!(of_execution(&timeout), StoreError::Unavailable(_)));
    }

    #[test]
    fn what_stays_wrong_is_fatal_and_says_what_to_look_at() {
        for db in [DbError::Unauthorized, DbError::Invalid, DbError::SyntaxError] {
            let error = RequestAttemptError::DbError(db, "no MODIFY on <table roost.listings>".into());
            let StoreError::Fatal(said) = of_execution(&error.into()) else { panic!("not fatal") };
            assert!(said.contains("roost.listings") && said.contains("roost init"), "{said}");
        }
    }
}
