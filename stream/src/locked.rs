//! Locks that outlive a panic of another thread: what stands behind the locks of this crate is whole at every step, so a
//! poisoned lock says nothing about it, and the panic ends the process by itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `done`, at most `timeout`. Returns whether it is.
pub(crate) fn wait<T>(mutex: &Mutex<T>, changed: &Condvar, timeout: Duration, done: impl Fn(&T) -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    let mut guard = lock(mutex);
    while !done(&guard) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        guard = changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}
