//! A suite that checks the sentences of the [storage contract](super::contract), for the backends here and
//! for your own.
//!
//! Each requirement is a separate async function. Its name says what it requires, and its documentation quotes the
//! contract. A backend's tests pass a [`Fixture`]: an empty storage without other users, and what else the suite may do
//! with it.
//!
//! ```
//! use larder::storage::MemoryStorage;
//! use larder::storage::conformance::Fixture;
//!
//! async fn memory() -> Fixture {
//!     let storage = MemoryStorage::new();
//!     let handle = storage.clone();
//!     Fixture::new(storage).reopen(move || {
//!         let handle = handle.clone();
//!         async move { Ok(handle) }
//!     })
//! }
//!
//! larder::conformance_tests!(memory());
//! # fn main() {}
//! ```
//!
//! [`conformance_tests!`](crate::conformance_tests) makes one `#[tokio::test]` of each requirement, so that
//! `cargo test` lists them; [`run`] runs them one after the other and names all that fail.
//!
//! The suite does not prove the absence of faults. Kill the process, fill the disk and cut the connection in your own
//! tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test reports its failure"
)]

mod fixture;
mod sample;

pub mod aliases;
pub mod bodies;
pub mod concurrency;
pub mod damage;
pub mod errors;
pub mod fences;
pub mod freshening;
pub mod groups;
pub mod handles;
pub mod heads;
pub mod keys;
pub mod listing;
pub mod maintenance;
pub mod publishing;
pub mod readers;
pub mod removal;
pub mod variants;

pub use fixture::{Damage, Fixture};

use std::future::Future;
use std::pin::Pin;

/// One requirement of the contract.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Requirement {
    /// Its name: `publishing::a_response_is_invisible_until_it_is_published`.
    pub name: &'static str,
    /// Checks it. Panics if the storage does not meet it.
    pub check: fn(Fixture) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Calls a macro with the list of all requirements.
#[doc(hidden)]
#[macro_export]
macro_rules! __larder_requirements {
    ([$($callback:tt)*] $($arguments:tt)*) => {
        $($callback)*! { [$($arguments)*]
            publishing {
                a_response_is_invisible_until_it_is_published,
                a_published_response_is_found_whole,
                an_aborted_writer_leaves_nothing,
                a_dropped_writer_leaves_nothing,
                a_published_response_replaces_the_one_before,
                two_interleaved_writers_never_mix_and_the_last_publication_wins,
                an_aborted_writer_leaves_the_response_before,
            }
            variants {
                several_variants_stand_side_by_side,
                equal_selecting_fields_replace,
                a_different_range_is_a_different_variant,
                the_most_recently_published_comes_first,
                the_number_of_variants_is_bounded_and_the_oldest_go,
            }
            heads {
                every_field_survives,
                heads_over_the_limit_are_refused_or_survive,
                repeated_and_empty_and_raw_fields_survive_in_order,
                trailers_survive_apart,
                odd_versions_methods_and_statuses_survive,
                many_fields_survive,
            }
            bodies {
                an_empty_body,
                a_body_of_one_byte,
                bodies_around_the_inline_threshold,
                a_body_of_one_mebibyte,
                a_big_body_streams_through,
                pieces_of_any_size_and_empty_ones,
                the_summary_is_of_what_was_written,
            }
            readers {
                a_replaced_body_is_read_to_its_end_or_fails,
                a_removed_body_is_read_to_its_end_or_fails,
                a_cleared_body_is_read_to_its_end_or_fails,
                an_inline_body_can_be_opened_too,
                several_readers_do_not_disturb_each_other,
            }
            freshening {
                the_head_is_replaced_and_the_body_is_not_touched,
                only_the_response_with_the_id_is_freshened,
                a_replaced_response_is_not_freshened,
                a_removed_response_is_not_freshened,
                a_head_that_does_not_know_its_body_is_refused,
                a_fence_from_before_a_removal_freshens_nothing,
            }
            aliases {
                an_alias_is_found_with_its_target_and_body,
                an_alias_replaces_the_one_before,
                both_keyspaces_are_found_in_one_lookup,
                the_keyspaces_do_not_replace_each_other,
                an_alias_of_one_kind_replaces_one_of_another,
                an_alias_without_its_body_is_refused,
            }
            removal {
                remove_takes_both_keyspaces_of_one_key,
                remove_says_whether_there_was_anything,
                remove_entry_takes_one_variant,
                remove_entry_takes_an_alias,
                remove_entry_with_another_id_takes_nothing,
                clear_takes_everything,
                clear_takes_one_keyspace,
                a_cleared_storage_can_be_used_again,
            }
            fences {
                a_removal_after_the_lookup_refuses_the_fill,
                a_removal_while_the_body_is_written_refuses_the_fill,
                a_clearing_after_the_lookup_refuses_the_fill,
                a_clearing_of_responses_refuses_the_fill,
                a_removal_after_the_lookup_refuses_the_alias,
                a_clearing_of_aliases_refuses_the_alias,
                a_lookup_after_the_removal_may_fill,
                an_older_removal_is_not_forgotten_among_many,
                removals_by_another_handle_refuse_too,
            }
            listing {
                every_page_size_sees_every_response_once,
                every_page_size_sees_every_alias_once,
                an_empty_storage_lists_nothing,
                a_removal_between_pages_loses_nothing_else,
                a_foreign_cursor_does_no_harm,
                usage_counts_responses_and_aliases,
            }
            groups {
                members_are_marked_when_their_group_is_invalidated,
                all_groups_of_one_call_are_invalidated,
                everything_stored_for_a_target_is_marked_when_it_is_invalidated,
                what_is_stored_after_the_invalidation_is_not_marked,
                what_was_looked_up_before_the_invalidation_is_marked,
                a_freshened_response_is_no_longer_marked,
                origins_and_names_are_kept_apart,
                aliases_are_marked_too,
                invalidating_what_is_not_stored_takes_bounded_room,
                another_handle_sees_the_invalidation,
            }
            keys {
                hostile_bytes_are_only_bytes,
                the_boundary_between_parts_counts,
                look_alike_hashes_are_told_apart,
                a_very_long_key_works,
                listing_gives_keys_back_unchanged,
            }
            handles {
                a_reopened_storage_sees_everything,
                two_handles_see_each_other,
                two_handles_write_one_key_without_mixing,
            }
            concurrency {
                fifty_tasks_on_overlapping_keys_never_see_a_mixed_body,
                fifty_writers_of_one_key_leave_one_whole_response,
                lookups_while_everything_is_replaced_see_whole_responses,
            }
            damage {
                a_flipped_bit_in_a_small_body_is_never_handed_out,
                a_flipped_bit_in_a_large_body_is_never_handed_out,
                a_lost_body_is_an_error_and_never_short,
                a_garbled_head_is_a_miss,
                what_another_version_wrote_is_a_miss_and_stays,
            }
            errors {
                opening_an_unknown_body_is_missing,
                an_announced_body_over_the_limit_is_too_large,
                a_written_body_over_the_limit_is_too_large,
                a_head_over_the_limit_is_too_large_and_never_stored_as_damage,
                the_error_names_its_backend,
            }
            maintenance {
                responses_past_their_usable_time_are_reclaimed,
                what_is_usable_stays,
                the_time_that_is_given_decides,
                remains_of_dropped_writers_are_reclaimed,
                writers_at_work_are_left_alone,
            }
        }
    };
}

/// Makes one `#[tokio::test]` of every [requirement](crate::storage::conformance) for the storage of this fixture.
///
/// The argument is an expression that is awaited anew in every test and gives a
/// [`Fixture`](crate::storage::conformance::Fixture). The tests are in modules named after their subject; call the
/// macro in a separate module if one file tests several backends. Your crate needs `tokio` with
/// `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::__larder_requirements! { [$crate::__larder_tests] $fixture }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __larder_tests {
    ([$fixture:expr] $($subject:ident { $($name:ident,)* })*) => {
        $(
            mod $subject {
                #[allow(unused_imports, reason = "the fixture may be named from anywhere")]
                use super::*;
                $crate::__larder_tests! { @one [$fixture] $subject $($name)* }
            }
        )*
    };
    (@one [$fixture:expr] $subject:ident $($name:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::storage::conformance::$subject::$name($fixture.await).await;
            }
        )*
    };
}

macro_rules! listed {
    ([] $($subject:ident { $($name:ident,)* })*) => {
        /// All requirements, in the order of the contract.
        pub const REQUIREMENTS: &[Requirement] = &[
            $($(Requirement {
                name: concat!(stringify!($subject), "::", stringify!($name)),
                check: |fixture| Box::pin($subject::$name(fixture)),
            },)*)*
        ];
    };
}

crate::__larder_requirements! { [listed] }

/// Runs every requirement on a fixture of its own, one after the other. Returns how many there are, all of which hold.
///
/// # Panics
///
/// When the storage fails a requirement, after all of them ran; the message names each one that failed.
pub async fn run<F>(mut fixture: impl FnMut() -> F) -> usize
where
    F: Future<Output = Fixture>,
{
    let mut failed = Vec::new();
    for requirement in REQUIREMENTS {
        let check = (requirement.check)(fixture().await);
        if let Err(error) = tokio::spawn(check).await {
            failed.push(format!("{}: {}", requirement.name, reason(error)));
        }
    }
    assert!(failed.is_empty(), "{} requirements failed:\n{}", failed.len(), failed.join("\n"));
    REQUIREMENTS.len()
}

fn reason(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "cancelled".to_owned() };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| "panicked".to_owned(), |text| (*text).to_owned())
        }
    }
}
