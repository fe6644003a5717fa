// Text tables: columns as wide as their widest cell.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace flash_mla::cli {

class Table {
 public:
  /// A header that starts with '<' is left-aligned (without the mark); the others are right-aligned.
  explicit Table(std::vector<std::string> headers);
  /// A row shorter than the headers is filled with empty cells.
  void add_row(std::vector<std::string> cells);
  void print(std::FILE* file = stdout) const;

 private:
  std::vector<std::string> headers_;
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace flash_mla::cli
