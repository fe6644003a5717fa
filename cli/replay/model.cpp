#include "replay/model.h"

#include <fmt/format.h>

#include <array>

namespace flash_mla::cli {
namespace {

constexpr double kScale192 = 0.07216878364870322;  // (128 nope + 64 rope)^-0.5
constexpr double kScale256 = 0.0625;               // (192 + 64)^-0.5
constexpr double kScale128 = 0.08838834764831845;  // (64 + 64)^-0.5
constexpr double kScale96 = 0.10206207261596577;   // (64 + 32)^-0.5
constexpr double kYarnV2 = 1.5896;                 // (0.1 * 0.707 * ln 40 + 1)^2
constexpr double kYarnV3 = 1.8739;                 // (0.1 * ln 40 + 1)^2

constexpr std::array<ModelGeometry, 10> kModels = {{
    {"deepseek-v2-lite", 27, 16, 512, 64, kScale192* kYarnV2},
    {"deepseek-v2", 60, 128, 512, 64, kScale192* kYarnV2},
    {"deepseek-v3", 61, 128, 512, 64, kScale192* kYarnV3},
    {"kimi-k2", 61, 64, 512, 64, kScale192},
    {"glm-4.7-flash", 47, 20, 512, 64, kScale256},
    {"glm-5", 78, 64, 512, 64, kScale256},
    {"longcat-flash", 56, 64, 512, 64, kScale192},  // 28 layers with two attentions each
    {"joyai-llm-flash", 40, 32, 512, 64, kScale192},
    {"mistral-small-4", 36, 32, 256, 64, kScale128},
    {"minicpm3", 62, 40, 256, 32, kScale96},
}};

}  // namespace

std::span<const ModelGeometry> models() {
  return kModels;
}

Result<ModelGeometry> find_model(std::string_view name) {
  std::string names;
  for (const ModelGeometry& model : kModels) {
    if (name == model.name) return model;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  }
  return Status{StatusCode::not_found, fmt::format("--model is '{}': must be one of {}", name, names)};
}

}  // namespace flash_mla::cli
