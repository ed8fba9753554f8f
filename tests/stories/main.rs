//! Stories: people and situations, played against the real gateway in this process. One binary, a
//! module each.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "a story is played by many at once"
)]
#![expect(
    clippy::too_many_lines,
    reason = "a story is read from its start to its end"
)]

mod application_sessions;
mod back_channel_logout;
mod browsers;
mod caches;
mod circles;
mod clients_without_a_form;
mod commands;
mod configuration_reload;
mod doctor;
mod entrance;
mod expectations;
mod first_visit;
mod floods;
mod forged_headers;
mod forward_auth;
mod forward_auth_credentials;
mod framing;
mod hooks;
mod hosted_backend;
mod hostile_paths;
mod http2;
mod http2_limits;
mod intermediary;
mod kept_connections;
mod key_rotation;
mod known_devices;
mod languages;
mod log_collector;
mod lost_work;
mod mobile;
mod mobile_crowd;
mod nothing_leaks;
mod one_sign_in;
mod path_vulnerabilities;
mod pipelining;
mod provider_answers;
mod provider_steps;
mod redirect_providers;
mod refused_below;
mod refused_bodies;
mod renewal;
mod renewal_trouble;
mod replicas;
mod request_limits;
mod secure_upstreams;
mod service_manager;
mod service_tokens;
mod sign_in_by_redirect;
mod signing_in;
mod signing_out;
mod single_page;
mod single_page_hostile;
mod slow_answers;
mod steps_by_form;
mod steps_by_script;
mod stopping;
mod support;
mod themes;
mod tls;
mod traces;
mod trouble;
mod upgrade;
mod upstreams;
mod users_file;
mod web_pages_with_jwt;
mod web_pages_with_sessions;
mod websockets;
