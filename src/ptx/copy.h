// Copies and matrices between memory, shared memory and registers.
#pragma once

#include <stdint.h>

#include "ptx/barrier.h"

namespace flash_mla::ptx {

__device__ __forceinline__ void prefetch_tensor_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// Starts copying a box of a tensor of rank 4 to shared memory; its bytes count for `barrier` (PTX ISA 9.0, section
/// 9.7.9.27.1.2). What lies outside the tensor becomes zero.
__device__ __forceinline__ void load_box(void* to, const void* map, uint64_t* barrier, int32_t x0, int32_t x1,
                                         int32_t x2, int32_t x3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], "
      "[%6];" ::"r"(shared_address(to)),
      "l"(map), "r"(x0), "r"(x1), "r"(x2), "r"(x3), "r"(shared_address(barrier))
      : "memory");
}

/// Starts copying 16 bytes, both addresses aligned to them, to shared memory; with `present` false zeros arrive and
/// nothing is read (PTX ISA 9.0, section 9.7.9.25.3.1). The copies are written like ordinary stores.
__device__ __forceinline__ void copy_16(void* to, const void* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(present ? 16 : 0)
               : "memory");
}
/// Makes a group of this thread's copies since the last one.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until at most the last kLeft groups of this thread's are under way.
template <int kLeft>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

/// Stores four 8 x 8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void store_matrices(void* row, const uint32_t (&registers)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(registers[0]), "r"(registers[1]), "r"(registers[2]), "r"(registers[3])
               : "memory");
}
/// Stores two or four such matrices transposed: rows in memory are what columns are in registers.
__device__ __forceinline__ void store_transposed(void* row, const uint32_t (&registers)[2]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(shared_address(row)),
               "r"(registers[0]), "r"(registers[1])
               : "memory");
}
__device__ __forceinline__ void store_transposed(void* row, const uint32_t (&registers)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
               "r"(registers[0]), "r"(registers[1]), "r"(registers[2]), "r"(registers[3])
               : "memory");
}
/// Loads four such matrices.
__device__ __forceinline__ void load_matrices(const void* row, uint32_t (&registers)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared_address(row))
               : "memory");
}

}  // namespace flash_mla::ptx
