#include "model/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/parallel.h"

namespace flash_mla::runtime {
namespace {

/// YaRN (Peng et al., 2023): pairs that turn often keep their angles, slow ones are stretched, with a ramp between.
void stretch_yarn(const RotaryConfig& rotary, std::vector<float>& frequencies) {
  const auto width = static_cast<double>(rotary.width);
  const auto pair_of = [&](double turns) {
    return width * std::log(rotary.original_positions / (turns * 2 * std::numbers::pi)) / (2 * std::log(rotary.theta));
  };
  double low = pair_of(rotary.beta_fast), high = pair_of(rotary.beta_slow);
  if (rotary.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, width - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double plain = frequencies[i];
    frequencies[i] = static_cast<float>(plain / rotary.factor * ramp + plain * (1 - ramp));
  }
}

/// Llama 3.1: the same idea over wavelengths.
void stretch_llama3(const RotaryConfig& rotary, std::vector<float>& frequencies) {
  const double longest = rotary.original_positions / rotary.low_frequency;
  const double shortest = rotary.original_positions / rotary.high_frequency;
  for (float& frequency : frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength > longest) {
      frequency = static_cast<float>(frequency / rotary.factor);
    } else if (wavelength >= shortest) {
      const double smooth = (rotary.original_positions / wavelength - rotary.low_frequency) /
                            (rotary.high_frequency - rotary.low_frequency);
      frequency = static_cast<float>((1 - smooth) * frequency / rotary.factor + smooth * frequency);
    }
  }
}

}  // namespace

std::vector<float> rotary_frequencies(const RotaryConfig& rotary) {
  std::vector<float> frequencies(static_cast<size_t>(rotary.width / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    // As float32 at the same places as PyTorch does it, since a position multiplies the rounding.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary.width);
    frequencies[i] = 1.0f / static_cast<float>(std::pow(rotary.theta, static_cast<double>(exponent)));
  }
  switch (rotary.kind) {
    case RotaryConfig::Kind::plain:
      break;
    case RotaryConfig::Kind::linear:
      for (float& frequency : frequencies) frequency = static_cast<float>(frequency / rotary.factor);
      break;
    case RotaryConfig::Kind::llama3:
      stretch_llama3(rotary, frequencies);
      break;
    case RotaryConfig::Kind::yarn:
      stretch_yarn(rotary, frequencies);
      break;
  }
  return frequencies;
}

void Rotary::set_positions(std::span<const int32_t> positions) {
  tokens_ = static_cast<int64_t>(positions.size());
  const auto pairs = static_cast<int64_t>(frequencies_.size());
  cosines_.resize(static_cast<size_t>(tokens_ * pairs));
  sines_.resize(cosines_.size());
  const auto factor = static_cast<float>(config_.attention_factor);
  for (int64_t t = 0; t < tokens_; ++t) {
    for (int64_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(positions[t]) * frequencies_[i];
      cosines_[t * pairs + i] = std::cos(angle) * factor;
      sines_[t * pairs + i] = std::sin(angle) * factor;
    }
  }
}

void Rotary::apply(float* x, int64_t token_stride, int64_t heads, int64_t head_stride) const {
  const auto pairs = static_cast<int64_t>(frequencies_.size());
  const int64_t step = config_.interleaved ? 2 : 1, distance = config_.interleaved ? 1 : pairs;
  parallel_for(tokens_, heads * pairs, [&](int64_t t) {
    const float* cosine = cosines_.data() + t * pairs;
    const float* sine = sines_.data() + t * pairs;
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + t * token_stride + h * head_stride;
      for (int64_t i = 0; i < pairs; ++i) {
        float &first = head[i * step], &second = head[i * step + distance];
        const float turned = first * cosine[i] - second * sine[i];
        second = second * cosine[i] + first * sine[i];
        first = turned;
      }
    }
  });
}

}  // namespace flash_mla::runtime
