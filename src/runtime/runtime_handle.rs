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
        self.0.store(Arc::new(runtime));
    }
}
