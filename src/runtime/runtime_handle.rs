//! The configuration in force, which a reload replaces as a whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Runtime;

/// The [`Runtime`] in force.
pub struct RuntimeHandle(ArcSwap<Runtime>);

impl RuntimeHandle {
    /// A handle that starts with `runtime`.
    #[must_use]
    pub fn new(runtime: Runtime) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(runtime)))
    }

    /// The runtime in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Runtime> {
        self.0.load_full()
    }

    /// Puts `runtime` in force. Requests in flight finish with the one they started with.
    pub fn replace(&self, runtime: Runtime) {
        let before = self.0.swap(Arc::new(runtime));
        forget_upstreams(&before, &self.current());
    }
}

/// Removes the metrics of upstreams that are not configured any more.
fn forget_upstreams(before: &Runtime, after: &Runtime) {
    for site_runtime in before.sites() {
        let name = &site_runtime.site.name;
        let mut sites = after.sites().iter();
        let same = sites.find(|site_runtime| site_runtime.site.name == *name);
        for gone in site_runtime.load_balancer.all() {
            let mut kept = same.iter().flat_map(|same| same.load_balancer.all());
            if !kept.any(|kept| kept.name == gone.name) {
                site_runtime.metrics.forget_upstream(&gone.name);
            }
        }
    }
}
