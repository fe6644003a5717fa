#include "planted.h"

#include <cstdlib>

namespace flash_mla::planted {

bool is_planted(std::string_view name) {
  static const char* const defect = std::getenv("FLASH_MLA_DEFECT");
  return defect != nullptr && name == defect;
}

}  // namespace flash_mla::planted
