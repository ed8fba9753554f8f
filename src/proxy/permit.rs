//! Permission for a request that a proxy asks about.

use std::pin::pin;
use std::time::Duration;

use crate::model::local_response::LocalResponse;

use super::decision_time;
use super::request_state::RequestState;
use super::response_filter;

/// Permits a granted request, once a refresh that would run beside the upstream call is done.
pub(super) async fn allow(ctx: &mut RequestState) -> LocalResponse {
    let mut waited = Duration::ZERO;
    let refresh = response_filter::await_early_refresh(ctx);
    decision_time::measure_waits(pin!(refresh), &mut waited).await;
    ctx.waited += waited;
    LocalResponse::Allowed
}
