//! In place of `src/sync.rs`.

use std::ops::{Deref, DerefMut};
pub(crate) use std::sync::PoisonError;

use shuttle::sync::atomic::AtomicBool;
pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Another thread may go on before it is locked, and also right after it was unlocked.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(content: T) -> Self {
        Self(shuttle::sync::Mutex::new(content))
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>, PoisonError<MutexGuard<'_, T>>> {
        match self.0.lock() {
            Ok(guard) => Ok(MutexGuard(Some(guard))),
            Err(poisoned) => Err(PoisonError::new(MutexGuard(Some(poisoned.into_inner())))),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.0.take());
        if !std::thread::panicking() {
            AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }
}
