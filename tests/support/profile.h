// Which functions of this program run: samples of the program counter, by name.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace flash_mla::test {

/// Calls `work` again and again until `count` samples have been taken on this thread, one a few
/// milliseconds, and names the function that each hit; "" where it hit a shared library or the kernel's own.
std::vector<std::string> sampled_functions(int count, const std::function<void()>& work);

}  // namespace flash_mla::test
