//! stub
pub mod body;
pub mod clock;
mod config;
pub mod entry;
pub mod error;
pub mod key;
mod layer;
pub mod overrides;
pub mod policy;
pub mod redirect;
pub mod service;
pub mod status;
pub mod storage;

pub use body::CacheBody;
pub use config::Counts;
pub use error::BodyError;
pub use layer::CacheLayer;
pub use overrides::{CacheMode, CacheOverride};
pub use policy::Policy;
pub use service::Cache;
pub use status::CacheStatus;
