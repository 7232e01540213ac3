//! stub
pub mod clock;
pub mod entry;
pub mod key;
pub mod overrides;
pub mod policy;
pub mod status;
pub mod storage;
