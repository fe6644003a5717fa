#include "files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/error.h"

namespace flash_mla::runtime {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

Status unreadable(const std::string& path) {
  return io_error("{}: cannot be read: {}", path, std::strerror(errno));
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const Descriptor file(path);
  struct stat state {};
  if (file.number() < 0 || fstat(file.number(), &state) != 0) return unreadable(path);
  if (!S_ISREG(state.st_mode)) return io_error("{}: cannot be read: it is not a file", path);
  const auto size = static_cast<size_t>(state.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) return unreadable(path);
  return std::shared_ptr<const MappedFile>(new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_text(const std::string& path, size_t most) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  const std::span<const std::byte> bytes = file.value()->bytes();
  if (bytes.size() > most) return io_error("{}: has {} bytes: at most {} are read", path, bytes.size(), most);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace flash_mla::runtime
