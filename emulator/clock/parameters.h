// What the replay takes a Hopper to be. Every number with where it comes from:
//   [N]  NVIDIA's H100 white paper or CUDA programming guide
//   [L]  Luo et al., arXiv 2402.13499 and 2501.12084, measured on an H100 PCIe
//   [F]  fitted on published times of FlashMLA's kernels (docs/clock.md)
//   [A]  assumed, with nothing published to hold it against
// Times are clocks and widths bytes a clock unless the name says otherwise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "clock/code.h"

namespace emulator::clock {

struct UnitCost {
  double issue;     // of a scheduler, which issues for one of an SM's four parts
  double occupied;  // the unit, of which each part has one
  double latency;   // until the result can be read
};

struct Parameters {
  // The chip [N: H100 SXM5]. H200: hbm_bytes_per_second 4.8e12 * 0.93; H20: 78 SMs.
  uint32_t sms = 132;
  double clock_hz = 1.755e9;                     // [N] boost clock
  double hbm_bytes_per_second = 3.35e12 * 0.93;  // [N] * [F]; 0.90 to 0.95 is plausible
  double l2_bytes = 4000;                        // to all SMs together [F]; 4000 to 5000 is plausible
  double l2_bytes_an_sm = 64;                    // [L]
  double l2_capacity = 36e6;                     // of 50 MB, as data of the far half is kept twice [A]
  bool l2_starts_dirty = true;                   // full of what a benchmark's flush has written
  /// SMs of each group that a cluster has to fit into [A: the common ones of 132 SMs].
  std::vector<uint32_t> sm_groups{16, 16, 16, 16, 16, 16, 18, 18};

  // Clocks fall with the tensor cores' use: linearly to `throttled_hz` between two shares [F].
  double throttled_hz = 1.6e9, throttles_from = 0.50, throttles_to = 0.72;

  // An SM [N]
  uint32_t shared_bytes = 233472, registers = 65536, threads = 2048, ctas = 32;
  uint32_t shared_reserved = 1024;  // a CTA
  double shared_bytes_per_clock = 128;
  double columns_per_tensor_clock = 2;  // m64nNk16 takes N / 2: 989 TFLOPS at 132 SMs and 1.83 GHz
  double a_wavefronts = 16;             // 64 x 16 of 16 bits, from shared memory

  /// By Unit: issue, occupied, latency.
  std::array<UnitCost, kUnits> units{{
      {0, 0, 0},     // free
      {1, 1, 4},     // fma [N, L]
      {1, 2, 5},     // alu [N, L]
      {0.5, 1, 5},   // packed: two conversions to 16 bits are one instruction [N]
      {1, 8, 20},    // transcendental [N], latency [A]
      {1, 2, 5},     // multiplier [N]
      {20, 20, 80},  // division: a subroutine [A]
      {1, 1, 24},    // shuffle [L]
      {1, 1, 29},    // shared [L]
      {1, 0, 8},     // branch [A]
  }};
  double store_latency = 500;  // until other SMs see it [A]

  // Memory [L]; `far` is the part of the chip's L2 at the other side: more by this, less on the near side.
  double load_hit = 336, load_miss = 650, load_l1 = 40;
  double copy_hit = 506, copy_miss = 820;
  double copy_far_miss = 95, copy_far_hit = 78;
  double copy_issue = 8, copy_least = 16;  // a box of the copy engine [A]
  double store_read = 100;                 // from a store's end at the engine to bulk wait_group.read [A]

  // Synchronisation [A]: plus and minus 50 % is plausible.
  double barrier = 22, mbarrier = 24, wgmma_wait = 24, fence = 4;
  double cluster_barrier = 190;
  double wgmma_issue = 8, wgmma_ahead = 32;  // how soon before its turn the next one is taken
  double operands_ahead = 64;                // how soon before its turn a wgmma's operands are read

  // Between SMs of a cluster [L]: not validated on any kernel of known time.
  double remote_latency = 190;    // distributed shared memory
  double remote_bytes = 14;       // an SM: 3.27 TB/s for the chip
  double multicast_latency = 30;  // beyond a copy's own [A]

  // Launches [A; the sum of both ends F]
  double launch_seconds = 1.0e-6, end_seconds = 0.7e-6;
  double cta_start = 300;                  // the first CTA
  double cta_stagger = 8, cta_round = 32;  // one SM after the other, a further CTA of the same SM
  double cta_next = 150;                   // after another has ended
  double dependent_start = 900;            // a programmatic launch, after the last CTA before it has let it go
  double dependency_wait = 500;            // griddepcontrol.wait, after the launch before has ended

  uint64_t seed = 1;
};

}  // namespace emulator::clock
