//! The only module that uses Pingora. This file is its table of contents: each of Pingora's phases
//! in a few lines.
//!
//! Pingora calls `response_filter` only for responses of an upstream. The gateway's own responses
//! and error pages therefore pass `reply::finish` by an explicit call.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::apps::HttpServerOptions;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::HttpPeer;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::server::configuration::ServerConf;
use pingora::{Error, ErrorType, Result};

use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::runtime::RuntimeHandle;

mod asked_request;
mod catch_panic;
pub mod connection;
mod cors;
mod decision_time;
mod early_answers;
mod field_lines;
mod form;
mod forward_auth;
mod log_path;
mod page_language;
mod page_response;
mod permit;
mod problem_json;
mod reach_verdict;
mod read_request_body;
mod rendered_response;
mod reply;
mod request;
mod request_head;
mod request_spans;
mod request_state;
mod request_trace;
mod resolve;
pub mod resolver;
mod response_filter;
mod upgrade_connector;
mod upstream;
mod upstream_error;
mod upstream_peer;
mod upstream_probe;

pub use upstream_probe::{ProbeError, ProbeRequest, ProbeResponse, UpstreamProbe};

use connection::{Accepting, Connection, Listener, RequestBody, Service};
use request_state::RequestState;

/// The most attempts to forward one request, whatever is left to try.
const MAX_ATTEMPTS: usize = 64;

/// The gateway as Pingora sees it. Each request is served by the configuration in force when it
/// arrives.
struct Gateway {
    runtime_handle: Arc<RuntimeHandle>,
}

/// Serves the sites on `listeners` until `accepting` ends, then waits for requests in flight, at
/// most for `server.drain`.
///
/// # Errors
/// When a listener cannot be used.
pub async fn serve(
    runtime_handle: Arc<RuntimeHandle>,
    listeners: Vec<Listener>,
    accepting: Accepting,
) -> std::io::Result<()> {
    let gateway = Gateway {
        runtime_handle: Arc::clone(&runtime_handle),
    };
    let current = runtime_handle.current();
    let kept = current
        .sites()
        .iter()
        .map(|site_runtime| site_runtime.site.upstream_keepalive);
    let conf = ServerConf {
        upstream_keepalive_pool_size: kept.sum(),
        // Every address of every upstream is tried: what there is to try ends a request.
        max_retries: MAX_ATTEMPTS,
        ..ServerConf::default()
    };
    choose_cryptography();
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
    // The gateway refuses `CONNECT` itself, in its own words. No tunnel is opened.
    let mut options = HttpServerOptions::default();
    options.allow_connect_method_proxying = true;
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    let service = Service::new(proxy, runtime_handle, accepting);
    connection::serve(service, listeners).await
}

/// Makes rustls use aws-lc for connections to upstreams. Without a choice, Pingora takes another
/// library, which cannot sign with every key that the configuration accepts.
fn choose_cryptography() {
    // It fails where a choice was made before, which is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Checks that the certificates this machine trusts can be read: Pingora panics where they cannot.
///
/// # Errors
/// What is wrong with them, and what to do, for an operator.
pub fn check_trusted_certificates() -> std::result::Result<(), String> {
    let mut store = pingora::tls::RootCertStore::empty();
    pingora::tls::load_platform_certs_incl_env_into_store(&mut store).map_err(|error| {
        let cause = error
            .cause
            .as_ref()
            .map_or_else(String::new, |cause| format!(": {cause}"));
        format!(
            "this machine's trusted certificates cannot be read{cause}; repair them, or \
             name others with SSL_CERT_FILE"
        )
    })
}

#[async_trait]
impl ProxyHttp for Gateway {
    // In a box: Pingora moves the context several times for each request, which costs more than the
    // allocation.
    type CTX = Box<RequestState>;

    fn new_ctx(&self) -> Box<RequestState> {
        let (runtime, connection) = (self.runtime_handle.current(), Connection::current());
        Box::new(RequestState::new(runtime, connection))
    }

    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {
        // No compression: only the application knows which of its responses are safe to compress
        // together with a secret.
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<RequestState>,
    ) -> Result<bool> {
        let body = RequestBody::of(&session.req_header().headers);
        if body == RequestBody::Unframed {
            // Pingora takes an empty chunk size for the end of the body, other servers skip the
            // line. So what follows a chunked body is not read as a request, and no error either:
            // the request is answered, and the connection is closed.
            session.set_keepalive(None);
            session.set_pipelining_enabled(true);
        }
        if ctx.runtime.closes_connections() {
            // The client's next request goes to a new connection, and so to another server.
            session.set_keepalive(None);
        }
        ctx.trace = request_spans::begin(session.req_header(), ctx);
        let settled = if ctx.connection.finish_head(body) {
            request::decide_or_fail(session, ctx).await
        } else {
            Some(request::reject_request_line(session, ctx))
        };
        match settled {
            None => Ok(false),
            Some(answer) => {
                decision_time::record(ctx);
                let answer = forward_auth::respond(ctx, answer);
                reply::send(session, ctx, &answer).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        ctx: &mut Box<RequestState>,
    ) -> Result<Box<HttpPeer>> {
        upstream::select_peer(ctx).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<RequestState>,
    ) -> Result<()> {
        upstream::apply_headers(request, session.req_header(), ctx)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Box<RequestState>,
    ) -> Result<()> {
        upstream::count_body(ctx, body.as_ref().map_or(0, Bytes::len))
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<RequestState>,
    ) -> Result<()> {
        // Before Pingora chooses how the response is framed for the client.
        response_filter::validate_response(session, response, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<RequestState>,
    ) -> Result<()> {
        response_filter::filter_response(session, response, ctx).await
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        ctx: &mut Box<RequestState>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // Nothing was sent yet: the request may be sent to another address.
        let retry = upstream::connect_failed(ctx, &error);
        error.set_retry(retry);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Box<RequestState>,
        reused: bool,
    ) -> Box<Error> {
        // Only an idempotent request is sent again (RFC 9110, section 9.2.2), and only while its
        // body is buffered.
        let is_repeatable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated()
            && !response_filter::has_started(session);
        error.retry.decide_reuse(reused);
        let retry = if is_repeatable {
            upstream::repeat_after(ctx, &error, reused.into())
        } else {
            // Who waits for a body that does not come is not the one who fails.
            let is_stalled =
                *error.etype() == ErrorType::ReadTimedout && !session.as_mut().is_body_done();
            if !is_stalled {
                upstream::record_failure(ctx, &error);
            }
            false
        };
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<RequestState>,
    ) -> FailToProxy {
        let Some(reason) = response_filter::classify_error(error) else {
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        };
        if response_filter::has_started(session) {
            ctx.failed(reason);
        } else {
            response_filter::await_early_refresh(ctx).await;
            let status = if reason == Reason::MalformedRequest {
                400
            } else {
                reason.status()
            };
            ctx.failed(reason);
            ctx.response.close = true;
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

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Box<RequestState>) {
        response_filter::record_request(session, ctx);
        request_spans::finish(session, ctx);
    }

    fn suppress_error_log(&self, _: &Session, _: &Box<RequestState>, _: &Error) -> bool {
        // The access record reports it. Pingora's line would contain the query and headers.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<RequestState>,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, session: &Session, _: &Box<RequestState>) -> String {
        let request = session.req_header();
        let path = log_path::path_for_logs(request.raw_path());
        format!("{} {path}", request.method)
    }
}
