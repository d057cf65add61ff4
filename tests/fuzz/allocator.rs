//! Counts what the readers allocate.

use henge_actors::fuzzing::Memory;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The memory of this process.
pub fn memory() -> Memory {
    Memory {
        reset: || ALLOCATOR.reset_peak_usage(),
        now: || ALLOCATOR.current_usage(),
        peak: || ALLOCATOR.peak_usage(),
    }
}
