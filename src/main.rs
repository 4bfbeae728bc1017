//! The `lamas` command.

use std::process::ExitCode;

/// A step allocates and frees the same large tensors again and again; glibc gives such blocks back to the kernel each time.
#[cfg(all(target_os = "linux", not(feature = "python")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { lamas::device::settle_thread_count() };
    lamas::cli::main()
}
