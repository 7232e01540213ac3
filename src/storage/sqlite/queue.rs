//! Writing: one thread, one queue, and one transaction for everything that is queued.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::connections::SharedConnection;
use super::error::Fault;
use super::session::{Session, State};
use super::{evict, reclaim, repair};
use crate::storage::StorageErrorKind;
use crate::storage::kit::backlog::Backlog;

/// At most this many jobs are done in one transaction. Optional work is not queued behind more than that.
const BATCH: usize = 64;
/// A database that was found sound is not examined again sooner.
const EXAMINED: Duration = Duration::from_secs(60);

/// The way to the thread that writes. Dropping it waits until everything queued is written; so no job may hold it.
///
/// A job is always queued at once, so that it is done even if nobody waits for it: returning from `main` ends the
/// runtime. What bodies occupy in the queue is bounded by the [`Backlog`].
pub(super) struct Queue {
    jobs: Option<mpsc::UnboundedSender<Queued>>,
    /// How many jobs are queued.
    len: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    pub(super) backlog: Backlog,
}

/// A job in the queue.
struct Queued {
    job: Box<dyn Job>,
    _counted: Counted,
}

/// One of the jobs that are queued, until this is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(len: &Arc<AtomicUsize>) -> Self {
        len.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(len))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    pub(super) fn start(connection: SharedConnection, state: Arc<State>) -> Result<Self, Fault> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("larder-sqlite".into())
            .spawn(move || run(&connection, &state, jobs))?;
        let (len, backlog) = (Arc::default(), Backlog::default());
        Ok(Self { jobs: Some(queue), len, thread: Some(thread), backlog })
    }

    /// Has `work` done in a transaction, together with everything else that is queued. Returns once it is committed.
    ///
    /// The work may be done more than once, each time after the time before was rolled back.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        answer(self.submit(work)?).await
    }

    /// As [`write`](Self::write), but returns when the work is queued, which is at once.
    pub(super) fn submit<T, F>(&self, work: F) -> Result<oneshot::Receiver<Result<T, Fault>>, Fault>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.enqueue(Manner::Grouped, work)
    }

    /// Has `work` done outside of any transaction.
    pub(super) async fn alone<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        answer(self.enqueue(Manner::Alone, work)?).await
    }

    /// Has `work` done at some time, or never if the queue is long. It is for work that a later job can catch up with.
    pub(super) fn nudge<F>(&self, work: F)
    where
        F: Fn(&Session<'_>) -> Result<(), Fault> + Send + 'static,
    {
        if self.len.load(Ordering::Acquire) < BATCH {
            let _ = self.enqueue(Manner::Grouped, work);
        }
    }

    fn enqueue<T, F>(&self, manner: Manner, work: F) -> Result<oneshot::Receiver<Result<T, Fault>>, Fault>
    where
        T: Send + 'static,
        F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (job, outcome) = job(manner, work);
        let queue = self.jobs.as_ref().ok_or_else(ended)?;
        queue.send(Queued { job, _counted: Counted::new(&self.len) }).map_err(|_| ended())?;
        Ok(outcome)
    }
}

/// Waits for the outcome of a submitted job.
async fn answer<T>(outcome: oneshot::Receiver<Result<T, Fault>>) -> Result<T, Fault> {
    outcome.await.unwrap_or_else(|_| Err(ended()))
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

pub(super) fn ended() -> Fault {
    Fault::new(StorageErrorKind::Unavailable, "the writing thread has ended")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Grouped,
    Alone,
}

/// A job that a caller waits for.
trait Job: Send {
    fn manner(&self) -> Manner;
    fn run(&mut self, session: &Session<'_>) -> Result<(), Fault>;
    fn finish(self: Box<Self>, outcome: Result<(), Fault>);
}

struct Waiting<T, F> {
    manner: Manner,
    work: F,
    value: Option<T>,
    waiter: oneshot::Sender<Result<T, Fault>>,
}

fn job<T, F>(manner: Manner, work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Fault>>)
where
    T: Send + 'static,
    F: Fn(&Session<'_>) -> Result<T, Fault> + Send + 'static,
{
    let (waiter, outcome) = oneshot::channel();
    (Box::new(Waiting { manner, work, value: None, waiter }), outcome)
}

impl<T, F> Job for Waiting<T, F>
where
    T: Send,
    F: Fn(&Session<'_>) -> Result<T, Fault> + Send,
{
    fn manner(&self) -> Manner {
        self.manner
    }

    fn run(&mut self, session: &Session<'_>) -> Result<(), Fault> {
        self.value = Some((self.work)(session)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Fault>) {
        let Self { value, waiter, .. } = *self;
        // The caller may no longer be waiting.
        let _ = waiter.send(outcome.and_then(|()| value.ok_or_else(ended)));
    }
}

fn run(connection: &SharedConnection, state: &State, mut jobs: mpsc::UnboundedReceiver<Queued>) {
    let mut health = Health::default();
    let tidy = |jobs: &mpsc::UnboundedReceiver<_>| while with(connection, state, tidy) && jobs.is_empty() {};
    tidy(&jobs);
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first.job];
        while batch.len() < BATCH
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next.job);
        }
        with(connection, state, |session| {
            // Alone ones keep their place among the others.
            let mut rest = batch;
            while !rest.is_empty() {
                let manner = rest.first().map_or(Manner::Grouped, |job| job.manner());
                let same = rest.iter().take_while(|job| job.manner() == manner).count();
                let later = rest.split_off(if manner == Manner::Alone { 1 } else { same });
                let damage = perform(session, manner, rest);
                health.note(session, damage);
                rest = later;
            }
        });
        tidy(&jobs);
    }
    with(connection, state, |session| {
        // The storage is being closed. The changes of these jobs are optional.
        let _ = transact(session, |session| {
            evict::remember(session)?;
            reclaim::give_up_all(session)
        });
    });
    tidy(&jobs);
}

/// The connection is locked for a batch at a time, because in a database in memory the readers use it too.
fn with<T>(connection: &SharedConnection, state: &State, work: impl FnOnce(&Session<'_>) -> T) -> T {
    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    work(&Session { connection: &connection, state })
}

/// Performs jobs and answers for them. Returns whether damage came to light.
fn perform(session: &Session<'_>, manner: Manner, mut batch: Vec<Box<dyn Job>>) -> bool {
    let outcome = match (manner, batch.first_mut()) {
        (Manner::Alone, Some(job)) => job.run(session),
        _ => transact(session, |session| {
            for job in &mut batch {
                job.run(session)?;
            }
            evict::make_room(session).map(drop)
        }),
    };
    let damage = outcome.as_ref().is_err_and(Fault::is_damage);
    match outcome {
        Ok(()) => batch.into_iter().for_each(|job| job.finish(Ok(()))),
        // One job must not fail because of another. If the fault concerns all jobs, a repetition does not help.
        Err(fault) if batch.len() > 1 && fault.kind != StorageErrorKind::Unavailable => {
            for job in batch {
                perform(session, manner, vec![job]);
            }
        }
        Err(fault) => {
            if fault.kind == StorageErrorKind::Full {
                // The log takes room that the database has too.
                let _ = checkpoint(session);
            }
            for job in batch {
                job.finish(Err(fault.clone()));
            }
        }
    }
    damage
}

fn transact<T>(
    session: &Session<'_>,
    work: impl FnOnce(&Session<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // Immediate: a transaction that begins by reading can find itself unable to write later, without waiting.
    let transaction = Transaction::new_unchecked(session.connection, TransactionBehavior::Immediate)?;
    let value = work(&Session { connection: &transaction, state: session.state })?;
    transaction.commit()?;
    Ok(value)
}

/// Does a bounded amount of work that can wait: after each batch, and again while the queue is empty.
/// Returns whether there may be more.
fn tidy(session: &Session<'_>) -> bool {
    let due = reclaim::is_due(session) || evict::is_due(session);
    let tidied = || {
        transact(session, |session| {
            let evicted = evict::make_room(session)?;
            Ok(reclaim::step(session)? || evicted)
        })
    };
    due && tidied().unwrap_or(false)
}

/// Moves the log into the database and cuts it off.
pub(super) fn checkpoint(session: &Session<'_>) -> Result<(), Fault> {
    session.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Examines the database after a failure that damage explains, and empties it when it is damaged.
#[derive(Default)]
struct Health {
    examined: Option<Instant>,
}

impl Health {
    fn note(&mut self, session: &Session<'_>, failure: bool) {
        let reported = session.state.damaged.swap(false, std::sync::atomic::Ordering::Relaxed);
        let suspect = reported || failure;
        if !suspect || self.examined.is_some_and(|examined| examined.elapsed() < EXAMINED) {
            return;
        }
        self.examined = Some(Instant::now());
        let _healed = repair::repair(session.connection);
        #[cfg(feature = "tracing")]
        match _healed {
            Ok(true) => tracing::warn!("a damaged SQLite cache was emptied"),
            Ok(false) => tracing::debug!("a SQLite cache that seemed damaged is sound"),
            Err(fault) => tracing::warn!(detail = fault.detail(), "a damaged SQLite cache cannot be mended"),
        }
    }
}
