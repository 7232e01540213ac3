//! Bringing URIs to one form (RFC 3986 section 6.2).
