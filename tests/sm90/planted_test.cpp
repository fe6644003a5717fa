// Kernels with one mistake each (src/sm90/defect.h), which the checks have to find: by a report of the emulator's where
// the mistake is one of synchronisation, else by numbers.
#include <gtest/gtest.h>

#include <limits>
#include <ostream>

#include "device.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

using emulator::machine::Finding;

struct Plant {
  const char* name;
  std::vector<Finding> findings;  // any of them; none: wrong numbers
  bool masked = true;
  bool gathers = false;
};

std::ostream& operator<<(std::ostream& out, const Plant& plant) {
  return out << plant.name;
}

/// Two units a part, tails, a window with sinks, NaN in dead rows, several splits.
SceneSpec spec(bool masked) {
  SceneSpec spec;
  spec.shape.d = 288;
  spec.shape.d_v = 256;
  spec.shape.s_q = 2;
  spec.shape.h_q = 8;
  spec.seqlens = {290, 130, 70, 65};
  if (masked) spec.mask = {true, 200, 3};
  return spec;
}

/// NaN in a key that the last token alone sees, in a tile of its own: the other token's rows must not notice.
Scene make_scene(bool masked) {
  Scene scene(spec(masked));
  if (!masked) return scene;
  scene.set_key(3, 64, 0, 20, std::numeric_limits<double>::quiet_NaN());
  return scene;
}

/// Empty: nothing.
std::string wrong_numbers(const Scene& scene, const ReferenceResult& reference, const DeviceOutput& result) {
  const testing::AssertionResult accurate = is_accurate(scene, result.output, reference);
  return accurate ? "" : accurate.message();
}

class PlantedDecode : public testing::TestWithParam<Plant> {};

TEST_P(PlantedDecode, IsFound) {
  const Plant& plant = GetParam();
  Kernels kernels(std::string(FLASH_MLA_SM90_PLANTED) + "/" + plant.name + ".ptx");
  const Scene scene = make_scene(plant.masked);
  const ReferenceResult reference = scene.reference();
  std::string seen;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const DeviceOutput result = run_on_device(scene, {.splits = 2, .seed = seed, .gathers = plant.gathers}, kernels);
    if (plant.findings.empty()) {
      EXPECT_TRUE(result.reports.empty()) << "not for its numbers: " << result.text();
      if (!wrong_numbers(scene, reference, result).empty()) return;
    }
    for (const Finding finding : plant.findings) {
      if (result.found(finding)) return;
    }
    seen += result.text();
  }
  ADD_FAILURE() << "not found; instead: " << seen;
}

const Plant kPlants[] = {
    {"causal_off_by_one", {}},
    {"cleared_without_proxy_fence", {Finding::proxy}},
    {"dead_rows_kept", {}, false},  // with masks, what keeps anomalies apart clears NaN too
    {"expects_too_little", {Finding::deadlock}},
    {"gathered_without_proxy_fence", {Finding::proxy}, true, true},
    {"gathered_without_wait", {Finding::race}, true, true},
    {"live_anomaly_spreads", {}},
    {"part_not_merged", {}},
    {"queries_without_barrier", {Finding::race, Finding::proxy}},
    {"queries_without_proxy_fence", {Finding::proxy}},
    {"released_before_read", {Finding::race}},
    {"remainders_forgotten", {}},
    {"scores_without_wgmma_fence", {Finding::wgmma_fence}},
    {"sums_not_rescaled", {}},
    {"tail_off_by_one", {}},
    {"tail_rows_not_masked", {}},
    {"weights_overwritten_early", {Finding::race}},
    {"weights_without_barrier", {Finding::race}},
    {"window_off_by_one", {}},
    {"wrong_page", {}},
    {"wrong_parity", {Finding::deadlock}},
};

INSTANTIATE_TEST_SUITE_P(Sm90, PlantedDecode, testing::ValuesIn(kPlants),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(PlantedDecodeScene, IsRightWithoutDefects) {
  for (const auto& [masked, gathers] : {std::pair{true, false}, {false, false}, {true, true}}) {
    const Scene scene = make_scene(masked);
    const ReferenceResult reference = scene.reference();
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const DeviceOutput result = run_on_device(scene, {.splits = 2, .seed = seed, .gathers = gathers});
      EXPECT_TRUE(result.reports.empty()) << result.text();
      EXPECT_EQ(wrong_numbers(scene, reference, result), "");
    }
  }
}

}  // namespace
}  // namespace flash_mla::test
