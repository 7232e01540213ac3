//! The primitive values of the binary form: what [`Output`] writes, [`Input`] reads within bounds.

use bytes::Bytes;

use crate::entry::error::DecodeError;

/// Collects encoded values.
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Seven bits a byte, the lowest first: most lengths take one byte.
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn len(&mut self, value: usize) {
        self.number(value as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn fixed_u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn fixed_i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    pub(super) fn optional_number(&mut self, value: Option<u64>) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            self.number(value);
        }
    }

    /// Up to 64 flags; their order is part of the format.
    pub(super) fn flags(&mut self, flags: &[bool]) {
        let bits = flags.iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(*flag));
        self.number(bits);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Writes over what was written at `at`, for sums and lengths that are known only at the end.
    pub(super) fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    pub(super) fn len_written(&self) -> usize {
        self.0.len()
    }

    pub(super) fn written_from(&self, at: usize) -> &[u8] {
        self.0.get(at..).unwrap_or_default()
    }
}

/// Reads encoded values; every length is checked against what is left before anything is made of it.
pub(super) struct Input<'a> {
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(whole: &'a Bytes) -> Self {
        Self { whole, rest: whole }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn raw(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Corrupt)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Corrupt)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Corrupt)
    }

    pub(super) fn number_u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.number()?).map_err(|_| DecodeError::Corrupt)
    }

    pub(super) fn len(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.number()?).map_err(|_| DecodeError::Corrupt)
    }

    /// How many items follow: at most `most`, and no more than the bytes left can hold.
    pub(super) fn count(&mut self, most: usize, smallest_item: usize) -> Result<usize, DecodeError> {
        let count = self.len()?;
        let bounded = count <= most && count.saturating_mul(smallest_item) <= self.rest.len();
        bounded.then_some(count).ok_or(DecodeError::Corrupt)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.len()?;
        self.raw(len)
    }

    /// As [`bytes`](Self::bytes), sharing the memory of the input.
    pub(super) fn shared(&mut self) -> Result<Bytes, DecodeError> {
        self.bytes().map(|bytes| self.whole.slice_ref(bytes))
    }

    /// As [`raw`](Self::raw), sharing the memory of the input.
    pub(super) fn shared_raw(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        self.raw(len).map(|bytes| self.whole.slice_ref(bytes))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Corrupt)
    }

    pub(super) fn fixed_u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn fixed_i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<u64>, DecodeError> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            _ => Err(DecodeError::Corrupt),
        }
    }

    pub(super) fn flags<const N: usize>(&mut self) -> Result<[bool; N], DecodeError> {
        let mut bits = self.number()?;
        let flags = std::array::from_fn(|_| {
            let flag = bits & 1 == 1;
            bits >>= 1;
            flag
        });
        if bits == 0 { Ok(flags) } else { Err(DecodeError::Corrupt) }
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Corrupt) }
    }
}
