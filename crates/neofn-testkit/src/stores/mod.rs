//! One suite for every store: each test holds a store to a sentence of the ports. Knows no backend; a backend
//! gives a [`Harness`] and calls [`suite!`].
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

pub mod audit;
pub mod bank;
pub mod claims;
pub mod flaky;
pub mod history;
pub mod identity;
pub mod keyed;
pub mod kv;
pub mod lanes;
pub mod leases;
pub mod ledger;
pub mod promises;
pub mod registry;
pub mod replies;
pub mod secrets;
pub mod support;
pub mod triggers;

use crate::stores::support::TestClock;
use neofn_engine::port::{InvocationStore, KvStore, LeaseStore, PromiseStore, ReplyStore};
use neofn_engine::triggers::port::TriggerStore;
use neofn_gas::port::LedgerStore;
use neofn_identity::auditlog::port::AuditStore as LogStore;
use neofn_identity::port::{AuditStore, IdentityStore, MemberStore, SessionStore};
use neofn_registry::port::RegistryStore;
use neofn_secrets::port::SecretStore;
use std::future::Future;
use std::sync::Arc;

/// All the ports at once.
pub trait AnyStore:
    InvocationStore
    + KvStore
    + RegistryStore
    + TriggerStore
    + LeaseStore
    + ReplyStore
    + PromiseStore
    + SecretStore
    + AnyIdentityStore
{
}
impl<T> AnyStore for T where
    T: InvocationStore
        + KvStore
        + RegistryStore
        + TriggerStore
        + LeaseStore
        + ReplyStore
        + PromiseStore
        + SecretStore
        + AnyIdentityStore
{
}
/// Those of identity.
pub trait AnyIdentityStore: IdentityStore + SessionStore + MemberStore + AuditStore {}
impl<T: IdentityStore + SessionStore + MemberStore + AuditStore> AnyIdentityStore for T {}

/// How the suite opens a backend.
pub trait Harness: Sized + Send + Sync {
    /// Whether the end of a store is the end of every claim, because it has its place to itself.
    const CLAIMS_END_WITH_THE_STORE: bool = true;
    /// How many of `usual` random cases are tried: each opens a place of its own.
    #[must_use]
    fn cases(usual: u32) -> u32 {
        usual
    }
    type Store: AnyStore;
    /// Its port of money.
    fn money(store: &Arc<Self::Store>) -> Arc<dyn LedgerStore>;
    /// Its port of the audit log.
    fn log(store: &Arc<Self::Store>) -> Arc<dyn LogStore>;
    /// A place with nothing in it.
    fn new() -> Self;
    /// The clock that its stores read.
    fn clock(&self) -> Arc<TestClock>;
    /// Opens the place.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
    /// Stops the store as a crash does: what was answered stays, claims have no owner any more.
    fn stop(&self, store: Self::Store) -> impl Future<Output = ()> + Send;
}

/// The whole suite against a backend.
#[macro_export]
macro_rules! suite {
    ($harness:ident) => {
        $crate::suite!(@each $harness, claims: [
            queued_invocations_are_claimed_oldest_first,
            busy_functions_are_skipped,
            a_function_is_claimed_no_oftener_than_it_has_room,
            a_flood_leaves_others_their_share,
            equals_take_turns,
            a_claim_that_is_released_costs_no_attempt,
            a_claim_grows_fence_and_attempt,
            a_stale_fence_writes_nothing,
            an_ended_invocation_stays_ended,
            expired_leases_are_given_up,
            renewing_keeps_a_claim_and_tells_lost_ones,
            a_full_queue_refuses,
            a_retry_waits_for_its_time,
            next_due_follows_the_queue,
            what_waits_is_told_by_function,
            a_restart_gives_up_every_claim,
            fences_hold_under_any_schedule,
        ]);
        $crate::suite!(@each $harness, keyed: [
            the_same_request_is_answered_by_the_first_invocation,
            the_same_key_with_another_request_is_refused,
            keys_belong_to_a_function,
            an_interrupted_keyed_call_is_rearmed,
            a_lost_keyed_call_is_rearmed,
            a_rearmed_call_fences_the_first_one,
            admitting_the_same_id_twice_is_once,
        ]);
        $crate::suite!(@each $harness, kv: [
            writes_commit_with_the_result,
            a_failed_compare_writes_nothing_at_all,
            absent_and_revision_hold_at_the_commit,
            counters_add_and_never_conflict,
            what_is_no_counter_is_refused,
            quotas_are_checked_against_the_sum,
            expired_entries_are_not_there,
            listing_is_by_prefix_in_byte_order,
            namespaces_are_apart,
            revisions_grow_over_the_namespace,
            commits_agree_with_a_model,
            counters_never_leave_the_range_of_exact_numbers,
        ]);
        $crate::suite!(@each $harness, history: [
            the_oldest_history_goes_when_the_disk_would_fill,
            a_record_reads_back_as_it_was,
            a_record_is_written_though_nobody_waits,
            the_same_record_twice_is_once,
            listings_are_newest_first_and_filtered,
            recorded_inputs_come_back,
            totals_count_every_end_once,
            pruning_keeps_what_retention_says,
            a_key_keeps_its_answer,
            unknown_functions_and_ids_are_not_found,
        ]);
        $crate::suite!(@each $harness, registry: [
            publishing_makes_versions_and_moves_live,
            the_same_content_makes_no_new_version,
            live_moves_back_and_forth,
            live_moves_only_upon_what_a_command_stands_on,
            switching_off_is_outside_the_version,
            listings_are_by_name_and_paged,
            deleting_takes_everything_along,
            blobs_are_stored_once_under_their_digest,
            an_artifact_is_replaced_in_place,
        ]);
        $crate::suite!(@each $harness, triggers: [
            matches_and_cursor_move_together,
            an_event_has_its_effect_once,
            a_full_function_is_left_behind_whole,
            a_paused_trigger_stands_still,
            a_change_that_follows_from_another_version_changes_nothing,
            a_lane_keeps_its_order,
            batches_fill_up_or_run_out_of_time,
            a_batch_is_bounded_in_bytes,
            a_lane_that_cannot_go_holds_up_no_other,
            a_burst_is_its_last_event,
            emitted_events_commit_with_the_result,
            emitted_events_need_room,
            dead_letters_are_retried_or_dropped,
            cron_runs_are_handled_once,
            another_schedule_begins_now,
            a_chain_that_begins_anew_has_new_events,
            a_cursor_is_placed_only_from_where_it_stands,
            a_deleted_function_takes_its_triggers_along,
        ]);
        $crate::suite!(@each $harness, lanes: [
            a_lane_runs_one_at_a_time_under_any_schedule,
        ]);
        $crate::suite!(@each $harness, ledger: [
            a_group_keeps_what_is_allowed,
            holds_end_once,
            budgets_stop_and_warn,
            a_purse_spends_no_more_than_its_lease,
            who_leaves_keeps_nothing_on_hold,
            a_failed_write_keeps_nothing_on_hold,
            statements_page_backwards,
            credit_does_not_leave_whoever_asks,
            an_end_and_its_charge_are_one,
            a_retried_dead_letter_is_charged_again,
            runs_of_a_deleted_function_are_paid_for,
            of_a_shared_ledger_the_dead_give_back,
        ]);
        $crate::suite!(@each $harness, bank: [
            fees_that_were_given_back_are_set_aside_anew,
            what_a_transaction_gives_away_is_its_projects,
            tokens_stay_unless_they_are_named,
            what_left_by_no_payment_is_seen_and_written_off,
        ]);
        $crate::suite!(@each $harness, audit: [
            what_is_appended_is_proved_and_anchored,
            many_append_at_once,
        ]);
        $crate::suite!(@each $harness, leases: [
            a_lease_has_one_holder,
            leases_that_ended_long_ago_are_forgotten,
            the_leases_that_hold_are_listed,
            of_many_that_ask_at_once_one_gets_it,
        ]);
        $crate::suite!(@each $harness, replies: [
            a_request_is_done_once_under_its_name,
            of_many_that_come_at_once_one_is_done,
        ]);
        $crate::suite!(@each $harness, promises: [
            a_promise_is_due_once_its_invocation_ended,
            promises_of_what_is_gone_are_due,
            of_an_end_and_a_promise_at_once_none_is_missed,
            of_several_nodes_one_tells_an_end,
            who_asks_while_it_is_told_is_told_too,
        ]);
        $crate::suite!(@each $harness, secrets: [
            the_root_is_set_once_and_replaced_with_every_key,
            project_keys_are_added_once_and_dropped_when_unused,
            a_change_is_whole_and_compares_the_revision,
            values_come_and_go_with_their_versions,
            listings_are_by_name_within_a_project,
            rewrapping_compares_the_envelope,
            a_removed_secret_leaves_nothing,
            what_is_due_is_found_oldest_first,
            the_vault_survives_a_restart,
        ]);
        $crate::suite!(@each $harness, identity: [
            keys_are_kept_oldest_first,
            a_challenge_is_used_up_once,
            challenges_are_bounded_and_those_that_ended_forgotten,
            a_refresh_token_is_exchanged_once,
            a_session_ends_once_and_by_its_time,
            a_signing_key_has_its_number_alone,
            projects_belong_to_those_who_made_them,
            a_project_keeps_an_owner,
            roles_are_bounded_and_below_the_ceiling,
            a_role_for_a_function_ends_with_it,
            keys_of_a_project_are_bounded_and_revoked,
            keys_that_ended_are_forgotten_in_turn,
            who_leaves_takes_their_keys_along,
            keys_of_keys_end_with_them,
            nobody_becomes_the_last_owner_unasked,
            a_project_that_ended_is_nobodys,
            the_audit_log_has_every_act_in_order,
        ]);
    };
    (@each $harness:ident, $module:ident: [$($test:ident,)*]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    $crate::stores::$module::$test::<super::$harness>().await;
                }
            )*
        }
    };
}
