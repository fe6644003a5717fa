#include "support/executors.h"

#include <thread>
#include <vector>

namespace flash_mla::test {
namespace {

using Task = void (*)(void* context, int index);

void serial(void*, int count, Task task, void* context) {
  for (int index = 0; index < count; ++index) task(context, index);
}

void reverse(void*, int count, Task task, void* context) {
  for (int index = count - 1; index >= 0; --index) task(context, index);
}

void threads(void*, int count, Task task, void* context) {
  std::vector<std::jthread> team;
  team.reserve(static_cast<size_t>(count));
  for (int index = 0; index < count; ++index) team.emplace_back(task, context, index);
}

void counting(void* pool, int count, Task task, void* context) {
  auto& counts = *static_cast<CallCounts*>(pool);
  ++counts.calls;
  for (int index = 0; index < count; ++index) {
    if (index < CallCounts::kMost) ++counts.of_index[index];
    task(context, index);
  }
}

}  // namespace

Executor serial_executor() {
  return {nullptr, serial};
}
Executor reverse_executor() {
  return {nullptr, reverse};
}
Executor thread_executor() {
  return {nullptr, threads};
}
Executor counting_executor(CallCounts& counts) {
  return {&counts, counting};
}

}  // namespace flash_mla::test
