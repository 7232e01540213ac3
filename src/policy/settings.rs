//! What the user sets beside the RFC.

/// How the cache decides: as a private or as a shared cache, and the user's settings beside the RFC.
#[derive(Clone, Debug)]
#[must_use]
pub struct Policy {
    shared: bool,
}

impl Policy {
    /// A private cache: for one user, the default.
    pub fn private() -> Self {
        Self { shared: false }
    }

    /// A shared cache: for several users, with the stricter rules of RFC 9111 for them.
    pub fn shared() -> Self {
        Self { shared: true }
    }

    pub(crate) fn overrides_lifetime(&self) -> bool {
        false
    }
    /// Whether this is a shared cache.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}
