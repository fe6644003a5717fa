#include "common/interrupt.h"

#include <csignal>

namespace flash_mla::cli {
namespace {

volatile std::sig_atomic_t caught = 0;

extern "C" void on_interrupt(int) {
  caught = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // One shot: a second signal has its default effect, so a hung run can still be ended by hand.
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return caught != 0;
}

}  // namespace flash_mla::cli
