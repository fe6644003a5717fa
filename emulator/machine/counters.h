// What a launch did, counted exactly.
#pragma once

#include <cstdint>
#include <vector>

namespace emulator::machine {

struct Counters {
  uint64_t warp_instructions = 0;
  uint64_t thread_instructions = 0;
  uint64_t global_load_bytes = 0, global_store_bytes = 0;
  uint64_t global_load_sectors = 0, global_store_sectors = 0;  // of 32 bytes, an instruction at a time
  uint64_t bulk_load_bytes = 0, bulk_store_bytes = 0;          // cp.async.bulk, tensors included
  uint64_t bulk_operations = 0;
  uint64_t shared_accesses = 0, shared_wavefronts = 0, shared_ideal_wavefronts = 0;
  uint64_t tensor_macs = 0;
  uint64_t wgmmas = 0;               // a warpgroup's is one
  std::vector<uint64_t> executions;  // by Op::number, counted a warp

  void add(const Counters& other);
};

}  // namespace emulator::machine
