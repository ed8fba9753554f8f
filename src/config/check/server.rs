//! Checks `[server]`: listening addresses, trusted proxies, limits and times.

use std::net::{Ipv6Addr, SocketAddr};
use std::ops::Range;

use ipnet::{IpNet, Ipv6Net};

use super::super::file::Server;
use super::super::settings::{self, Limits};
use super::super::spans::At;
use super::addresses::{address, overlap};
use super::networks::network;
use super::{Review, tls, warnings};

pub(super) fn server(server: &Server, review: &mut Review<'_>) -> Option<settings::Server> {
    let listen = listeners(server, review);
    let admin = address(&server.admin, "admin", review);
    if let (Some(listen), Some(admin)) = (&listen, admin) {
        keep_apart(server, listen, admin, review);
    }
    let mut taken = listen.clone().unwrap_or_default();
    taken.extend(admin);
    let tls = tls::listeners(server, &taken, review);
    let acme = tls::acme(server, review);
    let trusted_proxies = trusted_proxies(&server.trusted_proxies, review);
    check_proxy_protocol(server, review);
    let limits = &server.limits;
    Some(settings::Server {
        listen: listen?,
        proxy_protocol: (*server.proxy_protocol).into(),
        acme: acme.ok()?,
        tls: tls?,
        admin: Some(admin?),
        trusted_proxies: trusted_proxies?,
        workers: *server.workers,
        drain: server.drain.0,
        shutdown_delay: server.shutdown_delay.0,
        limits: Limits {
            header_timeout: limits.header_timeout.0,
            keep_alive: limits.keep_alive.0,
            upstream_connect: limits.upstream_connect.0,
            upstream_idle: limits.upstream_idle.0,
            max_login_body: limits.max_login_body.0,
            connections: *limits.connections,
            connections_per_address: *limits.connections_per_address,
        },
    })
}

fn listeners(server: &Server, review: &mut Review<'_>) -> Option<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for written in server.listen.iter() {
        let Some(address) = address(written, "listen", review) else {
            continue;
        };
        if addresses.iter().any(|other| overlap(*other, address)) {
            review.refuse_text(
                written,
                "`listen` has this address twice",
                "keep one of them",
            );
        }
        addresses.push(address);
    }
    if server.listen.is_empty() && server.tls.is_empty() {
        review.refuse(
            &server.listen.span,
            "`listen` is empty",
            "add an address, like \"127.0.0.1:8080\"",
        );
        return None;
    }
    (addresses.len() == server.listen.len()).then_some(addresses)
}

/// The admin listener answers whoever reaches it, so no site may share its address.
fn keep_apart(server: &Server, listen: &[SocketAddr], admin: SocketAddr, review: &mut Review<'_>) {
    let Some(at) = listen.iter().position(|listen| overlap(*listen, admin)) else {
        return;
    };
    let listener = server
        .listen
        .get(at)
        .map_or(0..0, |written| written.span.clone());
    let span: &Range<usize> = if server.admin.is_written() {
        &server.admin.span
    } else {
        &listener
    };
    let what = format!("`admin` and `listen` share the address \"{admin}\"");
    review.refuse(
        span,
        what,
        "give `admin` a port of its own, like \"127.0.0.1:9090\"",
    );
}

fn trusted_proxies(written: &At<Vec<At<String>>>, review: &mut Review<'_>) -> Option<Vec<IpNet>> {
    let mut nets = Vec::new();
    for text in written.iter() {
        match network(text) {
            Some(net) if everybody(&net) => review.refuse_text(
                text,
                "`trusted_proxies` believes everybody",
                "name the networks of your proxies only, like \"10.0.0.0/24\"",
            ),
            Some(net) => {
                warnings::wide_network(text, &net, review);
                nets.push(net);
            }
            None => review.refuse_text(
                text,
                "`trusted_proxies` has no such network",
                "write it like \"10.0.0.0/24\"",
            ),
        }
    }
    // Two halves make a whole.
    if IpNet::aggregate(&nets).iter().any(everybody) {
        let hint = "name the networks of your proxies only, like \"10.0.0.0/24\"";
        review.refuse(
            &written.span,
            "`trusted_proxies` together believe everybody",
            hint,
        );
        return None;
    }
    (nets.len() == written.len()).then_some(nets)
}

/// Without trusted proxies nobody may send the header.
fn check_proxy_protocol(server: &Server, review: &mut Review<'_>) {
    if !server.trusted_proxies.is_empty() {
        return;
    }
    let of_tls = server.tls.iter().map(|tls| &tls.proxy_protocol);
    for expected in of_tls.chain([&server.proxy_protocol]) {
        if **expected {
            review.refuse(
                &expected.span,
                "`proxy_protocol` is of no use without `trusted_proxies`",
                "list the networks of the proxies that send the header",
            );
        }
    }
}

fn everybody(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() == 0,
        // All of IPv4 also hides in ::ffff:0:0/96.
        IpNet::V6(net) => {
            let mapped = Ipv6Net::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
            net.prefix_len() == 0 || mapped.is_ok_and(|mapped| net.contains(&mapped))
        }
    }
}
