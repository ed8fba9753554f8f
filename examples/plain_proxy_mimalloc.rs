//! `plain_proxy`, on the allocator of the gateway: what of the difference between the two is the
//! allocator's.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "plain_proxy.rs"]
mod plain_proxy;

fn main() -> Result<(), String> {
    plain_proxy::main()
}
