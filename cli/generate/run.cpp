#include "generate/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "common/interrupt.h"
#include "flash_mla/backend.h"
#include "text/text_stream.h"

namespace flash_mla::cli {
namespace {

using Clock = std::chrono::steady_clock;
using runtime::Engine;
using runtime::Finish;
using runtime::Model;
using runtime::NewToken;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const char* name_of(Finish finish) {
  return finish == Finish::end_token ? "end" : "length";
}

/// Tokens that a prompt may get: as many as were asked for, or the usual number if the model has positions for them.
int64_t tokens_for(const RunOptions& options, int64_t prompt_tokens, int64_t positions) {
  return options.max_tokens ? *options.max_tokens : std::clamp(positions - prompt_tokens + 1, int64_t{1}, kMaxTokens);
}

/// One prompt's side of the run.
struct Listener {
  runtime::TextStream text;
  int64_t computed = 0;  ///< tokens in the cache after the last step that drew a token
  Clock::time_point last;
};

class Session {
 public:
  Session(Run& run, Engine& engine, const runtime::Tokenizer& tokenizer, const OnText& on_text)
      : run_(run), engine_(engine), tokenizer_(tokenizer), on_text_(on_text) {
    for (size_t i = 0; i < run.answers.size(); ++i) {
      listeners_.push_back({runtime::TextStream(run.options.stops), 0, Clock::now()});
    }
  }

  Status drive() {
    while (engine_.busy()) {
      if (interrupted()) {
        for (Answer& answer : run_.answers) {
          if (answer.finish.empty()) answer.finish = "interrupted";
        }
        break;
      }
      const Result<std::vector<NewToken>> drawn = engine_.step();
      if (!drawn.ok()) return drawn.status();
      for (const NewToken& one : drawn.value()) {
        if (Status status = take(one); !status.ok()) return status;
      }
    }
    for (size_t i = 0; i < listeners_.size(); ++i) add_text(i, listeners_[i].text.finish());
    return {};
  }

 private:
  void add_text(size_t index, const std::string& text) {
    if (text.empty()) return;
    run_.answers[index].text += text;
    if (on_text_) on_text_(index, text);
  }

  Status take(const NewToken& one) {
    const auto index = static_cast<size_t>(one.request);
    Answer& answer = run_.answers[index];
    Listener& listener = listeners_[index];
    const auto length = static_cast<int64_t>(answer.prompt_tokens.size() + answer.tokens.size());
    const bool kept = run_.options.engine.keep_cache;
    const int64_t page = run_.options.engine.page_size;
    answer.times.push_back(
        {length, kept ? length - listener.computed : length, (length + page - 1) / page, seconds_since(listener.last)});
    listener.last = Clock::now();
    listener.computed = length;
    answer.tokens.push_back(one.token);
    if (std::vector<int32_t> pages = engine_.pages_of(one.request); !pages.empty()) answer.pages = std::move(pages);
    if (one.finish != Finish::no) answer.finish = name_of(one.finish);
    if (one.finish == Finish::end_token || tokenizer_.is_special(one.token)) return {};
    add_text(index, listener.text.push(tokenizer_.bytes_of(one.token)));
    if (!listener.text.stopped()) return {};
    answer.finish = "stop";
    return one.finish == Finish::no ? engine_.cancel(one.request) : Status();
  }

  Run& run_;
  Engine& engine_;
  const runtime::Tokenizer& tokenizer_;
  const OnText& on_text_;
  std::vector<Listener> listeners_;
};

/// The cache that these prompts can fill, unless the caller has said how large it is.
void size_cache(Run& run) {
  runtime::EngineOptions& engine = run.options.engine;
  engine.max_sequences = std::min(engine.max_sequences, static_cast<int64_t>(run.answers.size()));
  if (engine.cache_tokens > 0) return;
  int64_t longest = 0;
  for (const Answer& answer : run.answers) {
    const auto length = static_cast<int64_t>(answer.prompt_tokens.size());
    longest = std::max(longest, length + tokens_for(run.options, length, run.model.positions));
  }
  const int64_t pages = (longest + engine.page_size - 1) / engine.page_size;
  engine.cache_tokens = engine.max_sequences * pages * engine.page_size;
}

}  // namespace

Result<Run> generate(const RunOptions& options, const runtime::Tokenizer& tokenizer,
                     const std::vector<std::string>& prompts, const OnText& on_text) {
  Run run;
  run.options = options;
  for (const std::string& prompt : prompts) {
    Result<std::vector<int32_t>> tokens = tokenizer.encode(prompt);
    if (!tokens.ok()) return tokens.status();
    run.answers.emplace_back();
    run.answers.back().prompt = runtime::repair_utf8(prompt);
    run.answers.back().prompt_tokens = std::move(tokens).value();
  }
  const Result<BackendInfo> backend = find_backend(options.compute.backend);
  if (!backend.ok()) return backend.status();
  run.backend = backend.value().name;
  const Clock::time_point start = Clock::now();
  Result<Model> model = Model::load(options.model, options.precision, options.compute, options.engine.page_size);
  if (!model.ok()) return model.status();
  run.model = model.value().config();
  run.weight_bytes = model.value().weight_bytes();
  run.load_seconds = seconds_since(start);
  size_cache(run);
  Result<Engine> engine = Engine::make(std::move(model).value(), run.options.engine);
  if (!engine.ok()) return engine.status();
  for (size_t i = 0; i < run.answers.size(); ++i) {
    const Answer& answer = run.answers[i];
    runtime::Request request;
    request.prompt = answer.prompt_tokens;
    request.max_tokens = tokens_for(options, static_cast<int64_t>(answer.prompt_tokens.size()), run.model.positions);
    request.sampling = options.sampling;
    request.sampling.seed += i;
    request.end_tokens = options.end_tokens;
    if (const Result<int64_t> added = engine.value().add(std::move(request)); !added.ok()) {
      return Status{added.status().code(), fmt::format("prompt {}: {}", i + 1, added.status().message())};
    }
  }
  run.cache_bytes_per_page = engine.value().arrays().bytes_per_page();
  run.num_pages = engine.value().cache().geometry().num_pages;
  const Clock::time_point first = Clock::now();
  if (Status status = Session(run, engine.value(), tokenizer, on_text).drive(); !status.ok()) return status;
  run.seconds = seconds_since(first);
  run.statistics = engine.value().statistics();
  run.cache = engine.value().cache().statistics();
  run.steps = engine.value().records();
  return run;
}

}  // namespace flash_mla::cli
