#include "batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace flash_mla::plan::test {

namespace {

int64_t between(int64_t low, int64_t high, Random& random) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

int64_t normal(double mean, Random& random) {
  return std::max<int64_t>(1, std::llround(std::normal_distribution(mean, mean / 2)(random)));
}

}  // namespace

std::vector<CostModel> cost_models() {
  std::vector<CostModel> models;
  for (const int64_t quantum : {16, 64}) {
    for (const double unit : {3e3, 5e3, 10e3}) {
      for (const double split : {3e3, 10e3, 30e3}) models.push_back({unit, split, quantum});
    }
  }
  return models;
}

std::vector<Item> draw(Lengths lengths, int batch, double mean, double token_cost, Random& random) {
  const auto rounded = std::max<int64_t>(1, std::llround(mean));
  std::vector<Item> items(batch, Item{0, token_cost});
  for (Item& item : items) {
    switch (lengths) {
      case Lengths::uniform:
        item.tokens = rounded;
        break;
      case Lengths::ragged:
        item.tokens = normal(mean, random);
        break;
      case Lengths::wide:
        item.tokens = between(1, 2 * rounded, random);
        break;
      case Lengths::one_giant:
        item.tokens = between(1, 64, random);
        break;
      case Lengths::all_zero:
        break;
      case Lengths::some_zero:
        item.tokens = between(0, 1, random) * rounded;
        break;
      case Lengths::most:
        item.tokens = normal(0x1p31 / batch, random);
        break;
    }
  }
  Item& one = items[between(0, batch - 1, random)];
  if (lengths == Lengths::one_giant) one.tokens = 100 * rounded;
  if (lengths == Lengths::most) {
    int64_t total = 0;
    for (const Item& item : items) total += item.tokens;
    one.tokens = std::max<int64_t>(1, one.tokens + (int64_t{1} << 31) - total);
  }
  return items;
}

int draw_batch(int num_parts, Random& random) {
  switch (between(0, 2, random)) {
    case 0:
      return static_cast<int>(between(1, 16, random));
    case 1:
      return static_cast<int>(between(1, kMaxBatch, random));
    default:
      return static_cast<int>(std::clamp<int64_t>(between(num_parts, 7 * num_parts, random) / 2, 1, kMaxBatch));
  }
}

double draw_mean(Random& random) {
  return std::exp(std::uniform_real_distribution(0.0, std::log(200e3))(random));
}

const char* name_of(Lengths lengths) {
  switch (lengths) {
    case Lengths::uniform:
      return "uniform";
    case Lengths::ragged:
      return "ragged";
    case Lengths::wide:
      return "wide";
    case Lengths::one_giant:
      return "one giant, many tiny";
    case Lengths::all_zero:
      return "all zero";
    case Lengths::some_zero:
      return "some zero";
    default:
      return "2^31 tokens";
  }
}

std::string describe(std::span<const Item> items, int num_parts, const CostModel& model) {
  std::string tokens;
  for (const Item& item : items.first(std::min<size_t>(items.size(), 16))) tokens += fmt::format(" {}", item.tokens);
  if (items.size() > 16) tokens += " ...";
  return fmt::format("{} parts, b = {}, token {} unit {} split {} quantum {}; tokens:{}", num_parts, items.size(),
                     items.empty() ? 0 : items[0].token_cost, model.unit_cost, model.split_cost, model.quantum, tokens);
}

}  // namespace flash_mla::plan::test
