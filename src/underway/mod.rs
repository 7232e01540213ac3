//! What this process has under way: leading requests, publications, and refreshes in the background.

mod leaders;
mod publishing;
mod refreshes;

pub(crate) use leaders::{LeaderOutcome, Leaders, Leading, Ticket};
pub(crate) use publishing::{Mark, Publishing};
pub(crate) use refreshes::Refreshes;
