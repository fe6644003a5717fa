// Kernels with one mistake each, which has to be found, and the same kernels without it, in which nothing may be found.
#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

#include "gemm.h"
#include "machine/number.h"

namespace emulator::test {
namespace {

using machine::Finding;

/// Replaces the only or, with `which`, the n-th occurrence.
std::string edited(std::string text, const std::string& from, const std::string& to, size_t which = 0) {
  size_t at = text.find(from);
  for (size_t i = 0; i < which && at != std::string::npos; ++i) at = text.find(from, at + 1);
  if (at == std::string::npos) {
    ADD_FAILURE() << "the kernel has no '" << from << "'";
    return text;
  }
  return text.replace(at, from.size(), to);
}

constexpr uint32_t kDepth = Gemm::kDepth;

struct Outcome {
  Result result;
  double error = 0;  // largest
};

Outcome run_gemm(const std::string& text, uint64_t seed) {
  Gemm gemm(text);
  gemm.kernel.options.seed = seed;
  gemm.kernel.options.patience = 200'000;
  Outcome outcome{gemm.kernel.run(), 0};
  const std::vector<float> got = gemm.kernel.download<float>(gemm.c, 64 * 64);
  for (uint32_t i = 0; i < 64; ++i) {
    for (uint32_t j = 0; j < 64; ++j) {
      double sum = 0;
      for (uint32_t k = 0; k < kDepth; ++k) {
        sum += static_cast<double>(machine::bfloat16_to_float(gemm.a[i * kDepth + k])) *
               machine::bfloat16_to_float(gemm.b[j * kDepth + k]);
      }
      const double error = std::fabs(sum - static_cast<double>(got[i * 64 + j]));
      outcome.error = std::isnan(error) ? HUGE_VAL : std::max(outcome.error, error);
    }
  }
  return outcome;
}

const std::string& gemm_text() {
  static const std::string text = read_file(EMULATOR_KERNELS "/gemm.ptx");
  return text;
}

TEST(Gemm, IsRightAndCleanOverSeeds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = run_gemm(gemm_text(), seed);
    EXPECT_TRUE(outcome.result.clean()) << "seed " << seed << ": " << outcome.result.text();
    EXPECT_LT(outcome.error, 1e-4) << "seed " << seed;
    EXPECT_EQ(outcome.result.counters.bulk_load_bytes, 2u * 64 * kDepth * 2);
    EXPECT_EQ(outcome.result.counters.tensor_macs, 64u * 64 * kDepth);
    EXPECT_EQ(outcome.result.counters.global_store_bytes, 64u * 64 * 4);
  }
}

struct Plant {
  const char* name;
  const char* from;
  const char* to;
  Finding finding;
};

std::ostream& operator<<(std::ostream& out, const Plant& plant) {
  return out << plant.name;
}

class PlantedGemm : public testing::TestWithParam<Plant> {};

TEST_P(PlantedGemm, IsFound) {
  const Plant& plant = GetParam();
  const std::string text = edited(gemm_text(), plant.from, plant.to);
  std::string seen;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const Outcome outcome = run_gemm(text, seed);
    if (outcome.result.found(plant.finding)) return;
    seen += outcome.result.text();
  }
  ADD_FAILURE() << "not found; instead: " << seen;
}

const Plant kGemmPlants[] = {
    {"no_wait_for_empty", "  @%p4 bra is_empty;", "  bra is_empty;", Finding::barrier},
    {"no_wait_for_full", "  @!%done bra wait_full;", "", Finding::race},
    {"released_before_the_wait", "  wgmma.wait_group.sync.aligned 0;\n  mbarrier.arrive", "  mbarrier.arrive",
     Finding::race},
    {"read_before_the_wait", "  wgmma.wait_group.sync.aligned 0;", "", Finding::register_in_flight},
    {"no_wgmma_fence", "  wgmma.fence.sync.aligned;", "", Finding::wgmma_fence},
    {"group_never_committed", "  wgmma.commit_group.sync.aligned;", "", Finding::race},
    {"no_barrier_after_the_initialisation", "  bar.sync 0;", "", Finding::barrier},
    {"no_fence_after_the_initialisation", "  fence.mbarrier_init.release.cluster;", "", Finding::proxy},
    {"never_released", "  mbarrier.arrive.shared::cta.b64 _, [%empty];", "", Finding::deadlock},
    {"expects_too_much", "[%full], 16384;", "[%full], 16400;", Finding::deadlock},
    {"expects_too_little", "[%full], 16384;", "[%full], 8192;", Finding::race},
    {"phase_off_by_one", "  add.u32 %t2, %phase, 1;", "  add.u32 %t2, %phase, 0;", Finding::barrier},
    {"too_many_arrivals", "[%base+32784], 128;", "[%base+32784], 64;", Finding::barrier},
    {"box_not_aligned", "  add.u32 %stage_b, %stage_a, 16384;", "  add.u32 %stage_b, %stage_a, 16400;",
     Finding::misaligned},
    {"scale_d_uninitialised", "  setp.ne.u32 %accumulate, 0, 0;", "", Finding::uninitialised},
    {"accumulators_uninitialised", "  setp.ne.u32 %accumulate, 0, 0;", "  setp.eq.u32 %accumulate, 0, 0;",
     Finding::uninitialised},
    {"result_out_of_bounds", "  shl.b32 %t0, %t0, 6;", "  shl.b32 %t0, %t0, 9;", Finding::out_of_bounds},
    {"shared_memory_overrun", "[%base+32768], 1;", "[%base+33104], 1;", Finding::out_of_bounds},
};

INSTANTIATE_TEST_SUITE_P(Emulator, PlantedGemm, testing::ValuesIn(kGemmPlants),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace emulator::test
