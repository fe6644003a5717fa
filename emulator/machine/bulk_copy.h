// What bulk copies of lines and of tensors have in common.
#pragma once

#include "machine/access.h"
#include "machine/decoder.h"
#include "machine/mbarrier.h"

namespace emulator::machine {

/// The copies that complete on a barrier.
Engine engine_of(const MbarrierAt& at, uint32_t lane);
/// What the warp's open bulk group writes to global memory.
Engine bulk_writes_of(const Warp& warp, uint32_t lane);

/// Bytes in shared memory that a copy will write: spoilt until it completes, and tracked. The barrier has to be visible
/// to the async proxy.
void begin_load(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t bytes, const MbarrierAt& at,
                uint32_t lane);
/// Bytes in shared memory that a copy will read on behalf of the warp's open bulk group.
std::shared_ptr<BulkGroup> begin_store(Warp& warp, const Op& op, Cta& owner, uint32_t offset, uint32_t bytes,
                                       uint32_t lane);
/// After the copy's reads: a while later the writes are done too.
void end_store_reads(Cluster& cluster, const std::shared_ptr<BulkGroup>& group);

/// An address that has to be in shared memory: 32 bits, or 64 in the shared window.
uint32_t shared_address(Warp& warp, const Op& op, uint32_t lane, size_t s);

void decode_tensor_copy(Decoder& d);  // cp.async.bulk.tensor
void decode_small_copy(Decoder& d);   // cp.async

}  // namespace emulator::machine
