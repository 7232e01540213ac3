//! Moves a cache from one storage to another, whatever their kinds: every response and alias, bodies streamed.
//!
//! ```text
//! cargo run --example migrate --all-features -- redis://127.0.0.1/ 'file:cache?format=json'
//! ```

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Parser;
use larder::storage::{Copied, StorageExt};

#[derive(Parser)]
#[command(about = "Copies everything in one storage into another; what arrived later stays.")]
struct Arguments {
    /// The storage to read, by its URL: sqlite:cache.db
    from: String,
    /// The storage to write to: 'file:directory?format=json'
    to: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let from = larder::storage::open(&arguments.from).await?;
    let to = larder::storage::open(&arguments.to).await?;
    let total = from.len().await?;
    let mut bar = Bar::new(total);
    let copied = from.copy_to(&*to, |so_far| bar.show(so_far)).await?;
    bar.finish(&copied);
    println!(
        "{} responses and {} aliases copied, {} left as they were newer, {} unreadable, {} refused",
        copied.responses, copied.aliases, copied.skipped, copied.unreadable, copied.refused
    );
    Ok(())
}

/// One line on a terminal that fills up; nothing where the output goes elsewhere.
struct Bar {
    total: u64,
    began: Instant,
    shown: Option<Instant>,
}

impl Bar {
    const WIDTH: u64 = 40;
    const EVERY: Duration = Duration::from_millis(50);

    fn new(total: u64) -> Self {
        Self { total, began: Instant::now(), shown: None }
    }

    fn show(&mut self, copied: &Copied) {
        if self.shown.is_none_or(|shown| shown.elapsed() > Self::EVERY) {
            self.shown = Some(Instant::now());
            self.draw(copied.seen());
        }
    }

    fn finish(&self, copied: &Copied) {
        self.draw(copied.seen());
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
    }

    fn draw(&self, seen: u64) {
        let mut out = std::io::stderr();
        if !out.is_terminal() {
            return;
        }
        let total = self.total.max(seen).max(1);
        let done = usize::try_from(seen * Self::WIDTH / total).unwrap_or_default();
        let left = usize::try_from(Self::WIDTH).unwrap_or_default() - done;
        let per_second = seen as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        // A bar that cannot be drawn is no reason to stop copying.
        let _ = write!(out, "\r[{}{}] {seen}/{total} {per_second:.0}/s ", "#".repeat(done), " ".repeat(left));
        let _ = out.flush();
    }
}
