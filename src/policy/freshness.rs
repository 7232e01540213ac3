//! Freshness lifetime and age (RFC 9111 section 4.2).
