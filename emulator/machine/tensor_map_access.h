// Tensor maps in memory: read by the copy engine, written by kernels that make them.
#pragma once

#include "machine/access.h"
#include "machine/tensor_map.h"

namespace emulator::machine {

/// The 128 bytes at an address, whatever they are. Faults where they are not all there.
TensorMap load_tensor_map(Warp& warp, const Op& op, uint32_t lane, ptx::Space space, uint64_t address);

/// Reports the use of a map in global memory that the running kernel has changed, where the cluster has executed no
/// fence.proxy.tensormap .acquire of it since.
void check_tensor_map_fence(Warp& warp, const Op& op, uint64_t address);

}  // namespace emulator::machine
