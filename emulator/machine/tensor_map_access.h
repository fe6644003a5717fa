// Tensor maps in memory: read by the copy engine, written by kernels that make them.
#pragma once

#include "machine/access.h"
#include "machine/tensor_map.h"

namespace emulator::machine {

constexpr uint32_t kTensorMapBytes = 128;

struct TensorMapPlace {
  Place first, second;  // halves, as a map is aligned to 64 bytes
  uint64_t address;
};
/// Faults where its bytes are not all there.
TensorMapPlace find_tensor_map(Warp& warp, const Op& op, uint32_t lane, ptx::Space space, uint64_t address, Use use);
void track_tensor_map(Warp& warp, const Op& op, uint32_t lane, const TensorMapPlace& at, Use use);
TensorMap read_tensor_map(const TensorMapPlace& at);
/// And tracks it.
void write_tensor_map(Warp& warp, const Op& op, uint32_t lane, const TensorMapPlace& at, const TensorMap& map);

/// The 128 bytes at an address, whatever they are. Faults where they are not all there.
TensorMap load_tensor_map(Warp& warp, const Op& op, uint32_t lane, ptx::Space space, uint64_t address);

/// Reports the use of a map in global memory that the running kernel has changed, where the cluster has executed no
/// fence.proxy.tensormap .acquire of it since.
void check_tensor_map_fence(Warp& warp, const Op& op, uint64_t address);

}  // namespace emulator::machine
