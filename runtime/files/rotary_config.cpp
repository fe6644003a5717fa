#include "files/rotary_config.h"

#include <fmt/format.h>

#include <cmath>

namespace flash_mla::runtime {
namespace {

double yarn_scale(double factor, double weight) {
  return factor <= 1 ? 1 : 0.1 * weight * std::log(factor) + 1;
}

void read_yarn(Settings& part, int64_t positions, RotarySettings& settings) {
  RotaryConfig& rotary = settings.rotary;
  rotary.kind = RotaryConfig::Kind::yarn;
  rotary.original_positions = part.positive("original_max_position_embeddings");
  rotary.factor = part.positive_or("factor", static_cast<double>(positions) / rotary.original_positions);
  rotary.beta_fast = part.positive_or("beta_fast", 32);
  rotary.beta_slow = part.positive_or("beta_slow", 1);
  rotary.truncate = part.flag("truncate", true);
  const auto weight_of = [&](const char* key) {
    const nlohmann::json* value = part.find(key);
    return value != nullptr && *value == 0 ? 0 : part.positive_or(key, 0);
  };
  const double weight = weight_of("mscale"), weight_all = weight_of("mscale_all_dim");
  const double computed = weight > 0 && weight_all > 0
                              ? yarn_scale(rotary.factor, weight) / yarn_scale(rotary.factor, weight_all)
                              : yarn_scale(rotary.factor, 1);
  rotary.attention_factor = part.positive_or("attention_factor", computed);
  if (weight_all > 0) {
    const double m = yarn_scale(rotary.factor, weight_all);
    settings.score_factor = m * m;
  }
}

}  // namespace

RotarySettings read_rotary(Settings& config, int64_t width, int64_t positions) {
  RotarySettings settings;
  RotaryConfig& rotary = settings.rotary;
  rotary.width = width;
  const bool modern = config.has("rope_parameters");
  Settings part = config.part(modern ? "rope_parameters" : "rope_scaling");
  rotary.theta =
      modern && part.has("rope_theta") ? part.positive("rope_theta") : config.positive_or("rope_theta", 10000);
  if (part.positive_or("partial_rotary_factor", config.positive_or("partial_rotary_factor", 1)) != 1) {
    part.fail("partial_rotary_factor is not 1: only whole heads are turned here");
  }
  const std::string kind = part.text("rope_type", part.text("type", "default"));
  if (kind == "linear") {
    rotary.kind = RotaryConfig::Kind::linear;
    rotary.factor = part.positive("factor");
  } else if (kind == "llama3") {
    rotary.kind = RotaryConfig::Kind::llama3;
    rotary.factor = part.positive("factor");
    rotary.low_frequency = part.positive("low_freq_factor");
    rotary.high_frequency = part.positive("high_freq_factor");
    rotary.original_positions = part.positive("original_max_position_embeddings");
  } else if (kind == "yarn") {
    read_yarn(part, positions, settings);
  } else if (kind != "default") {
    part.fail(fmt::format("rope_type is \"{}\": must be default, linear, llama3 or yarn", kind));
  }
  config.take_error(part);
  return settings;
}

}  // namespace flash_mla::runtime
