#include "cli/run_program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "support/format.h"

namespace emulator::cli {

std::string driver_folder() {
  std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "driver";
  if (!std::filesystem::exists(folder / "libcuda.so.1")) {
    throw std::runtime_error(format("{}: the emulator's libcuda.so.1 is not there", folder.string()));
  }
  return folder.string();
}

int run_program(const std::vector<std::string>& command, const std::string& counters) {
  const char* const path = std::getenv("LD_LIBRARY_PATH");
  const std::string libraries = driver_folder() + (path != nullptr && *path != '\0' ? std::string(":") + path : "");
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // What went wrong with exec comes back through a pipe that a successful one closes.
  std::array<int, 2> channel{};
  if (pipe2(channel.data(), O_CLOEXEC) != 0) throw std::runtime_error(format("pipe: {}", std::strerror(errno)));
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(format("fork: {}", std::strerror(errno)));
  if (child == 0) {
    setenv("LD_LIBRARY_PATH", libraries.c_str(), 1);
    setenv("FLASH_MLA_EMULATOR_COUNTERS", counters.c_str(), 1);
    execvp(arguments[0], arguments.data());
    const int why = errno;
    const ssize_t written = write(channel[1], &why, sizeof(why));
    _exit(written == sizeof(why) ? 127 : 126);
  }
  close(channel[1]);
  int why = 0;
  const bool failed = read(channel[0], &why, sizeof(why)) == sizeof(why);
  close(channel[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (failed) throw std::runtime_error(format("{}: cannot be run: {}", command[0], std::strerror(why)));
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace emulator::cli
