//! The smallest Pingora proxy to one upstream: what `scripts/bench.sh` measures the gateway
//! against. On the system's allocator, as Pingora's guide has it; `plain_proxy_mimalloc` is the
//! same on the gateway's.
//!
//! `plain_proxy LISTEN UPSTREAM WORKERS`, for instance `plain_proxy 127.0.0.1:9001 127.0.0.1:9000
//! 1`.

use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

struct Plain {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Plain {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        (): &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(
            self.upstream.as_str(),
            false,
            String::new(),
        )))
    }
}

pub(crate) fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| {
        arguments.next().ok_or(format!(
            "missing {what}: plain_proxy LISTEN UPSTREAM WORKERS"
        ))
    };
    let (listen, upstream, workers) = (next("LISTEN")?, next("UPSTREAM")?, next("WORKERS")?);
    let threads = workers
        .parse()
        .map_err(|_| format!("WORKERS is not a number: {workers}"))?;

    let conf = ServerConf {
        threads,
        // As the gateway's `upstream_keepalive`. With Pingora's 128, more clients than that would
        // measure how it connects.
        upstream_keepalive_pool_size: 20_000,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Plain { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
