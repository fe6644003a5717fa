// Decoders with one defect each, for `check` to find.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "check/trial.h"

namespace flash_mla::cli {

struct Defect {
  std::string name;
  /// Wraps a sound decoder.
  std::function<Decoder(const Decoder& sound)> plant;
};

std::vector<Defect> defects();

}  // namespace flash_mla::cli
