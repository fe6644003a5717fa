#include "cuda/kernels.h"

#ifdef FLASH_MLA_SM90_FATBIN
// The file as it is, by the assembler: a C array of it would take the compiler seconds.
asm(".section .rodata\n"
    ".balign 64\n"
    "flash_mla_sm90_image:\n"
    ".incbin \"" FLASH_MLA_SM90_FATBIN
    "\"\n"
    ".previous\n");
extern "C" __attribute__((visibility("hidden"))) const unsigned char flash_mla_sm90_image[];
#endif

namespace flash_mla::cuda {

#ifdef FLASH_MLA_SM90_FATBIN
const void* const kSm90Image = flash_mla_sm90_image;
#else
const void* const kSm90Image = nullptr;
#endif

}  // namespace flash_mla::cuda
