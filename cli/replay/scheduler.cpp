#include "replay/scheduler.h"

#include <algorithm>
#include <utility>

namespace flash_mla::cli {

Scheduler::Scheduler(std::span<const Request> requests, KvCache& cache)
    : requests_(requests), cache_(cache), reserve_((cache.geometry().num_pages + 99) / 100) {}

bool Scheduler::done() const {
  return running_.empty() && preempted_.empty() && arrived_ == static_cast<int64_t>(requests_.size());
}

Scheduler::Waiting Scheduler::next() const {
  return preempted_.empty() ? Waiting{arrived_, 0} : preempted_.back();
}

bool Scheduler::has_room(const Waiting& next, int64_t tokens) const {
  const int64_t page_size = cache_.geometry().page_size;
  // Room for its first step too, or admitting it would be in vain.
  const int64_t first_step = next.generated < requests_[next.request].answer ? 1 : 0;
  const int64_t needed = (tokens + first_step + page_size - 1) / page_size;
  return needed + (running_.empty() ? 0 : reserve_) <= cache_.num_free_pages();
}

Result<const Sequence*> Scheduler::admit(std::vector<int64_t>& slots) {
  constexpr const Sequence* kNone = nullptr;
  const bool waiting = !preempted_.empty() || arrived_ < static_cast<int64_t>(requests_.size());
  if (!waiting || static_cast<int64_t>(running_.size()) == cache_.geometry().max_sequences) return kNone;
  const Waiting next = this->next();
  const Request& request = requests_[next.request];
  const int64_t tokens = request.prompt + next.generated;
  if (!has_room(next, tokens)) return kNone;

  Result<int64_t> id = cache_.add_sequence();
  if (!id.ok()) return id.status();
  slots.resize(static_cast<size_t>(tokens));
  if (Status status = cache_.append_tokens(id.value(), slots); !status.ok()) return status;
  if (preempted_.empty()) {
    ++arrived_;
  } else {
    preempted_.pop_back();
  }
  const Sequence sequence{next.request, id.value(), cache_.row_of(id.value()), tokens, next.generated};
  if (next.generated < request.answer) {
    running_.push_back(sequence);
    return &running_.back();
  }
  if (Status status = cache_.remove_sequence(sequence.id); !status.ok()) return status;
  ++finished_;
  just_finished_ = sequence;
  return &std::as_const(just_finished_);
}

Status Scheduler::preempt_newest() {
  const Sequence newest = running_.back();
  running_.pop_back();
  preempted_.push_back({newest.request, newest.generated});
  ++preemptions_;
  return cache_.remove_sequence(newest.id);
}

Status Scheduler::grow(std::vector<int64_t>& slots) {
  slots.clear();
  // By index: preemption shortens the list from the end, that is by sequences that have not grown yet.
  for (size_t i = 0; i < running_.size(); ++i) {
    while (i < running_.size() && cache_.pages_needed(running_[i].id, 1) > cache_.num_free_pages()) {
      if (Status status = preempt_newest(); !status.ok()) return status;
    }
    if (i == running_.size()) break;
    int64_t slot = 0;
    if (Status status = cache_.append_tokens(running_[i].id, {&slot, 1}); !status.ok()) return status;
    slots.push_back(slot);
    ++running_[i].length;
  }
  return {};
}

Status Scheduler::finish_step() {
  for (Sequence& sequence : running_) {
    ++sequence.generated;
    if (sequence.generated < requests_[sequence.request].answer) continue;
    if (Status status = cache_.remove_sequence(sequence.id); !status.ok()) return status;
    ++finished_;
  }
  std::erase_if(running_,
                [&](const Sequence& sequence) { return sequence.generated == requests_[sequence.request].answer; });
  return {};
}

}  // namespace flash_mla::cli
