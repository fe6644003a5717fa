#include "engine/engine.h"

#include <algorithm>
#include <chrono>

#include "common/error.h"
#include "model/latent_attention.h"

namespace flash_mla::runtime {
namespace {

constexpr int64_t kTokensUnlessTold = 4096;  // a sequence

/// The window that all layers share, so that pages that have left it can be freed; else 0.
int64_t common_window(const ModelConfig& config) {
  const int64_t first = config.windows.front();
  const bool same = std::all_of(config.windows.begin(), config.windows.end(), [&](int64_t w) { return w == first; });
  return same ? first : 0;
}

}  // namespace

Result<Engine> Engine::make(Model model, const EngineOptions& options) {
  EngineOptions chosen = options;
  const int64_t positions = model.config().positions;
  if (chosen.page_size < 1 || chosen.max_sequences < 1 || chosen.chunk < 1 || chosen.cache_tokens < 0) {
    return invalid("page_size {}, max_sequences {}, chunk {}, cache_tokens {}: must be 1 or more (the last: 0 or more)",
                   chosen.page_size, chosen.max_sequences, chosen.chunk, chosen.cache_tokens);
  }
  if (chosen.cache_tokens == 0) chosen.cache_tokens = chosen.max_sequences * std::min(positions, kTokensUnlessTold);
  if (!chosen.keep_cache) chosen.prefix_caching = false;
  KvCacheGeometry geometry;
  geometry.page_size = chosen.page_size;
  geometry.num_pages = (chosen.cache_tokens + chosen.page_size - 1) / chosen.page_size;
  geometry.max_sequences = chosen.max_sequences;
  geometry.max_tokens = positions;
  KvCacheOptions cache_options;
  cache_options.prefix_caching = chosen.prefix_caching;
  cache_options.groups.push_back({0, common_window(model.config()), 0});
  Result<KvCache> cache = KvCache::make(geometry, cache_options);
  if (!cache.ok()) return cache.status();
  Result<CacheArrays> arrays = CacheArrays::make(model.config(), model.precision(), geometry);
  if (!arrays.ok()) return arrays.status();
  return Engine(std::move(model), chosen, std::move(cache).value(), std::move(arrays).value());
}

Result<int64_t> Engine::add(Request request) {
  const ModelConfig& config = model_.config();
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length == 0) return invalid("the prompt has no tokens: at least one is needed");
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= config.vocabulary) {
      return invalid("the prompt has token {}: must be 0 to {}", token, config.vocabulary - 1);
    }
  }
  if (request.max_tokens < 1) return invalid("max_tokens is {}: must be 1 or more", request.max_tokens);
  // The last token drawn is never run.
  const int64_t longest = length + request.max_tokens - 1;
  if (longest > config.positions) {
    return invalid("the prompt has {} tokens, and {} more are wanted: the model has positions for {}", length,
                   request.max_tokens, config.positions);
  }
  if (pages_for(longest) > cache_.geometry().num_pages) {
    return invalid("the prompt has {} tokens, and {} more are wanted: the KV cache has room for {}", length,
                   request.max_tokens, cache_.geometry().num_pages * options_.page_size);
  }
  waiting_.push_back(
      std::make_unique<Sequence>(Sequence{next_request_, length, request.max_tokens, std::move(request.prompt),
                                          std::move(request.end_tokens), Sampler(request.sampling), -1}));
  return next_request_++;
}

Status Engine::cancel(int64_t request) {
  const auto is_it = [&](const Owned& sequence) { return sequence->request == request; };
  if (const auto found = std::find_if(waiting_.begin(), waiting_.end(), is_it); found != waiting_.end()) {
    waiting_.erase(found);
    return {};
  }
  const auto found = std::find_if(running_.begin(), running_.end(), is_it);
  if (found == running_.end()) return {StatusCode::not_found, fmt::format("no request {} is under way", request)};
  return finish(found->get());
}

Status Engine::finish(const Sequence* sequence) {
  const auto found =
      std::find_if(running_.begin(), running_.end(), [&](const Owned& one) { return one.get() == sequence; });
  FLASH_MLA_RUNTIME_TRY(cache_.remove_sequence((*found)->id));
  running_.erase(found);
  return {};
}

Status Engine::preempt(size_t index) {
  Owned sequence = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  FLASH_MLA_RUNTIME_TRY(cache_.remove_sequence(sequence->id));
  sequence->id = -1;
  waiting_.push_front(std::move(sequence));
  return {};
}

Result<bool> Engine::grow(Sequence& sequence, int64_t& budget) {
  const int64_t first = cache_.length(sequence.id);
  const int64_t count = std::min(static_cast<int64_t>(sequence.tokens.size()) - first, budget);
  Scheduled scheduled{&sequence, {cache_.row_of(sequence.id), first, count, false}, {}};
  scheduled.slots.resize(static_cast<size_t>(count));
  const auto tokens = std::span<const int32_t>(sequence.tokens).subspan(first, count);
  const Result<PageCopies> copies = cache_.grow(sequence.id, tokens, scheduled.slots);
  if (!copies.ok()) {
    if (copies.status().code() == StatusCode::out_of_pages) return false;
    return copies.status();
  }
  FLASH_MLA_RUNTIME_TRY(arrays_.pages().copy(copies.value().span()));
  const ModelConfig& config = model_.config();
  if (config.latent && count > 1) {
    scheduled.segment.expanded =
        options_.prompt_form == PromptForm::expanded ||
        (options_.prompt_form == PromptForm::cheaper && expanding_is_cheaper(*config.latent, count, first + count));
  }
  budget -= count;
  scheduled_.push_back(std::move(scheduled));
  return true;
}

Status Engine::schedule_running(int64_t& budget) {
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const Sequence* sequence = running_[i].get();
    while (true) {
      const Result<bool> grown = grow(*running_[i], budget);
      if (!grown.ok()) return grown.status();
      if (grown.value()) break;
      // The youngest gives way; those before i have their slots for this step already.
      ++statistics_.preemptions;
      const bool itself = running_.back().get() == sequence;
      FLASH_MLA_RUNTIME_TRY(preempt(running_.size() - 1));
      if (itself) return {};
    }
  }
  return {};
}

Status Engine::schedule_waiting(int64_t& budget) {
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < options_.max_sequences && budget > 0) {
    SequenceSpec spec;
    spec.prompt = waiting_.front()->tokens;
    const Result<Admission> admission = cache_.can_admit(spec);
    if (!admission.ok()) return admission.status();
    if (!admission.value().fits) return {};
    const Result<StartedSequence> started = cache_.add_sequence(spec);
    if (!started.ok()) return started.status();
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    running_.back()->id = started.value().id;
    const Result<bool> grown = grow(*running_.back(), budget);
    if (!grown.ok()) return grown.status();
    if (!grown.value()) return preempt(running_.size() - 1);
  }
  return {};
}

Step Engine::gather() {
  std::sort(scheduled_.begin(), scheduled_.end(), [](const Scheduled& a, const Scheduled& b) {
    return std::pair(a.segment.expanded, a.segment.row) < std::pair(b.segment.expanded, b.segment.row);
  });
  Step step;
  step.cache = &cache_;
  step.arrays = &arrays_;
  for (const Scheduled& one : scheduled_) {
    const Segment& segment = one.segment;
    step.segments.push_back(segment);
    for (int64_t i = 0; i < segment.count; ++i) {
      step.tokens.push_back(one.sequence->tokens[segment.first + i]);
      step.positions.push_back(static_cast<int32_t>(segment.first + i));
    }
    step.slots.insert(step.slots.end(), one.slots.begin(), one.slots.end());
    if (segment.first + segment.count == static_cast<int64_t>(one.sequence->tokens.size())) {
      step.logit_tokens.push_back(step.num_tokens() - 1);
    }
  }
  return step;
}

Result<std::vector<NewToken>> Engine::step() {
  const auto start = std::chrono::steady_clock::now();
  scheduled_.clear();
  int64_t budget = options_.chunk;
  FLASH_MLA_RUNTIME_TRY(schedule_running(budget));
  FLASH_MLA_RUNTIME_TRY(schedule_waiting(budget));
  if (scheduled_.empty()) return std::vector<NewToken>();
  const Step step = gather();
  const Result<std::span<const float>> logits = model_.forward(step);
  if (!logits.ok()) return logits.status();

  StepRecord record;
  record.sequences = static_cast<int64_t>(scheduled_.size());
  record.queries = step.num_tokens();
  for (const Scheduled& one : scheduled_) {
    const int64_t length = one.segment.first + one.segment.count;
    FLASH_MLA_RUNTIME_TRY(cache_.mark_computed(one.sequence->id, length));
    record.keys += length;
    record.prompt_queries += one.segment.count - (length == static_cast<int64_t>(one.sequence->tokens.size()) ? 1 : 0);
  }
  record.pages = cache_.num_used_pages();
  statistics_.most_pages = std::max(statistics_.most_pages, record.pages);
  statistics_.most_cached_tokens = std::max(statistics_.most_cached_tokens, cache_.num_tokens());
  Result<std::vector<NewToken>> drawn = draw(step, logits.value());
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const bool prompt = record.queries > record.sequences;
  (prompt ? statistics_.prompt_tokens : statistics_.decode_tokens) += record.queries;
  (prompt ? statistics_.prompt_seconds : statistics_.decode_seconds) += record.seconds;
  records_.push_back(record);
  return drawn;
}

Result<std::vector<NewToken>> Engine::draw(const Step& step, std::span<const float> logits) {
  std::vector<NewToken> drawn;
  const auto vocabulary = static_cast<size_t>(model_.config().vocabulary);
  size_t row = 0;
  for (const Scheduled& one : scheduled_) {
    Sequence& sequence = *one.sequence;
    if (one.segment.first + one.segment.count < static_cast<int64_t>(sequence.tokens.size())) continue;
    const int32_t token = sequence.sampler.choose(logits.subspan(row++ * vocabulary, vocabulary));
    sequence.tokens.push_back(token);
    NewToken fresh{sequence.request, token, Finish::no};
    const auto& ends = sequence.end_tokens;
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
      fresh.finish = Finish::end_token;
    } else if (static_cast<int64_t>(sequence.tokens.size()) - sequence.prompt_tokens >= sequence.max_tokens) {
      fresh.finish = Finish::max_tokens;
    }
    drawn.push_back(fresh);
    if (fresh.finish != Finish::no) FLASH_MLA_RUNTIME_TRY(finish(&sequence));
  }
  if (row != step.logit_tokens.size()) return invalid("{} logits for {} sequences", step.logit_tokens.size(), row);
  // Without a cache nothing is kept once a token has been drawn: these sequences begin again, in their order.
  for (size_t i = running_.size(); !options_.keep_cache && i-- > 0;) {
    const int64_t request = running_[i]->request;
    const bool drew =
        std::any_of(drawn.begin(), drawn.end(), [&](const NewToken& one) { return one.request == request; });
    if (drew) FLASH_MLA_RUNTIME_TRY(preempt(i));
  }
  return drawn;
}

std::vector<int32_t> Engine::pages_of(int64_t request) const {
  for (const Owned& sequence : running_) {
    if (sequence->request != request) continue;
    std::vector<int32_t> pages(static_cast<size_t>(pages_for(cache_.length(sequence->id))));
    static_cast<void>(cache_.read_row(cache_.row_of(sequence->id), 0, pages));
    return pages;
  }
  return {};
}

}  // namespace flash_mla::runtime
