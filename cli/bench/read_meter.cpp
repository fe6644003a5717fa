#include "bench/read_meter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "bench/team.h"
#include "common/machine.h"

namespace flash_mla::cli {
namespace {

using Vector = int64_t __attribute__((vector_size(16)));
constexpr int64_t kPage = 4096;
constexpr int64_t kBlock = 512;
constexpr int64_t kLine = 64;

Vector load(const char* at) {
  return *reinterpret_cast<const Vector*>(at);
}

/// All bytes of a block, into four independent chains.
void read_block(const char* at, Vector (&seen)[4]) {
#pragma GCC unroll 8
  for (int64_t i = 0; i < kBlock; i += kLine) {
    for (int64_t part = 0; part < 4; ++part) seen[part] |= load(at + i + 16 * part);
  }
}

void keep(const Vector (&seen)[4]) {
  volatile int64_t sink = (seen[0] | seen[1] | seen[2] | seen[3])[0];
  (void)sink;
}

void read_forward(const char* data, int64_t bytes) {
  Vector seen[4] = {};
  for (int64_t i = 0; i < bytes; i += kBlock) read_block(data + i, seen);
  keep(seen);
}

void read_prefetched(const char* data, int64_t bytes) {
  constexpr int64_t kAhead = 4096;
  Vector seen[4] = {};
  for (int64_t i = 0; i < bytes; i += kBlock) {
    for (int64_t line = 0; line < kBlock; line += kLine) __builtin_prefetch(data + i + kAhead + line, 0, 2);
    read_block(data + i, seen);
  }
  keep(seen);
}

/// Four places at once: more DRAM banks and more hardware prefetchers.
void read_four_streams(const char* data, int64_t bytes) {
  const int64_t quarter = bytes / 4 / kBlock * kBlock;
  Vector seen[4] = {};
  for (int64_t i = 0; i < quarter; i += kBlock) {
    for (int64_t stream = 0; stream < 4; ++stream) read_block(data + stream * quarter + i, seen);
  }
  for (int64_t i = 4 * quarter; i < bytes; i += kBlock) read_block(data + i, seen);
  keep(seen);
}

/// One load a cache line: memory has to move the whole line.
void read_lines(const char* data, int64_t bytes) {
  Vector seen[4] = {};
  for (int64_t i = 0; i < bytes; i += kBlock) {
#pragma GCC unroll 8
    for (int64_t line = 0; line < kBlock / kLine; ++line) seen[line % 4] |= load(data + i + line * kLine);
  }
  keep(seen);
}

struct Loop {
  const char* name;
  void (*run)(const char* data, int64_t bytes);
};

constexpr Loop kLoops[] = {
    {"forward", read_forward},
    {"forward, prefetched", read_prefetched},
    {"four streams", read_four_streams},
    {"one load a line", read_lines},
};

int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

int64_t uncached_bytes() {
  return std::max(4 * last_level_cache_bytes(), int64_t{256} << 20);
}

ReadMeter::ReadMeter(int64_t bytes, int threads)
    : slice_(round_up((bytes + threads - 1) / threads, kPage)), threads_(threads) {
  memory_.reset(static_cast<char*>(allocate_pages(static_cast<size_t>(slice_ * threads))));
  if (memory_ == nullptr) throw std::bad_alloc();
  // Written by the thread that will read it, so that the pages are near it.
  time_team(threads_,
            [&](int thread) { std::memset(memory_.get() + thread * slice_, thread + 1, static_cast<size_t>(slice_)); });
}

double ReadMeter::choose_loop(int repetitions) {
  constexpr double kMillisecond = 1e-3;
  const double bytes = static_cast<double>(slice_) * threads_;
  passes_ = std::max<int64_t>(1, std::llround(kMillisecond * measure(0, 1) / bytes));
  double best = 0;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (int loop = 0; loop < static_cast<int>(std::size(kLoops)); ++loop) {
      const double speed = measure(loop, passes_);
      if (speed > best) {
        best = speed;
        loop_ = loop;
      }
    }
  }
  return best;
}

double ReadMeter::measure() const {
  return measure(loop_, passes_);
}

double ReadMeter::measure(int loop, int64_t passes) const {
  const double seconds = time_team(threads_, [&](int thread) {
    for (int64_t pass = 0; pass < passes; ++pass) kLoops[loop].run(memory_.get() + thread * slice_, slice_);
  });
  return static_cast<double>(slice_) * threads_ * static_cast<double>(passes) / seconds;
}

const char* ReadMeter::loop() const {
  return kLoops[loop_].name;
}

}  // namespace flash_mla::cli
