// Runs a kernel that is given as PTX text on the emulated machine, without the driver.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/launch.h"
#include "ptx/parse.h"

namespace emulator::test {

/// .version, .target and .address_size before `body`.
std::string module_text(std::string_view body);
/// A kernel `test(.param .u64 out, .param .u64 in)` around `body`, which finds the addresses in %out and %in, and 64
/// registers each of %p, %h (16 bits), %r, %f, %d (64 bits) and %x (f64).
std::string kernel_text(std::string_view body);
std::string read_file(const std::string& path);

struct Result {
  machine::Counters counters;
  std::vector<machine::Report> reports;
  std::string refusal;  // of the module

  [[nodiscard]] bool clean() const { return refusal.empty() && reports.empty(); }
  [[nodiscard]] bool found(machine::Finding finding) const;
  [[nodiscard]] std::string text() const;
};

class Kernel {
 public:
  /// `name` empty: the only kernel.
  explicit Kernel(const std::string& text, const std::string& name = "");

  template <class T>
  uint64_t upload(const std::vector<T>& values) {
    const uint64_t address = memory.allocate(values.size() * sizeof(T));
    machine::Allocation& allocation = *memory.find(address, values.size() * sizeof(T));
    std::memcpy(allocation.bytes.data(), values.data(), values.size() * sizeof(T));
    machine::mark(allocation.initialised.data(), 0, allocation.size);
    return address;
  }
  template <class T>
  std::vector<T> download(uint64_t address, size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), memory.find(address, count * sizeof(T))->bytes.data(), count * sizeof(T));
    return values;
  }

  template <class T>
  void argument(const T& value) {
    if (program_ == nullptr) return;
    const machine::Parameter& parameter = program_->parameters.at(next_++);
    std::memcpy(parameters_.data() + parameter.offset, &value, sizeof(T));
  }
  /// `stream`: as machine::run() has it.
  Result run(machine::Prerequisites* stream = nullptr);

  machine::LaunchShape shape;
  machine::Options options;
  machine::Memory memory;

 private:
  std::optional<ptx::Error> load(const std::string& text, const std::string& name);

  std::unique_ptr<machine::Program> program_;
  std::vector<uint8_t> parameters_;
  size_t next_ = 0;
  std::string refusal_;
};

/// Runs `body` of kernel_text with one warp over `in`, and returns what it wrote: `count` elements.
template <class Out, class In>
std::vector<Out> evaluate(std::string_view body, const std::vector<In>& in, size_t count, Result* result = nullptr) {
  Kernel kernel(kernel_text(body));
  const uint64_t to = kernel.upload(std::vector<Out>(count));
  kernel.shape.block = {32, 1, 1};
  kernel.argument(to);
  kernel.argument(kernel.upload(in));
  const Result ran = kernel.run();
  if (result != nullptr) *result = ran;
  return kernel.download<Out>(to, count);
}

}  // namespace emulator::test
