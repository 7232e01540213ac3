//! Why a response is not stored.

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// The request or the user said no-store.
    RequestNoStore,
    /// Responses to this method are not stored.
    Method,
    /// The status is interim, or answers a precondition or range of this one request.
    Status,
    /// must-understand, and the status is not known.
    NotUnderstood,
    /// The response said no-store.
    NoStore,
    /// The response is private, and this cache is shared.
    Private,
    /// The request was authorized, this cache is shared, and no directive of the response allows storing.
    Authorization,
    /// The response sets cookies, and [`SetCookie::Refuse`](crate::policy::SetCookie::Refuse) is set.
    SetCookie,
    /// Neither the response nor the settings allow storing a response with this status.
    NotCacheable,
    /// `Vary: *`: no request would ever select it.
    VaryStar,
    /// Neither a lifetime nor a validator: it could never be used.
    Useless,
    /// A 206 whose range is missing, invalid or not a single one.
    Partial,
    /// More fields, bytes of fields or groups than a stored head holds: [`StoredHead::is_within_limits`](crate::entry::StoredHead::is_within_limits).
    LargeHead,
}

impl NotStored {
    /// A short text for `Cache-Status`' `detail`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestNoStore => "request no-store",
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::NotCacheable => "not cacheable",
            Self::VaryStar => "vary *",
            Self::Useless => "no lifetime and no validator",
            Self::Partial => "partial",
            Self::LargeHead => "large head",
        }
    }
}
