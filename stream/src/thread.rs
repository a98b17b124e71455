//! Threads whose panic ends the process. A service with a thread less would look well and do nothing; a process that ends is
//! started again, and reads again.

use std::borrow::Cow;
use std::thread::{Builder, JoinHandle};

use crate::Fatal;

/// Starts a thread of this name. `Err`: the system has no thread left.
pub fn spawn<T: Send + 'static>(
    name: &str,
    fatal: &Fatal,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let guard = EndsWithMe::new(name.to_owned(), fatal);
    Builder::new().name(name.to_owned()).spawn(move || {
        let _guard = guard;
        run()
    })
}

/// Held by what must not panic unnoticed, a thread or a task of a runtime, for its whole life.
pub struct EndsWithMe {
    name: Cow<'static, str>,
    fatal: Fatal,
}

impl EndsWithMe {
    /// For the thread or task of this name.
    pub fn new(name: impl Into<Cow<'static, str>>, fatal: &Fatal) -> Self {
        Self { name: name.into(), fatal: Fatal::clone(fatal) }
    }
}

impl Drop for EndsWithMe {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.fatal)(format!("{} panicked: look at the lines above for where", self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_is_told_and_an_orderly_end_is_not() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let fatal: Fatal = {
            let told = Arc::clone(&told);
            Arc::new(move |reason| told.lock().unwrap().push(reason))
        };
        for panics in [false, true] {
            let thread = spawn("a-test", &fatal, move || assert!(!panics, "on purpose")).unwrap();
            assert_eq!(thread.join().is_err(), panics);
        }
        assert_eq!(*told.lock().unwrap(), ["a-test panicked: look at the lines above for where"]);
    }
}
