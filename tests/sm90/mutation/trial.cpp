#include "mutation/trial.h"

#include <limits>
#include <optional>
#include <stdexcept>

#include "sm90/params.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

constexpr uint64_t kPatience = 300'000;  // a run has 20,000 to 500,000 warp-instructions
constexpr uint64_t kMostInstructions = 20'000'000;

/// What fits this kernel.
DecodeShape shape_of(const std::string& kernel) {
  DecodeShape shape;
  const bool bf16 = kernel.find("bf16") != std::string::npos;
  shape.dtype = shape.out_dtype = bf16 ? DType::bfloat16 : DType::float16;
  for (const sm90::Widths& widths : sm90::kWidths) {
    const sm90::Element element = bf16 ? sm90::Element::bfloat16 : sm90::Element::float16;
    const bool merges = kernel == sm90::merge_kernel_name(element);
    if (!merges && kernel != sm90::decode_kernel_name(element, widths.d, widths.d_v)) continue;
    shape.d = widths.d;
    shape.d_v = widths.d_v;
    if (!merges) return shape;  // the last pair is the narrowest
  }
  if (kernel.find("merge") == std::string::npos) throw std::invalid_argument("no scenes for kernel " + kernel);
  return shape;
}

}  // namespace

struct Trial::Run {
  Scene scene;
  ReferenceResult reference;
  DeviceRun how;

  Run(Scene made, DeviceRun run) : scene(std::move(made)), reference(scene.reference()), how(run) {
    how.patience = kPatience;
    how.most_instructions = kMostInstructions;
  }
};

Trial::Trial(const std::string& kernel) {
  const DecodeShape shape = shape_of(kernel);
  const auto add = [&](SceneSpec spec, const DeviceRun& how) { runs_.emplace_back(Scene(std::move(spec)), how); };
  const auto spec = [&](int64_t s_q, int64_t h_q, std::vector<int32_t> seqlens) {
    SceneSpec result;
    result.shape = shape;
    result.shape.s_q = s_q;
    result.shape.h_q = h_q;
    result.seqlens = std::move(seqlens);
    return result;
  };
  // Many tiles, two units a part, tails with NaN behind them.
  add(spec(2, 8, {290, 130, 70, 65}), {.splits = 2});
  // One part that has everything to do, also units without keys.
  add(spec(1, 40, {0, 1, 192, 64, 0}), {.parts = 1});
  // Small boxes, masks, sinks.
  SceneSpec masked = spec(2, 8, {290, 130, 70, 65});
  masked.mask = {true, 200, 3};
  masked.shape.page_size = 16;
  add(masked, {.splits = 3});
  // NaN in keys that some tokens do not see, in both groups' columns and in all four rows of the loop that looks for
  // them; in the first tile of a part, and in a later one.
  for (const int parts : {1, 4}) {
    SceneSpec anomalous = spec(16, 4, {80});
    anomalous.mask = {true, 0, 0};
    Scene scene(anomalous);
    for (const int key : {65, 69, 73, 77}) {
      for (const int64_t column : {int64_t{20} + key, shape.d_v - 20 - key}) {
        scene.set_key(0, key, 0, column, std::numeric_limits<double>::quiet_NaN());
      }
    }
    runs_.emplace_back(std::move(scene), DeviceRun{.parts = parts, .splits = 2});
  }
  // Rows that no tensor map fits are gathered, by aligned copies and by others; results in float32.
  SceneSpec paged = spec(1, 70, {200, 31});
  paged.shape.page_size = 12;
  add(paged, {.parts = 1, .splits = 2});
  SceneSpec padded = spec(1, 70, {130});
  padded.shape.out_dtype = DType::float32;
  padded.spread = Spread::padded;
  add(padded, {.splits = 2});
}
Trial::~Trial() = default;
Trial::Trial(Trial&&) noexcept = default;

std::string Trial::verdict(Kernels& kernels, uint64_t seeds) const {
  std::vector<std::optional<Output>> first(runs_.size());
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      const Run& run = runs_[i];
      DeviceRun how = run.how;
      how.seed = seed;
      DeviceOutput result = run_on_device(run.scene, how, kernels);
      // The last report is the one that stopped it, if one did.
      if (!result.reports.empty()) return std::string(emulator::machine::name_of(result.reports.back().finding));
      if (!is_accurate(run.scene, result.output, run.reference)) return "wrong numbers";
      if (!first[i]) {
        first[i].emplace(std::move(result.output));
      } else if (!(*first[i] == result.output)) {
        return "other bits with another seed";
      }
    }
  }
  return {};
}

}  // namespace flash_mla::test
