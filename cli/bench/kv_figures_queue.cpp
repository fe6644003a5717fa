#include "bench/kv_figures_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace flash_mla::cli {
namespace {

struct Running {
  Request request;
  int64_t generated = 0;
  int64_t held = 0;  ///< tokens

  [[nodiscard]] int64_t tokens() const { return request.prompt + generated; }
};

class Queue {
 public:
  Queue(std::span<const Request> requests, const Reservation& reservation, int64_t budget)
      : reservation_(reservation), free_(budget) {
    waiting_.reserve(requests.size());
    for (auto request = requests.rbegin(); request != requests.rend(); ++request) waiting_.push_back({*request, 0, 0});
    if (reservation.grows()) {
      free_ = budget / reservation.tokens * reservation.tokens;
      reserve_ = free_ / reservation.tokens / 100 * reservation.tokens;
    }
  }

  [[nodiscard]] int64_t most_admissible() const { return free_ - reserve_; }
  [[nodiscard]] bool waiting() const { return !waiting_.empty(); }
  [[nodiscard]] int64_t batch() const { return static_cast<int64_t>(running_.size()); }
  [[nodiscard]] int64_t preemptions() const { return preemptions_; }
  [[nodiscard]] int64_t tokens() const {
    int64_t sum = 0;
    for (const Running& one : running_) sum += one.tokens();
    return sum;
  }

  /// What runs gets the places of the tokens that it computes next, the oldest first.
  void grow() {
    // By index: preemption shortens the list from the end.
    for (size_t i = 0; i < running_.size() && reservation_.grows() && grow(i); ++i) {
    }
  }

  void admit() {
    while (!waiting_.empty()) {
      Running next = waiting_.back();
      next.held = held_in_a_step(next);
      if (free_ - next.held < reserve_) return;
      waiting_.pop_back();
      free_ -= next.held;
      running_.push_back(next);
    }
  }

  void step() {
    for (Running& one : running_) {
      if (++one.generated >= one.request.answer) free_ += one.held;
    }
    std::erase_if(running_, [](const Running& one) { return one.generated >= one.request.answer; });
  }

 private:
  [[nodiscard]] int64_t held_in_a_step(const Running& one) const {
    return reservation_.held(one.request, one.generated + 1);
  }

  /// False if sequence i itself had to give way.
  bool grow(size_t i) {
    const int64_t needed = held_in_a_step(running_[i]) - running_[i].held;
    while (needed > free_) {
      free_ += running_.back().held;
      waiting_.push_back(running_.back());
      running_.pop_back();
      ++preemptions_;
      if (i == running_.size()) return false;
    }
    free_ -= needed;
    running_[i].held += needed;
    return true;
  }

  Reservation reservation_;
  std::vector<Running> waiting_;  ///< next at the back
  std::vector<Running> running_;  ///< oldest first
  int64_t free_ = 0;              ///< tokens
  int64_t reserve_ = 0;           ///< tokens that admission leaves free
  int64_t preemptions_ = 0;
};

}  // namespace

Result<QueueResult> simulate_queue(std::span<const Request> requests, const Reservation& reservation, int64_t budget) {
  Queue queue(requests, reservation, budget);
  for (const Request& request : requests) {
    const int64_t most = reservation.held(request, std::max<int64_t>(request.answer, 1));
    if (most > queue.most_admissible()) {
      return Status{
          StatusCode::invalid_argument,
          fmt::format("line {} of the trace: {} + {} tokens hold {} with {}, but the cache admits up to {}",
                      request.line, request.prompt, request.answer, most, reservation.name(), queue.most_admissible())};
    }
  }
  QueueResult result;
  double batches = 0;
  double tokens = 0;
  while (true) {
    queue.grow();
    queue.admit();
    if (!queue.waiting()) break;
    ++result.steps;
    batches += static_cast<double>(queue.batch());
    tokens += static_cast<double>(queue.tokens());
    queue.step();
  }
  result.preemptions = queue.preemptions();
  if (result.steps > 0) {
    result.mean_batch = batches / static_cast<double>(result.steps);
    result.utilisation = tokens / static_cast<double>(result.steps) / static_cast<double>(budget);
  }
  return result;
}

}  // namespace flash_mla::cli
