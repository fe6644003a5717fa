// A planted defect: loaded before libflash_mla, this decode() spoils one row of every call's output.
#include <dlfcn.h>

#include <cstdint>

#include "flash_mla/decode.h"

namespace flash_mla {

Status decode(const Plan& plan, const DecodeArgs& args) {
  using Decode = Status (*)(const Plan&, const DecodeArgs&);
  static const auto real =
      reinterpret_cast<Decode>(dlsym(RTLD_NEXT, "_ZN9flash_mla6decodeERKNS_4PlanERKNS_10DecodeArgsE"));
  Status status = real(plan, args);
  auto* out = static_cast<uint16_t*>(args.out.data);
  for (int64_t column = 0; column < args.out.shape[3]; ++column) out[column] ^= 0x8000u;  // the sign of the first head
  return status;
}

}  // namespace flash_mla
