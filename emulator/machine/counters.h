// What a launch did, counted exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator::machine {

/// Pieces of memory that accesses needed, and would need at best: wavefronts of shared memory, sectors of global
/// memory.
struct Pieces {
  uint64_t touched = 0, ideal = 0;
  void add(const Pieces& other) {
    touched += other.touched;
    ideal += other.ideal;
  }
};

struct Counters {
  uint64_t warp_instructions = 0;
  uint64_t thread_instructions = 0;

  // ld, st and cp.async. Sectors of 32 bytes, an instruction of a warp at a time; ideal: as many as the distinct bytes
  // would fill.
  uint64_t global_load_bytes = 0, global_store_bytes = 0;
  uint64_t global_load_sectors = 0, global_store_sectors = 0;
  uint64_t global_load_ideal_sectors = 0, global_store_ideal_sectors = 0;
  uint64_t atomics = 0;  // of single lanes, in any memory

  // cp.async.bulk. A load counts in every CTA that it reaches, and with zeros that stand for what is outside a tensor.
  uint64_t bulk_load_bytes = 0, bulk_store_bytes = 0;      // into and out of shared memory, tensors included
  uint64_t tensor_load_bytes = 0, tensor_store_bytes = 0;  // of these, by cp.async.bulk.tensor
  uint64_t bulk_operations = 0;
  uint64_t fetched_bytes = 0, written_bytes = 0;  // of global memory, multicast once: what a copy leaves for L2 to do

  uint64_t shared_accesses = 0, shared_wavefronts = 0, shared_ideal_wavefronts = 0;  // of ld, st, ldmatrix, stmatrix

  uint64_t tensor_macs = 0;
  uint64_t wgmmas = 0;  // a warpgroup's is one

  // Of warps, each once however often it had to look. An arrival without a wait is none.
  uint64_t barrier_waits = 0, mbarrier_waits = 0, cluster_barrier_waits = 0;

  // By Op::number.
  std::vector<uint64_t> executions;  // counted a warp
  std::vector<Pieces> wavefronts;
  std::vector<Pieces> sectors;

  Counters() = default;
  explicit Counters(size_t ops) : executions(ops), wavefronts(ops), sectors(ops) {}
  void add(const Counters& other);
};

/// Wavefronts of one instruction `op` of a warp on shared memory: 32 banks of 4 bytes each; accesses of 8 and 16 bytes
/// go by half and quarter warps.
void count_wavefronts(Counters& counters, uint32_t op, const uint32_t* offsets, uint32_t mask, uint32_t bytes);

struct GlobalAccess {
  uint64_t address;
  uint32_t bytes;  // 1 to 16
};
/// One instruction `op` of a warp on global memory, by at most 32 lanes.
void count_global_loads(Counters& counters, uint32_t op, const GlobalAccess* accesses, uint32_t count);
void count_global_stores(Counters& counters, uint32_t op, const GlobalAccess* accesses, uint32_t count);

}  // namespace emulator::machine
