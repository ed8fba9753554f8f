//! Paths that well-known applications answer themselves. Where the gateway has an endpoint at such
//! a path, it answers in the application's place.

use super::super::file::site::Site as Written;
use crate::model::site::Site;
use crate::model::upstream::UpstreamAddress;

/// A well-known application.
pub(super) struct Application {
    pub(super) name: &'static str,
    /// Words in the names of a site, its hosts and upstreams that tell of it.
    words: &'static [&'static str],
    /// The start of paths that tell of it.
    marks: &'static [&'static str],
    /// Its own pages of those that the gateway may have too.
    paths: &'static [&'static str],
}

const APPLICATIONS: &[Application] = &[
    Application {
        name: "Airflow",
        words: &["airflow"],
        marks: &[],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "Discourse",
        words: &["discourse"],
        marks: &[],
        paths: &["/login"],
    },
    Application {
        name: "Django",
        words: &["django"],
        marks: &[],
        paths: &[
            "/accounts/login",
            "/accounts/logout",
            "/admin/login",
            "/admin/logout",
        ],
    },
    Application {
        name: "Drupal",
        words: &["drupal"],
        marks: &[],
        paths: &["/user/login", "/user/logout"],
    },
    Application {
        name: "Forgejo",
        words: &["forgejo", "gitea"],
        marks: &[],
        paths: &["/user/login", "/user/logout"],
    },
    Application {
        name: "GitLab",
        words: &["gitlab"],
        marks: &[],
        paths: &["/users/sign_in", "/users/sign_out"],
    },
    Application {
        name: "Grafana",
        words: &["grafana"],
        marks: &["/api/dashboards", "/api/datasources", "/public-dashboards"],
        paths: &["/login", "/logout", "/api/user"],
    },
    Application {
        name: "Jenkins",
        words: &["jenkins"],
        marks: &[],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "Jupyter",
        words: &["jupyter"],
        marks: &["/api/kernels", "/api/contents"],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "Kibana",
        words: &["kibana"],
        marks: &["/app/kibana", "/app/dashboards"],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "Laravel",
        words: &["laravel"],
        marks: &["/sanctum"],
        paths: &["/login", "/logout", "/api/user"],
    },
    Application {
        name: "Mattermost",
        words: &["mattermost"],
        marks: &[],
        paths: &["/login"],
    },
    Application {
        name: "Metabase",
        words: &["metabase"],
        marks: &[],
        paths: &["/api/user", "/auth/login"],
    },
    Application {
        name: "Moodle",
        words: &["moodle"],
        marks: &[],
        paths: &["/login"],
    },
    Application {
        name: "Nextcloud",
        words: &["nextcloud"],
        marks: &["/index.php/apps", "/remote.php"],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "NodeBB",
        words: &["nodebb"],
        marks: &[],
        paths: &["/login", "/logout", "/api/login", "/api/user"],
    },
    Application {
        name: "Rails with Devise",
        words: &[],
        marks: &["/users/sign_up"],
        paths: &["/users/sign_in", "/users/sign_out"],
    },
    Application {
        name: "Redmine",
        words: &["redmine"],
        marks: &[],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "Superset",
        words: &["superset"],
        marks: &["/superset"],
        paths: &["/login", "/logout"],
    },
    Application {
        name: "WordPress",
        words: &["wordpress"],
        marks: &["/wp-"],
        paths: &["/wp-admin", "/wp-json", "/wp-login.php"],
    },
];

impl Application {
    /// Whether the application has a page of its own at `path`.
    pub(super) fn uses(&self, path: &str) -> bool {
        self.paths.contains(&path.trim_end_matches('/'))
    }

    /// Whether the names, hosts or rules of the site tell of the application.
    fn is_behind(&self, texts: &[String], site: &Site) -> bool {
        let named = |word: &&str| texts.iter().any(|text| text.contains(*word));
        let marked = |mark: &&str| {
            let mut patterns = site.rules.iter().map(|rule| rule.pattern.text());
            patterns.any(|pattern| pattern.starts_with(*mark))
        };
        self.words.iter().any(named) || self.marks.iter().any(marked)
    }
}

/// The applications that may stand behind the site, as far as its configuration tells.
pub(super) fn behind<'a>(
    written: &'a Written,
    site: &'a Site,
) -> impl Iterator<Item = &'static Application> + 'a {
    let texts = names(written, site);
    APPLICATIONS
        .iter()
        .filter(move |application| application.is_behind(&texts, site))
}

/// The applications that have a page of their own at `path`.
pub(super) fn with_path(path: &str) -> impl Iterator<Item = &'static Application> {
    APPLICATIONS
        .iter()
        .filter(move |application| application.uses(path))
}

/// The names by which the operator calls the site, in lower case.
fn names(written: &Written, site: &Site) -> Vec<String> {
    let addresses = site.upstreams.iter().map(|upstream| &upstream.address);
    let hosts = addresses.filter_map(|address| match address {
        UpstreamAddress::Http { host, .. } | UpstreamAddress::Https { host, .. } => {
            Some(host.as_str())
        }
        UpstreamAddress::Unix { path } => path.to_str(),
    });
    let theme = written.theme.as_ref().and_then(|theme| theme.name.as_ref());
    hosts
        .chain([site.name.as_str(), site.origin.name.as_str()])
        .chain(theme.map(|name| name.as_str()))
        .map(str::to_lowercase)
        .collect()
}
