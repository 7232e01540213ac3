//! What the policy worked out.

use super::bytes_io::{Input, Output};
use crate::clock::Timestamp;
use crate::entry::Freshness;
use crate::entry::error::DecodeError;

pub(super) fn write_freshness(out: &mut Output, freshness: &Freshness) {
    let Freshness {
        settings,
        lifetime,
        initial_age,
        no_cache,
        must_revalidate,
        immutable,
        stale_while_revalidate,
        stale_if_error,
        explicit,
        overridden,
        outdated,
        date,
    } = *freshness;
    out.flags(&[no_cache, must_revalidate, immutable, explicit, overridden, outdated]);
    out.fixed_u64(settings);
    out.number(initial_age);
    for seconds in [lifetime, stale_while_revalidate, stale_if_error] {
        out.number(seconds.into());
    }
    out.fixed_i64(date.as_millis());
}

pub(super) fn read_freshness(input: &mut Input<'_>) -> Result<Freshness, DecodeError> {
    let [no_cache, must_revalidate, immutable, explicit, overridden, outdated] = input.flags()?;
    Ok(Freshness {
        no_cache,
        must_revalidate,
        immutable,
        explicit,
        overridden,
        outdated,
        settings: input.fixed_u64()?,
        initial_age: input.number()?,
        lifetime: input.number_u32()?,
        stale_while_revalidate: input.number_u32()?,
        stale_if_error: input.number_u32()?,
        date: input.fixed_i64().map(Timestamp::from_millis)?,
    })
}
