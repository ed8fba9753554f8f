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

use crate::model::answer::{Answer, Problem};
use crate::runtime::Living;

mod body;
mod cors;
mod document;
mod fetch;
mod form;
mod page;
mod passage;
mod refusal;
mod reply;
mod request;
mod response;
pub mod server;
mod upstream;
mod view;
mod wire;

pub use passage::Passage;

/// The gateway as Pingora sees it.
pub struct Gateway {
    living: Arc<Living>,
}

impl Gateway {
    /// A gateway over the configuration that lives at the time of each request.
    #[must_use]
    pub fn new(living: Arc<Living>) -> Self {
        Self { living }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    // In a box: Pingora moves it from one state of a request to the next, which costs more than the
    // box.
    type CTX = Box<Passage>;

    fn new_ctx(&self) -> Box<Passage> {
        Box::new(Passage::new(self.living.current()))
    }

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {
        // No compression: the application knows what of its answers may be compressed beside a
        // secret.
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        passage: &mut Box<Passage>,
    ) -> Result<bool> {
        let settled = if server::head_has_arrived(session) {
            request::settle_or_fail(session, passage).await
        } else {
            Some(request::refuse_mended_line(session, passage))
        };
        match settled {
            None => Ok(false),
            Some(answer) => {
                request::decided(passage);
                reply::send(session, passage, &answer).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        passage: &mut Box<Passage>,
    ) -> Result<Box<HttpPeer>> {
        upstream::pick(passage).await
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        upstream::edit(request, passage)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        response::adapt(session, response, passage).await
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        passage: &mut Box<Passage>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent yet: the next upstream may be asked.
        error.set_retry(upstream::another_is_left(passage));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Box<Passage>,
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
            upstream::forget_last_try(passage);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        passage: &mut Box<Passage>,
    ) -> FailToProxy {
        let Some(reason) = response::blame(error) else {
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        };
        if response::has_begun(session) {
            passage.failed(reason);
        } else {
            response::settle_ahead(passage).await;
            let status = if reason == crate::model::reason::Reason::MalformedRequest {
                400
            } else {
                reason.status()
            };
            passage.failed(reason);
            passage.close = true;
            let answer = Answer::Problem(Problem::new(reason).under(status));
            if reply::send(session, passage, &answer).await.is_err() {
                tracing::debug!("the client went away before the error could be told");
            }
        }
        FailToProxy {
            error_code: passage.status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, passage: &mut Box<Passage>) {
        response::record(session, passage);
    }

    fn suppress_error_log(&self, _: &Session, _: &Box<Passage>, _: &Error) -> bool {
        // The access record says it, without the query and the headers that Pingora's own line
        // would carry.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<Passage>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, session: &Session, _: &Box<Passage>) -> String {
        let request = session.req_header();
        format!("{} {}", request.method, view::path_for_logs(request))
    }
}
