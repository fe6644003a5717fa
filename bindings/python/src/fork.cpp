#include "fork.h"

#include <dirent.h>
#include <pthread.h>

namespace flash_mla::python {

namespace {

bool parent_had_threads = false;  // written between fork's handlers only
bool forked_from_threads = false;

void run_in_order(void* /*pool*/, int count, void (*task)(void* context, int index), void* context) {
  for (int index = 0; index < count; ++index) task(context, index);
}

constexpr Executor kInOrder = {nullptr, run_in_order};

int count_threads() {
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return 2;  // unknown: the careful answer
  int entries = 0;
  while (readdir(tasks) != nullptr) ++entries;
  closedir(tasks);
  return entries - 2;  // "." and ".."
}

void before_fork() {
  parent_had_threads = count_threads() > 1;
}

void in_child() {
  forked_from_threads = forked_from_threads || parent_had_threads;
}

}  // namespace

const Executor* executor_after_fork() {
  return forked_from_threads ? &kInOrder : nullptr;
}

void watch_forks() {
  static const int status = pthread_atfork(before_fork, nullptr, in_child);
  static_cast<void>(status);
}

}  // namespace flash_mla::python
