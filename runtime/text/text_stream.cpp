#include "text/text_stream.h"

#include <algorithm>
#include <utility>

namespace flash_mla::runtime {

TextStream::TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {
  stops_.erase(std::remove(stops_.begin(), stops_.end(), ""), stops_.end());
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return {};
  waiting_ += characters_.push(bytes);
  return release();
}

std::string TextStream::release() {
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, waiting_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    std::string text = waiting_.substr(0, first);
    waiting_.clear();
    return text;
  }
  size_t held = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, waiting_.size()); length > held; --length) {
      if (waiting_.ends_with(stop.substr(0, length))) held = length;
    }
  }
  std::string text = waiting_.substr(0, waiting_.size() - held);
  waiting_.erase(0, text.size());
  return text;
}

std::string TextStream::finish() {
  if (stopped_) return {};
  waiting_ += characters_.finish();
  std::string text = release();
  return text.append(std::exchange(waiting_, {}));
}

}  // namespace flash_mla::runtime
