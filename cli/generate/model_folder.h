// Where the model is that comes with this program.
#pragma once

#include <string>

namespace flash_mla::cli {

/// The folder of the carried model, beside the installed or the built command; "" if there is none.
std::string carried_model();

}  // namespace flash_mla::cli
