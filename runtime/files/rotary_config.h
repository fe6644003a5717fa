// The settings of rotary positions, in their new and old places in config.json.
#pragma once

#include "files/model_config.h"
#include "files/settings.h"

namespace flash_mla::runtime {

struct RotarySettings {
  RotaryConfig rotary;
  double score_factor = 1;  ///< of MLA's attention scale: m squared, which makes up for YaRN's longer contexts
};

/// From rope_parameters, or rope_theta and rope_scaling. Errors are the settings'.
RotarySettings read_rotary(Settings& config, int64_t width, int64_t positions);

}  // namespace flash_mla::runtime
