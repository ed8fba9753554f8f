//! Whether the e-mails about passwords lead to a site.

use std::collections::BTreeSet;

use super::finding::{Finding, Topic};
use crate::model::origin::Host;
use crate::model::site::Site;
use crate::provider::fusionauth::inspection::{Application, EmailTemplate, Tenant};

/// The ids of the templates: those of the applications, and those of the tenant for applications
/// without their own.
pub(super) fn templates(applications: &[Application], tenant: Option<&Tenant>) -> BTreeSet<String> {
    let of_tenant = tenant.map(|tenant| &tenant.email_configuration);
    let mut ids = BTreeSet::new();
    for application in applications {
        let own = &application.email_configuration;
        let forgot = own.forgot_password_email_template_id.as_ref();
        let set = own.set_password_email_template_id.as_ref();
        let of_tenant_forgot =
            of_tenant.and_then(|it| it.forgot_password_email_template_id.as_ref());
        let of_tenant_set = of_tenant.and_then(|it| it.set_password_email_template_id.as_ref());
        ids.extend(forgot.or(of_tenant_forgot).cloned());
        ids.extend(set.or(of_tenant_set).cloned());
    }
    ids
}

pub(super) fn examine(topic: &Topic, template: &EmailTemplate, sites: &[&Site]) -> Finding {
    let text = [
        &*template.default_html_template,
        &template.default_text_template,
    ]
    .concat();
    let hosts = hosts(&text);
    let name = &template.name;
    let is_site = |host: &Host| {
        let is_alias = |site: &Site| site.aliases.iter().any(|alias| alias == host);
        sites
            .iter()
            .any(|site| site.origin.matches_host(host) || is_alias(site))
    };
    let hint = "write the address of a page of the site into the template, one that passes the \
                changePasswordId on to the provider";
    if hosts.iter().any(is_site) {
        topic.ok(format!("the e-mail {name:?} leads to a site"))
    } else if hosts.is_empty() {
        topic.warn(
            format!("the e-mail {name:?} does not show where it leads"),
            hint,
        )
    } else {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let message = format!(
            "the e-mail {name:?} leads to {}, and not to a site",
            hosts.join(", ")
        );
        topic.warn(message, hint)
    }
}

/// The hosts of the addresses in a text.
fn hosts(text: &str) -> Vec<Host> {
    let mut hosts = Vec::new();
    for rest in text.split("://").skip(1) {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-:[]".contains(c)));
        let host = rest.get(..end.unwrap_or(rest.len())).and_then(Host::parse);
        hosts.extend(host.filter(|host| !hosts.contains(host)));
    }
    hosts
}
