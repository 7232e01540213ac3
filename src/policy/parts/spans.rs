//! Where the bytes of stored parts lie in their representation.

use crate::entry::StoredHead;

/// A union up to this length is made at once. A longer one copies a stored part only where the others are together
/// at least half as long. Otherwise each short range of a large file would copy the file again.
const MADE_AT_ONCE: u64 = 16 * 1024 * 1024;

/// Some of the bytes of a stored part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Index of the stored response.
    pub index: usize,
    /// Offset of the first of the bytes in its stored body.
    pub skip: u64,
    /// How many.
    pub len: u64,
}

/// Where the bytes of a stored part lie in the representation: from `first` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) index: usize,
    pub(super) first: u64,
    pub(super) end: u64,
}

impl Span {
    /// `None` for a complete response, and for a part that says something impossible of itself.
    pub(super) fn of(index: usize, head: &StoredHead) -> Option<Self> {
        let range = head.range?;
        let end = range.first.checked_add(head.body?.len)?;
        let possible = range.first < end && range.complete_len.is_none_or(|len| end <= len);
        possible.then_some(Self { index, first: range.first, end })
    }

    fn len(self) -> u64 {
        self.end - self.first
    }

    fn touches(self, first: u64, end: u64) -> bool {
        self.first <= end && first <= self.end
    }

    /// The bytes of this part from one offset of the representation to another.
    pub(super) fn slice(self, from: u64, to: u64) -> Slice {
        Slice { index: self.index, skip: from - self.first, len: to - from }
    }
}

/// Parts of one representation.
pub(super) struct Spans {
    pub(super) known: Vec<Span>,
    pub(super) complete_len: Option<u64>,
}

/// Parts without a hole between them.
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) members: Vec<Span>,
}

impl Spans {
    /// Takes a part in, unless it contradicts the others.
    pub(super) fn add(&mut self, index: usize, head: &StoredHead) {
        let Some(span) = Span::of(index, head) else { return };
        let (known, stated) = (self.complete_len, complete_len_of(head));
        let agrees = known.zip(stated).is_none_or(|(known, stated)| known == stated);
        let fits = known.is_none_or(|len| span.end <= len)
            && stated.is_none_or(|len| self.known.iter().all(|other| other.end <= len));
        if agrees && fits {
            self.complete_len = known.or(stated);
            self.known.push(span);
        }
    }

    /// The parts to be joined with this one; `None` if there are none and it is not the whole.
    pub(super) fn run_around(&self, new: Span) -> Option<Run> {
        let everything = self.grow(new, |_, _| true);
        let whole = everything.first == 0 && self.complete_len == Some(everything.end);
        let run = if whole {
            everything
        } else {
            self.grow(new, |run_len, part_len| {
                run_len.saturating_add(part_len) <= MADE_AT_ONCE || part_len / 2 <= run_len
            })
        };
        (whole || run.members.len() > 1).then_some(run)
    }

    /// Adds the parts that touch the run, the shortest first, as long as `worthwhile` allows it.
    fn grow(&self, new: Span, worthwhile: impl Fn(u64, u64) -> bool) -> Run {
        let mut run = Run { first: new.first, end: new.end, members: vec![new] };
        let mut others: Vec<Span> = self.known.iter().copied().filter(|span| *span != new).collect();
        others.sort_unstable_by_key(|span| span.len());
        while let Some(next) = others.iter().position(|span| {
            let inside = run.first <= span.first && span.end <= run.end;
            span.touches(run.first, run.end) && (inside || worthwhile(run.end - run.first, span.len()))
        }) {
            let span = others.remove(next);
            run.first = run.first.min(span.first);
            run.end = run.end.max(span.end);
            run.members.push(span);
        }
        run
    }

    /// Slices that lie one after the other from `from` on, and how far they reach, `to` at most.
    pub(super) fn tile(&self, from: u64, to: u64) -> (Vec<Slice>, u64) {
        tile(&self.known, from, to)
    }

    /// The same from the end of the representation backwards, down to `from` at most; and where they begin.
    pub(super) fn tile_back(&self, from: u64, complete_len: Option<u64>) -> (Vec<Slice>, u64) {
        let Some(mut reached) = complete_len else { return (Vec::new(), u64::MAX) };
        let mut slices = Vec::new();
        while let Some(span) = self
            .known
            .iter()
            .filter(|span| span.first < reached && span.end >= reached && reached > from)
            .min_by_key(|span| span.first)
        {
            let start = span.first.max(from);
            slices.push(span.slice(start, reached));
            reached = start;
        }
        slices.reverse();
        (slices, reached)
    }
}

/// Slices of these parts that lie one after the other from `from` on, and how far they reach, `to` at most.
pub(super) fn tile(spans: &[Span], from: u64, to: u64) -> (Vec<Slice>, u64) {
    let (mut slices, mut reached) = (Vec::new(), from);
    while let Some(span) = spans
        .iter()
        .filter(|span| span.first <= reached && span.end > reached && reached < to)
        .max_by_key(|span| span.end)
    {
        let end = span.end.min(to);
        slices.push(span.slice(reached, end));
        reached = end;
    }
    (slices, reached)
}

/// The length of the whole representation, as far as a part knows it.
pub(super) fn complete_len_of(head: &StoredHead) -> Option<u64> {
    head.range.and_then(|range| range.complete_len)
}
