// Generation: requests come and go, and each step runs the model on what all of them have ready.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "flash_mla/kv_cache.h"
#include "flash_mla/status.h"
#include "model/cache_arrays.h"
#include "model/model.h"

namespace flash_mla::runtime {

/// How MLA attends to the new tokens of a prompt.
enum class PromptForm { cheaper, absorbed, expanded };

struct EngineOptions {
  int64_t page_size = 64;
  int64_t cache_tokens = 0;    ///< size of the KV cache, rounded up to pages; 0: what max_sequences of 4096 tokens need
  int64_t max_sequences = 16;  ///< run together
  int64_t chunk = 512;         ///< most tokens a step
  bool prefix_caching = true;
  bool keep_cache = true;  ///< false: every token computes all before it again
  PromptForm prompt_form = PromptForm::cheaper;
};

struct Request {
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;
  SamplingOptions sampling;
  std::vector<int32_t> end_tokens;  ///< drawing one ends the request; it is reported, but is not text
};

enum class Finish { no, end_token, max_tokens };

struct NewToken {
  int64_t request = 0;
  int32_t token = 0;
  Finish finish = Finish::no;
};

/// One pass through the model.
struct StepRecord {
  int64_t sequences = 0;
  int64_t queries = 0;         ///< tokens that were run
  int64_t prompt_queries = 0;  ///< of those, not the last of their sequence
  int64_t keys = 0;            ///< cached tokens of these sequences, the new ones included
  int64_t pages = 0;           ///< in use after the step
  double seconds = 0;
};

struct EngineStatistics {
  int64_t prompt_tokens = 0;  ///< run in steps that had more than one new token of a sequence
  double prompt_seconds = 0;
  int64_t decode_tokens = 0;  ///< run in the other steps
  double decode_seconds = 0;
  int64_t preemptions = 0;
  int64_t most_pages = 0;          ///< in use at once
  int64_t most_cached_tokens = 0;  ///< of all sequences at once
};

/// Continuous batching (Yu et al., Orca, 2022) over a paged KV cache: prompts run in chunks beside sequences that
/// decode; prefixes that are cached are not computed again; when pages run out the youngest sequence gives up its own
/// and is computed again later.
class Engine {
 public:
  /// Errors: invalid_argument (sizes), those of the KV cache.
  static Result<Engine> make(Model model, const EngineOptions& options);

  /// Queues a request: its number. Errors: invalid_argument (no prompt, unknown tokens, longer than the model's
  /// positions or than the whole cache).
  Result<int64_t> add(Request request);
  /// Ends a request before it ends by itself. Errors: not_found.
  Status cancel(int64_t request);
  [[nodiscard]] bool busy() const { return !running_.empty() || !waiting_.empty(); }
  /// Runs the model once: the tokens that came out of it, of at most every request that runs. Errors: those of the
  /// model.
  Result<std::vector<NewToken>> step();

  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] const EngineOptions& options() const { return options_; }
  [[nodiscard]] const EngineStatistics& statistics() const { return statistics_; }
  [[nodiscard]] const std::vector<StepRecord>& records() const { return records_; }
  [[nodiscard]] KvCache& cache() { return cache_; }
  [[nodiscard]] const CacheArrays& arrays() const { return arrays_; }
  /// The pages of a request's sequence; empty while it has none.
  [[nodiscard]] std::vector<int32_t> pages_of(int64_t request) const;

 private:
  struct Sequence {
    int64_t request = 0;
    int64_t prompt_tokens = 0;
    int64_t max_tokens = 0;
    std::vector<int32_t> tokens;  ///< prompt and what was drawn
    std::vector<int32_t> end_tokens;
    Sampler sampler;
    int64_t id = -1;  ///< in the cache; -1 while it waits
  };
  using Owned = std::unique_ptr<Sequence>;
  struct Scheduled {
    Sequence* sequence;
    Segment segment;
    std::vector<int64_t> slots;
  };

  Engine(Model model, const EngineOptions& options, KvCache cache, CacheArrays arrays)
      : model_(std::move(model)), options_(options), cache_(std::move(cache)), arrays_(std::move(arrays)) {}

  Status schedule_running(int64_t& budget);
  Status schedule_waiting(int64_t& budget);
  /// Takes slots for the next tokens of a sequence. False: there are no pages for them.
  Result<bool> grow(Sequence& sequence, int64_t& budget);
  Status preempt(size_t index);
  Step gather();
  Result<std::vector<NewToken>> draw(const Step& step, std::span<const float> logits);
  Status finish(const Sequence* sequence);
  [[nodiscard]] int64_t pages_for(int64_t tokens) const {
    return (tokens + options_.page_size - 1) / options_.page_size;
  }

  Model model_;
  EngineOptions options_;
  KvCache cache_;
  CacheArrays arrays_;
  std::vector<Owned> running_;  ///< oldest first
  std::deque<Owned> waiting_;
  std::vector<Scheduled> scheduled_;
  int64_t next_request_ = 0;
  EngineStatistics statistics_;
  std::vector<StepRecord> records_;
};

}  // namespace flash_mla::runtime
