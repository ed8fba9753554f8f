//! The only room that knows Pingora. This file is the table of contents: each of Pingora's phases
//! in a few lines.
//!
//! Where Pingora's phases do not run, the gateway does not look away: answers of our own and the
//! pages of errors go through `reply::finish` by hand, because `response_filter` sees only what an
//! upstream sent.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::{Error, Result};

use crate::model::local_response::{LocalResponse, Problem};
use crate::runtime::RuntimeHandle;

mod body;
mod context;
mod cors;
mod early_error;
mod form;
mod page;
mod problem_json;
mod reply;
mod request;
mod request_head;
mod resolve;
mod response;
pub mod server;
mod upstream;
mod wire;

pub use context::ProxyContext;

/// The gateway as Pingora sees it.
pub struct Gateway {
    runtime_handle: Arc<RuntimeHandle>,
}

impl Gateway {
    /// A gateway over the configuration that lives at the time of each request.
    #[must_use]
    pub fn new(runtime_handle: Arc<RuntimeHandle>) -> Self {
        Self { runtime_handle }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    // In a box: Pingora moves it from one state of a request to the next, which costs more than the
    // box.
    type CTX = Box<ProxyContext>;

    fn new_ctx(&self) -> Box<ProxyContext> {
        Box::new(ProxyContext::new(self.runtime_handle.current()))
    }

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {
        // No compression: the application knows what of its answers may be compressed beside a
        // secret.
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<ProxyContext>,
    ) -> Result<bool> {
        let settled = if server::head_has_arrived(session) {
            request::decide_or_fail(session, ctx).await
        } else {
            Some(request::refuse_mended_line(session, ctx))
        };
        match settled {
            None => Ok(false),
            Some(answer) => {
                request::decided(ctx);
                reply::send(session, ctx, &answer).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        ctx: &mut Box<ProxyContext>,
    ) -> Result<Box<HttpPeer>> {
        upstream::pick(ctx).await
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<ProxyContext>,
    ) -> Result<()> {
        upstream::edit(request, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<ProxyContext>,
    ) -> Result<()> {
        response::adapt(session, response, ctx).await
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Box<ProxyContext>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent yet: the next upstream may be asked.
        error.set_retry(upstream::another_is_left(ctx));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Box<ProxyContext>,
        reused: bool,
    ) -> Box<Error> {
        // Only what may be repeated (RFC 9110, section 9.2.2), and only while its body is at hand.
        let method = &session.req_header().method;
        if !method.is_idempotent()
            || session.as_ref().retry_buffer_truncated()
            || response::has_begun(session)
        {
            error.set_retry(false);
        } else {
            error.retry.decide_reuse(reused);
        }
        if reused && error.retry() {
            upstream::forget_last_try(ctx);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<ProxyContext>,
    ) -> FailToProxy {
        let Some(reason) = response::blame(error) else {
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        };
        if response::has_begun(session) {
            ctx.failed(reason);
        } else {
            response::settle_ahead(ctx).await;
            let status = if reason == crate::model::reason::Reason::MalformedRequest {
                400
            } else {
                reason.status()
            };
            ctx.failed(reason);
            ctx.close = true;
            let answer = LocalResponse::Problem(Problem::new(reason).with_status(status));
            if reply::send(session, ctx, &answer).await.is_err() {
                tracing::debug!("the client went away before the error could be told");
            }
        }
        FailToProxy {
            error_code: ctx.status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Box<ProxyContext>) {
        response::record(session, ctx);
    }

    fn suppress_error_log(&self, _: &Session, _: &Box<ProxyContext>, _: &Error) -> bool {
        // The access record says it, without the query and the headers that Pingora's own line
        // would carry.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<ProxyContext>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, session: &Session, _: &Box<ProxyContext>) -> String {
        let request = session.req_header();
        format!(
            "{} {}",
            request.method,
            request_head::path_for_logs(request)
        )
    }
}
