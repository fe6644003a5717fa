// Ctrl-C as a flag, so that a long run can end with what it has found so far.
#pragma once

namespace flash_mla::cli {

/// From now on the first SIGINT or SIGTERM sets a flag; a second one ends the process as usual.
void catch_interrupts();
bool interrupted();

}  // namespace flash_mla::cli
