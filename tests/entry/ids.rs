//! Names of bodies.

use std::collections::HashSet;

use larder::entry::EntryId;

/// `fork` copies the state of a generator in this process, as seeding it twice does.
#[test]
fn ids_do_not_come_from_state_that_a_fork_copies() {
    let draw = || {
        fastrand::seed(7);
        EntryId::random()
    };
    let ids: HashSet<_> = (0..1000).map(|_| draw()).collect();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn all_bits_of_an_id_are_random() {
    let (ones, zeros) = (0..200).fold((0, 0), |(ones, zeros), _| {
        let bits = EntryId::random().bits();
        (ones | bits, zeros | !bits)
    });
    assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
}
