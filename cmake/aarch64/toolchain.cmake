# Debian's cross compiler for 64-bit Arm (g++-aarch64-linux-gnu) and qemu's user emulation (qemu-user-static).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# `max` has the BF16 instructions (FEAT_BF16) that the best NEON backend needs.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-cpu;max;-L;/usr/aarch64-linux-gnu)

# The cross compiler reads /usr/include after its own headers, so header-only packages of the build machine serve; fmt is
# one with a compiled part, which fmt-config.cmake beside this file leaves out.
set(fmt_DIR ${CMAKE_CURRENT_LIST_DIR})
