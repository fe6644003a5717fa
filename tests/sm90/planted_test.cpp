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
  std::vector<Path> paths = {Path::shipped, Path::many_rows};  // the kernels that have the mistake
  bool gathers = false;
};

std::ostream& operator<<(std::ostream& out, const Plant& plant) {
  return out << plant.name;
}

/// Two units a part, tails, a window with sinks, NaN in dead rows, several splits. 16 rows, so that the shape leads to
/// a kernel for few.
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

/// By one of five seeds.
void expect_found(const Plant& plant, Path path, const Scene& scene, Kernels& kernels) {
  const ReferenceResult reference = scene.reference();
  std::string seen;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const DeviceOutput result =
        run_on_device(scene, {.splits = 2, .seed = seed, .path = path, .gathers = plant.gathers}, kernels);
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

TEST_P(PlantedDecode, IsFound) {
  const Plant& plant = GetParam();
  Kernels kernels(std::string(FLASH_MLA_SM90_PLANTED) + "/" + plant.name + ".ptx");
  const Scene scene = make_scene(plant.masked);
  for (const Path path : plant.paths) {
    SCOPED_TRACE(path == Path::shipped ? "few rows" : "many rows");
    expect_found(plant, path, scene, kernels);
  }
}

const std::vector<Path> kFewRows = {Path::shipped}, kManyRows = {Path::many_rows};
const std::vector<Path> kBoth = {Path::shipped, Path::many_rows};

const Plant kPlants[] = {
    {"causal_off_by_one", {}},
    {"cleared_without_proxy_fence", {Finding::proxy}, true, kManyRows},
    {"dead_rows_kept", {}, false},  // with masks, what keeps anomalies apart clears NaN too
    {"expects_too_little", {Finding::deadlock}},
    {"gathered_without_proxy_fence", {Finding::proxy}, true, kBoth, true},
    {"gathered_without_wait", {Finding::race}, true, kBoth, true},
    {"live_anomaly_spreads", {}},
    {"maxima_without_barrier", {Finding::race}, true, kFewRows},
    {"maximum_of_own_warp", {Finding::operand}, true, kFewRows},
    {"part_not_merged", {}},
    {"queries_without_barrier", {Finding::race, Finding::proxy}},
    {"queries_without_proxy_fence", {Finding::proxy}},
    {"released_before_read", {Finding::race}},
    {"remainders_forgotten", {}},
    {"scores_without_wgmma_fence", {Finding::wgmma_fence}},
    {"slot_parity_forgotten", {Finding::deadlock, Finding::race}, true, kFewRows},
    {"sums_not_rescaled", {}},
    {"sums_of_one_warp", {}, true, kFewRows},
    {"tail_off_by_one", {}},
    {"tail_rows_not_masked", {}},
    {"weights_overwritten_early", {Finding::race}, true, kManyRows},
    {"weights_without_barrier", {Finding::race, Finding::proxy}},
    {"weights_without_proxy_fence", {Finding::proxy}, true, kFewRows},
    {"window_off_by_one", {}},
    {"wrong_page", {}},
    {"wrong_parity", {Finding::deadlock}},
};

INSTANTIATE_TEST_SUITE_P(Sm90, PlantedDecode, testing::ValuesIn(kPlants),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(PlantedDecodeScene, IsRightWithoutDefects) {
  for (const auto& [masked, gathers] : {std::pair{true, false}, {false, false}, {true, true}}) {
    const Scene scene = make_scene(masked);
    ASSERT_TRUE(has_few_rows(scene));
    const ReferenceResult reference = scene.reference();
    for (const Path path : kBoth) {
      for (uint64_t seed = 1; seed <= 5; ++seed) {
        const DeviceOutput result = run_on_device(scene, {.splits = 2, .seed = seed, .path = path, .gathers = gathers});
        EXPECT_TRUE(result.reports.empty()) << result.text();
        EXPECT_EQ(wrong_numbers(scene, reference, result), "");
      }
    }
  }
}

}  // namespace
}  // namespace flash_mla::test
