//! What happens in a story, at random.

use proptest::prelude::*;

/// A story as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Length of the first representation.
    pub(crate) len: usize,
    pub(crate) store_close_delimited: bool,
    /// Requests wait for others that ask the same. Then no body is left open, because all would wait for it.
    pub(crate) collapses: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ask(Asking),
    /// Reads one of the bodies that are still open on, so many bytes or to its end.
    ReadOn(u8, Option<u16>),
    /// The representation changes.
    Change(Change),
    /// A server that is behind answers from now on.
    Back(u8),
    Wait(u16),
    /// An unsafe request.
    Post,
}

/// The new representation.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// As a fraction of twice the first one's.
    pub(crate) len: Option<u16>,
    pub(crate) validator: Validator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    Strong,
    Weak,
    Date,
    None,
}

/// What the client asks, and how the origin will answer whatever the cache makes of it.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// By two at once.
    pub(crate) twice: bool,
    pub(crate) head: bool,
    pub(crate) range: Option<Wanted>,
    pub(crate) condition: Condition,
    pub(crate) directive: Option<&'static str>,
    pub(crate) reading: Reading,
    /// For the first request at the origin, the second ...; after that it answers as it should.
    pub(crate) answers: Vec<Answering>,
}

/// A range, as fractions of the length.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Between(u16, u16),
    From(u16),
    Last(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    /// The validator of one of the representations so far.
    NoneMatch(u8),
    ModifiedSince,
    /// With a range: only if the representation is the current one.
    IfRange,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    All,
    /// So many bytes; then the body is dropped.
    Abort(u16),
    /// So many bytes; the rest is read later, or never.
    Later(u16),
}

/// How the origin answers one request.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    pub(crate) framing: Framing,
    /// Where the body ends too early.
    pub(crate) cut: Option<(u16, bool)>,
    /// More than so many bytes were announced of.
    pub(crate) surplus: u8,
    pub(crate) ranges: Ranges,
    pub(crate) kind: Kind,
    pub(crate) cache_control: &'static str,
    /// Into so many pieces, with empty ones between.
    pub(crate) pieces: u8,
    /// Nothing is there yet at the first time of asking for each piece.
    pub(crate) slow: bool,
    pub(crate) trailers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    Close,
    /// HTTP/2 without a length.
    Stream,
    /// HTTP/2 with a length.
    StreamLength,
    /// No field says so, but the body knows its length.
    Hint,
}

/// What becomes of the range that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    Honoured,
    Ignored,
    /// A part of it.
    Short,
    /// More than it.
    Long,
    /// Another one.
    Shifted,
    /// It does not say how long the whole is.
    Unknown,
    /// `Content-Range` says less than nothing.
    Invalid,
    Unsatisfiable,
    Multipart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Usual,
    /// 304 to whatever is asked.
    NotModified,
    /// 206 to whatever is asked.
    Partial,
    /// 503.
    Failing,
    /// No answer at all.
    Gone,
}

fn answering() -> impl Strategy<Value = Answering> {
    let framing = prop_oneof![
        3 => Just(Framing::Length),
        2 => Just(Framing::Chunked),
        2 => Just(Framing::Close),
        1 => Just(Framing::Stream),
        1 => Just(Framing::StreamLength),
        1 => Just(Framing::Hint),
    ];
    let ranges = prop_oneof![
        10 => Just(Ranges::Honoured),
        1 => Just(Ranges::Ignored),
        1 => Just(Ranges::Short),
        1 => Just(Ranges::Long),
        1 => Just(Ranges::Shifted),
        1 => Just(Ranges::Unknown),
        1 => Just(Ranges::Invalid),
        1 => Just(Ranges::Unsatisfiable),
        1 => Just(Ranges::Multipart),
    ];
    let kind = prop_oneof![
        20 => Just(Kind::Usual),
        1 => Just(Kind::NotModified),
        1 => Just(Kind::Partial),
        1 => Just(Kind::Failing),
        1 => Just(Kind::Gone),
    ];
    let cache_control = prop_oneof![
        6 => Just("max-age=60"),
        1 => Just("max-age=5, stale-while-revalidate=100"),
        1 => Just("max-age=5, stale-if-error=100"),
        1 => Just("no-cache"),
        1 => Just("no-store"),
        1 => Just(""),
    ];
    (
        framing,
        prop::option::weighted(0.3, (any::<u16>(), any::<bool>())),
        prop_oneof![8 => Just(0_u8), 1 => 1..5_u8],
        ranges,
        kind,
        cache_control,
        (0..5_u8, any::<bool>(), prop::bool::weighted(0.1)),
    )
        .prop_map(|(framing, cut, surplus, ranges, kind, cache_control, (pieces, slow, trailers))| {
            Answering { framing, cut, surplus, ranges, kind, cache_control, pieces, slow, trailers }
        })
}

fn asking() -> impl Strategy<Value = Asking> {
    let range = prop_oneof![
        4 => (any::<u16>(), any::<u16>()).prop_map(|(one, other)| Wanted::Between(one, other)),
        1 => any::<u16>().prop_map(Wanted::From),
        1 => any::<u16>().prop_map(Wanted::Last),
    ];
    let condition = prop_oneof![
        8 => Just(Condition::None),
        1 => any::<u8>().prop_map(Condition::NoneMatch),
        1 => Just(Condition::ModifiedSince),
        1 => Just(Condition::IfRange),
    ];
    let directive = prop_oneof![
        10 => Just(None),
        1 => Just(Some("no-cache")),
        1 => Just(Some("max-stale=1000")),
        1 => Just(Some("only-if-cached")),
        1 => Just(Some("no-store")),
    ];
    let reading = prop_oneof![
        8 => Just(Reading::All),
        1 => any::<u16>().prop_map(Reading::Abort),
        1 => any::<u16>().prop_map(Reading::Later),
    ];
    let answers = prop::collection::vec(answering(), 0..3);
    let method = (prop::bool::weighted(0.08), prop::bool::weighted(0.2));
    (method, prop::option::weighted(0.45, range), condition, directive, reading, answers).prop_map(
        |((head, twice), range, condition, directive, reading, answers)| Asking {
            twice,
            head,
            range,
            condition,
            directive,
            reading,
            answers,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let validator = prop_oneof![
        5 => Just(Validator::Strong),
        1 => Just(Validator::Weak),
        1 => Just(Validator::Date),
        1 => Just(Validator::None),
    ];
    let change = (prop::option::of(any::<u16>()), validator);
    prop_oneof![
        16 => asking().prop_map(Step::Ask),
        2 => (any::<u8>(), prop::option::weighted(0.3, any::<u16>())).prop_map(|(one, len)| Step::ReadOn(one, len)),
        1 => change.prop_map(|(len, validator)| Step::Change(Change { len, validator })),
        1 => any::<u8>().prop_map(Step::Back),
        2 => (1..130_u16).prop_map(Step::Wait),
        1 => Just(Step::Post),
    ]
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    // Beyond 64 KiB a body is stored piece by piece, and SQLite and files stream it.
    let len = prop_oneof![20 => 0..40_usize, 1 => 70_000..150_000_usize];
    (len, any::<bool>(), any::<bool>(), prop::collection::vec(step(), 1..20)).prop_map(
        |(len, store_close_delimited, collapses, steps)| Setting {
            len,
            store_close_delimited,
            collapses,
            steps,
        },
    )
}

/// So much of `len`.
pub(crate) fn scaled(fraction: u16, len: usize) -> usize {
    usize::from(fraction) * len / usize::from(u16::MAX)
}
