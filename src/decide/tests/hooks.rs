//! Messages of identity providers (`docs/reference/hooks.md`).

use http::Method;

use super::case::request;
use crate::decide::Known;
use crate::model::hook::{HookAnswer, HookKind};
use crate::model::reason::Reason;

#[test]
fn hooks_are_endpoints_of_sites_where_they_are_public() {
    let webhook = "/_vestibule/hooks/fusionauth";
    let logout = "/_vestibule/hooks/backchannel-logout/main";
    let at = |method: &Method, target: &'static str| {
        let mut case = request(method, target);
        case.site.provider = "main".into();
        case
    };
    for method in [Method::GET, Method::POST, Method::DELETE] {
        for target in [webhook, logout, "/_vestibule/hooks/", "/_vestibule/a/b"] {
            assert_eq!(at(&method, target).decision(), "404 own_endpoint");
        }
    }
    let public = |method: &Method, target: &'static str| {
        let mut case = at(method, target);
        case.site.public_hooks = true;
        case
    };
    for (target, expected) in [
        (webhook, "ask receive Fusionauth"),
        (logout, "ask receive BackchannelLogout"),
        (
            "/_vestibule/hooks/backchannel-logout/other",
            "404 own_endpoint",
        ),
        ("/_vestibule/hooks/backchannel-logout/", "404 own_endpoint"),
        ("/_vestibule/hooks/fusionauth/", "404 own_endpoint"),
        ("/_vestibule/hooks/other", "404 own_endpoint"),
    ] {
        assert_eq!(public(&Method::POST, target).decision(), expected);
    }
    assert_eq!(
        public(&Method::GET, webhook).decision(),
        "405 allow POST method_not_allowed"
    );
    let answered = |answer| {
        let mut case = public(&Method::POST, webhook);
        case.facts.hook = answer;
        case.decision()
    };
    let accepted = HookAnswer::accepted(HookKind::Fusionauth);
    let refused = HookAnswer {
        status: 401,
        reason: Reason::HookRefused,
        ..accepted.clone()
    };
    assert_eq!(answered(Known::Found(accepted)), "200 hook own_endpoint");
    assert_eq!(answered(Known::Found(refused)), "401 hook hook_refused");
    assert_eq!(
        answered(Known::Absent(Reason::RejectedInput)),
        "400 rejected_input"
    );
}
