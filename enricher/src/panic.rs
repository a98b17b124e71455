//! A thread that panics must not leave its service behind as if it still worked: the process ends, and reads again.

use stream::Fatal;

/// Held by a thread for its whole life.
pub(crate) struct EndsWithMe {
    thread: &'static str,
    fatal: Fatal,
}

impl EndsWithMe {
    /// For the thread of this name.
    pub(crate) fn new(thread: &'static str, fatal: &Fatal) -> Self {
        Self { thread, fatal: Fatal::clone(fatal) }
    }
}

impl Drop for EndsWithMe {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.fatal)(format!("enricher: thread {} panicked: look at the lines above for where", self.thread));
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
            let guard = EndsWithMe::new("of a test", &fatal);
            let thread = std::thread::spawn(move || {
                let _guard = guard;
                assert!(!panics, "on purpose");
            });
            let _ = thread.join();
        }
        assert_eq!(*told.lock().unwrap(), ["enricher: thread of a test panicked: look at the lines above for where"]);
    }
}
