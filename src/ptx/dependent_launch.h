// Programmatic dependent launch (PTX ISA 9.0, section 9.7.13.14): a grid starts while the one before it still runs.
#pragma once

namespace flash_mla::ptx {

/// The next grid, if it was launched as one that may overlap, may be put on the SMs once every CTA has said so. What
/// it must not read yet it waits for with wait_for_previous_grid().
__device__ __forceinline__ void let_next_grid_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
/// Until the grid before this one is done and what it wrote can be seen.
__device__ __forceinline__ void wait_for_previous_grid() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

}  // namespace flash_mla::ptx
