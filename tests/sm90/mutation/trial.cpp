#include "mutation/trial.h"

#include <limits>
#include <optional>

#include "sm90/params.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

constexpr uint64_t kPatience = 300'000;  // a run has 20,000 to 500,000 warp-instructions
constexpr uint64_t kMostInstructions = 20'000'000;

/// What leads to a kernel: a shape, and how many rows.
struct Want {
  DecodeShape shape;
  int64_t rows = sm90::kTileRows;
  Path path = Path::many_rows;
};

/// None: no scenes for it.
std::optional<Want> want_of(const std::string& kernel) {
  Want want;
  const bool bf16 = kernel.find("bf16") != std::string::npos;
  const sm90::Element element = bf16 ? sm90::Element::bfloat16 : sm90::Element::float16;
  want.shape.dtype = want.shape.out_dtype = bf16 ? DType::bfloat16 : DType::float16;
  for (const sm90::Widths& widths : sm90::kWidths) {
    want.shape.d = widths.d;
    want.shape.d_v = widths.d_v;
    if (kernel == sm90::decode_kernel_name(element, widths.d, widths.d_v)) return want;
    for (const int rows : sm90::kFewRows) {
      if (kernel == sm90::few_rows_kernel_name(element, widths.d, widths.d_v, rows)) {
        return Want{want.shape, rows, Path::shipped};
      }
    }
  }
  // It merges what the last pair, which is the narrowest, leaves it.
  if (kernel == sm90::merge_kernel_name(element)) return want;
  return std::nullopt;
}

}  // namespace

struct Trial::Run {
  Scene scene;
  ReferenceResult reference;
  DeviceRun how;
  uint64_t macs = 0;  // of the kernel as it is shipped

  Run(Scene made, DeviceRun run) : scene(std::move(made)), reference(scene.reference()), how(run) {
    how.patience = kPatience;
    how.most_instructions = kMostInstructions;
  }
};

bool Trial::knows(const std::string& kernel) {
  return want_of(kernel).has_value();
}

Trial::Trial(const std::string& kernel) {
  const Want want = want_of(kernel).value();
  const auto spec = [&](int64_t s_q, int64_t h_q, std::vector<int32_t> seqlens) {
    SceneSpec result;
    result.shape = want.shape;
    result.shape.s_q = s_q;
    result.shape.h_q = h_q;
    result.seqlens = std::move(seqlens);
    return result;
  };
  const auto add = [&](Scene scene, DeviceRun how) {
    how.path = want.path;
    Run& run = runs_.emplace_back(std::move(scene), how);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      run.how.seed = seed;
      const DeviceOutput result = run_on_device(run.scene, run.how);
      run.macs = result.decode.tensor_macs;
      const auto& ran = kernel == result.decode_kernel ? result.decode.executions : result.merge.executions;
      executions_.resize(std::max(executions_.size(), ran.size()));
      for (size_t i = 0; i < ran.size(); ++i) executions_[i] += ran[i];
    }
  };
  const int64_t rows = want.rows;
  // Many tiles, two units a part, tails with NaN behind them.
  add(Scene(spec(2, rows / 2, {290, 130, 70, 65})), {.splits = 2});
  // One part that has everything to do, also units without keys.
  add(Scene(spec(1, rows - 1, {0, 1, 192, 64, 0})), {.parts = 1});
  // Small boxes, masks, sinks.
  SceneSpec masked = spec(2, rows / 2, {290, 130, 70, 65});
  masked.mask = {true, 200, 3};
  masked.shape.page_size = 16;
  add(Scene(masked), {.splits = 3});
  // NaN in keys that some tokens do not see, in the columns of both warpgroups and in all rows of the loops that look
  // for them; in the first tile of a part, and in a later one.
  for (const int parts : {1, 4}) {
    const int64_t tokens = std::min<int64_t>(16, rows);
    SceneSpec anomalous = spec(tokens, rows / tokens, {80});
    anomalous.mask = {true, 0, 0};
    Scene scene(anomalous);
    for (int64_t key = 80 - tokens + 1; key < 80; ++key) {
      for (const int64_t column : {20 + key, want.shape.d_v - 20 - key}) {
        scene.set_key(0, key, 0, column, std::numeric_limits<double>::quiet_NaN());
      }
    }
    add(std::move(scene), {.parts = parts, .splits = 2});
  }
  // Weights that stand out at first and later do not: the products say when.
  SceneSpec even = spec(1, rows, {700});
  even.deviation = 0.05;
  even.scale = 1;
  add(Scene(even), {.parts = 1});
  // Rows that no tensor map fits are gathered, by aligned copies and by others; results in float32.
  SceneSpec paged = spec(1, rows, {700, 31, 64});
  paged.shape.page_size = 12;
  add(Scene(paged), {.parts = 1, .splits = 2});
  SceneSpec padded = spec(1, rows, {130});
  padded.shape.out_dtype = DType::float32;
  padded.spread = Spread::padded;
  add(Scene(padded), {.splits = 2});
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
      if (result.decode.tensor_macs != run.macs) return "other products";
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
