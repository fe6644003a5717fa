// Steps of a model at a chosen cache length, beside what the machine could do: answers commands on stdin, a JSON object
// a line. `model_speed FOLDER PRECISION THREADS MAX_TOKENS wall|cpu`, then
//   bandwidth | peak | context N | decode N | attention N | prefill TOKENS CHUNK | greedy N
// The cache is filled with random rows, so that a long context costs no prefill. Time is the clock's, or the
// processor's that this process had: with one thread the latter is the former on a machine that nobody else uses.
#include <fmt/format.h>

#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>

#include "bench/peak_meter.h"
#include "bench/read_meter.h"
#include "common/verb.h"
#include "model/latent_attention.h"
#include "model/model.h"
#include "model/paged_attention.h"

namespace flash_mla::runtime {
namespace {

using Json = nlohmann::json;
constexpr int64_t kPage = 64;

void require(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

template <class Value>
Value take(Result<Value> result) {
  require(result.status());
  return std::move(result).value();
}

class Bench {
 public:
  Bench(Model model, ComputeOptions compute, const KvCacheGeometry& geometry, clockid_t clock)
      : clock_(clock),
        model_(std::move(model)),
        compute_(std::move(compute)),
        cache_(take(KvCache::make(geometry, {}))),
        arrays_(take(CacheArrays::make(model_.config(), model_.precision(), geometry))),
        reader_(cli::uncached_bytes(), compute_.threads),
        peak_(take(cli::find_probe(compute_.backend, dtype_of(model_.precision()))), compute_.threads) {
    constexpr int kTries = 5;
    reader_.choose_loop(kTries);
    fill(geometry);
    set_context(0);
  }

  Json answer(const std::string& command, int64_t count, int64_t chunk) {
    if (command == "bandwidth") return {{"bytes_per_s", bandwidth()}};
    if (command == "peak") return {{"flops", peak()}};
    if (command == "context") {
      set_context(count);
      return {{"cache_bytes", count * model_.config().layers * model_.config().cached_width() * element()}};
    }
    if (command == "decode") return {{"seconds", decode(count)}};
    if (command == "attention") return {{"seconds", attend(count)}};
    if (command == "greedy") return {{"tokens", greedy(count)}};
    if (command == "prefill") return {{"seconds", prefill(count, chunk)}};
    throw std::runtime_error("unknown command: " + command);
  }

  [[nodiscard]] Json describe() const {
    const ModelConfig& config = model_.config();
    return {{"weight_bytes", model_.weight_bytes()}, {"layers", config.layers},     {"heads", config.heads},
            {"cached_width", config.cached_width()}, {"backend", compute_.backend}, {"bandwidth_loop", reader_.loop()}};
  }

 private:
  [[nodiscard]] double seconds_now() const {
    timespec time{};
    clock_gettime(clock_, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  /// The best of some passes of 8 ms: threads that have slept take longer to begin.
  [[nodiscard]] double bandwidth() const {
    constexpr int kPasses = 8;
    double best = 0;
    for (int i = 0; i < kPasses; ++i) {
      const double start = seconds_now();
      static_cast<void>(reader_.measure());
      best = std::max(best, static_cast<double>(cli::uncached_bytes()) / (seconds_now() - start));
    }
    return best;
  }

  /// The best of some attempts of 4 ms.
  [[nodiscard]] double peak() const {
    constexpr int kAttempts = 12;
    double best = 0;
    for (int i = 0; i < kAttempts; ++i) best = std::max(best, peak_.measure().flops);
    return best;
  }

  [[nodiscard]] int64_t element() const { return bytes_of(model_.precision()); }

  /// Small random bfloat16 or float32 numbers in every page: a block of them, again and again.
  void fill(const KvCacheGeometry& geometry) {
    constexpr size_t kBlock = 99991;
    std::vector<float> numbers(kBlock);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 1);
    for (float& number : numbers) number = normal(random);
    Rounded rounded;
    const auto* block = static_cast<const std::byte*>(rounded.round(numbers.data(), kBlock, model_.precision()));
    const ModelConfig& config = model_.config();
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      for (const Tensor& tensor : {arrays_.keys(layer), arrays_.values(layer)}) {
        if (tensor.data == nullptr) continue;
        const auto bytes = static_cast<size_t>(geometry.num_pages * tensor.strides[0] * element());
        auto* to = static_cast<std::byte*>(tensor.data);
        for (size_t i = 0; i < bytes; i += kBlock * 2) std::copy_n(block, std::min(kBlock * 2, bytes - i), to + i);
      }
    }
  }

  void set_context(int64_t tokens) {
    if (sequence_) require(cache_.remove_sequence(*sequence_));
    sequence_ = take(cache_.add_sequence());
    std::vector<int64_t> slots(static_cast<size_t>(tokens));
    if (tokens > 0) take(cache_.grow(*sequence_, tokens, slots));
    require(cache_.mark_computed(*sequence_, tokens));
  }

  /// Tokens that are the same in peer.py.
  [[nodiscard]] std::vector<int32_t> next_tokens(int64_t count) const {
    std::vector<int32_t> tokens;
    const int64_t first = cache_.length(*sequence_);
    for (int64_t i = first; i < first + count; ++i) {
      tokens.push_back(static_cast<int32_t>(i * 7919 % model_.config().vocabulary));
    }
    return tokens;
  }

  Step next_step(std::vector<int32_t> tokens) {
    Step step;
    step.tokens = std::move(tokens);
    const int64_t count = step.num_tokens();
    const int64_t first = cache_.length(*sequence_);
    step.slots.resize(static_cast<size_t>(count));
    take(cache_.grow(*sequence_, count, step.slots));
    const bool expanded =
        model_.config().latent && count > 1 && expanding_is_cheaper(*model_.config().latent, count, first + count);
    step.segments = {{cache_.row_of(*sequence_), first, count, expanded}};
    for (int64_t i = 0; i < count; ++i) {
      step.positions.push_back(static_cast<int32_t>(first + i));
    }
    step.logit_tokens = {count - 1};
    step.cache = &cache_;
    step.arrays = &arrays_;
    return step;
  }

  /// The likeliest next token.
  int32_t run(std::vector<int32_t> tokens) {
    const Step step = next_step(std::move(tokens));
    const std::span<const float> logits = take(model_.forward(step));
    require(cache_.mark_computed(*sequence_, cache_.length(*sequence_)));
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }

  double time(int64_t count) {
    std::vector<int32_t> tokens = next_tokens(count);
    const double start = seconds_now();
    run(std::move(tokens));
    return seconds_now() - start;
  }

  std::vector<int32_t> greedy(int64_t count) {
    set_context(0);
    std::vector<int32_t> drawn = {run({3, 1000, 77, 4096, 12, 8000, 512})};
    while (static_cast<int64_t>(drawn.size()) < count) drawn.push_back(run({drawn.back()}));
    return drawn;
  }

  std::vector<double> decode(int64_t count) {
    std::vector<double> seconds;
    for (int64_t i = 0; i < count; ++i) seconds.push_back(time(1));
    return seconds;
  }

  std::vector<double> prefill(int64_t tokens, int64_t chunk) {
    set_context(0);
    std::vector<double> seconds;
    for (int64_t done = 0; done < tokens; done += chunk) seconds.push_back(time(std::min(chunk, tokens - done)));
    return seconds;
  }

  /// flash_mla::decode() of all layers, as a decode step at this length calls it.
  std::vector<double> attend(int64_t count) {
    const ModelConfig& config = model_.config();
    const DecodeShape shape = cached_shape(config, model_.precision(), kPage);
    PagedAttention paged(shape, config.attention_scale, {0}, compute_);
    const Step step = next_step(next_tokens(1));
    std::vector<double> seconds;
    std::vector<float> out(static_cast<size_t>(shape.h_q * shape.d_v));
    const std::vector<float> numbers(static_cast<size_t>(shape.h_q * shape.d), 0.1f);
    Rounded rounded;
    const void* queries = rounded.round(numbers.data(), shape.h_q * shape.d, model_.precision());
    for (int64_t i = 0; i < count; ++i) {
      const double start = seconds_now();
      require(paged.plan(step));
      for (int64_t layer = 0; layer < config.layers; ++layer) {
        require(paged.decode(queries, arrays_.keys(layer), arrays_.values(layer), 0, out.data()));
      }
      seconds.push_back(seconds_now() - start);
    }
    require(cache_.mark_computed(*sequence_, cache_.length(*sequence_)));
    return seconds;
  }

  clockid_t clock_;
  Model model_;
  ComputeOptions compute_;
  KvCache cache_;
  CacheArrays arrays_;
  cli::ReadMeter reader_;
  cli::PeakMeter peak_;
  std::optional<int64_t> sequence_;
};

int serve(const std::string& folder, Precision precision, int threads, int64_t max_tokens, clockid_t clock) {
  ComputeOptions compute;
  compute.backend = take(find_backend("")).name;
  compute.threads = threads;
  KvCacheGeometry geometry;
  geometry.page_size = kPage;
  geometry.num_pages = (max_tokens + kPage - 1) / kPage + 1;
  geometry.max_sequences = 1;
  geometry.max_tokens = geometry.num_pages * kPage;
  Bench bench(take(Model::load(folder, precision, compute, kPage)), compute, geometry, clock);
  std::cout << bench.describe() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    int64_t count = 0, chunk = 0;
    words >> command >> count >> chunk;
    std::cout << bench.answer(command, count, chunk) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace flash_mla::runtime

int main(int argc, char** argv) {
  using namespace flash_mla::runtime;
  if (argc != 6) {
    fmt::print(stderr, "usage: model_speed FOLDER float32|bfloat16 THREADS MAX_TOKENS wall|cpu\n");
    return 2;
  }
  const Precision precision = std::string_view(argv[2]) == "float32" ? Precision::float32 : Precision::bfloat16;
  const clockid_t clock = std::string_view(argv[5]) == "cpu" ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  try {
    return serve(argv[1], precision, std::stoi(argv[3]), std::stoll(argv[4]), clock);
  } catch (const std::exception& error) {
    fmt::print(stderr, "model_speed: {}\n", error.what());
    return 1;
  }
}
