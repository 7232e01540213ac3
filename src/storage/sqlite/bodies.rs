//! The bodies that this storage reads and writes at present, and the processes that do.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::random;

/// The bodies that this storage reads and writes at present.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) owner: i64,
    pub(super) process: String,
    writing: Mutex<HashSet<i64>>,
    reading: Mutex<HashMap<i64, usize>>,
    /// A condemned body was left alone for the sake of a reader.
    pub(super) spared: AtomicBool,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            owner: random::bits64().cast_signed(),
            process: Process::own(),
            writing: Mutex::default(),
            reading: Mutex::default(),
            spared: AtomicBool::new(false),
        }
    }

    fn begin_writing(&self, body: i64) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).insert(body);
    }

    fn end_writing(&self, body: i64) {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).remove(&body);
    }

    pub(super) fn begin_reading(&self, body: i64) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *reading.entry(body).or_default() += 1;
    }

    /// Returns whether there may now be something to reclaim.
    pub(super) fn end_reading(&self, body: i64) -> bool {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(readers) = reading.get_mut(&body) {
            *readers -= 1;
            if *readers == 0 {
                reading.remove(&body);
            }
        }
        self.spared.load(Ordering::Relaxed)
    }

    pub(super) fn is_read(&self, body: i64) -> bool {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&body)
    }

    pub(super) fn is_written(&self, body: i64) -> bool {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).contains(&body)
    }
}

/// A body that is being written, for as long as its writer or a job of it lives.
#[derive(Debug)]
pub(super) struct Writing {
    bodies: Arc<Bodies>,
    body: i64,
}

impl Writing {
    pub(super) fn new(bodies: &Arc<Bodies>, body: i64) -> Arc<Self> {
        bodies.begin_writing(body);
        Arc::new(Self { bodies: Arc::clone(bodies), body })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.bodies.end_writing(self.body);
    }
}

/// A process as others can ask for it: its id and, because ids mean something only there, its id namespace.
pub(super) struct Process;

impl Process {
    fn own() -> String {
        format!("{}@{}", std::process::id(), Self::namespace().unwrap_or_default())
    }

    /// Whether that process certainly does not live any more. Where that cannot be told, patience has to do.
    pub(super) fn is_dead(process: &str, own: &str) -> bool {
        let (Some((id, namespace)), Some((_, own_namespace))) =
            (process.split_once('@'), own.split_once('@'))
        else {
            return false;
        };
        !namespace.is_empty()
            && namespace == own_namespace
            && id.bytes().all(|byte| byte.is_ascii_digit())
            && !Path::new("/proc").join(id).exists()
    }

    /// Only Linux has one.
    fn namespace() -> Option<String> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        namespace.into_os_string().into_string().ok()
    }
}
