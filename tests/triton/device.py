"""The driver, through ctypes: enough to load a kernel that Triton has compiled and to launch it on arrays."""

import ctypes
import os

import numpy as np


class Device:
    def __init__(self):
        self._driver = ctypes.CDLL(os.environ["FLASH_MLA_CUDA_DRIVER"])
        self._driver.flash_mla_emulator_message.restype = ctypes.c_char_p
        self._check(self._driver.cuInit(0))
        context = ctypes.c_void_p()
        self._check(self._driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
        self._check(self._driver.cuCtxSetCurrent(context))

    def _check(self, result):
        if result != 0:
            raise RuntimeError(f"error {result}: {self._driver.flash_mla_emulator_message().decode()}")

    def load(self, compiled):
        """The function of a compiled kernel, with the shared memory that it asks for."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self._driver.cuModuleLoadData(ctypes.byref(module), compiled.asm["ptx"].encode()))
        name = compiled.metadata.name.encode()
        self._check(self._driver.cuModuleGetFunction(ctypes.byref(function), module, name))
        self._check(self._driver.cuFuncSetAttribute(function, 8, compiled.metadata.shared))
        return function

    def run(self, compiled, grid, arguments, seed):
        """Launches with arrays and ctypes numbers as arguments. The arrays hold the results afterwards; a report of the
        emulator's is an error."""
        os.environ["FLASH_MLA_EMULATOR_SEED"] = str(seed)
        metadata = compiled.metadata
        blocks = [array for array in arguments if isinstance(array, np.ndarray)]
        scratch = np.zeros(max(1, metadata.global_scratch_size * int(np.prod(grid))), np.uint8)
        profile = np.zeros(1, np.uint8)
        addresses = {id(array): self._upload(array) for array in [*blocks, scratch, profile]}
        values = [ctypes.c_uint64(addresses[id(a)]) if isinstance(a, np.ndarray) else a
                  for a in [*arguments, scratch, profile]]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        self._check(self._driver.cuLaunchKernel(self.load(compiled), *grid, 32 * metadata.num_warps, 1, 1,
                                                metadata.shared, None, pointers, None))
        self._check(self._driver.cuCtxSynchronize())
        for array in blocks:
            self._check(self._driver.cuMemcpyDtoH_v2(array.ctypes.data_as(ctypes.c_void_p),
                                                     ctypes.c_uint64(addresses[id(array)]),
                                                     ctypes.c_size_t(array.nbytes)))
        for address in addresses.values():
            self._check(self._driver.cuMemFree_v2(ctypes.c_uint64(address)))

    def reset(self):
        """Forgets the error of a launch."""
        self._check(self._driver.cuDevicePrimaryCtxReset_v2(0))

    def _upload(self, array):
        address = ctypes.c_uint64()
        self._check(self._driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(array.nbytes)))
        self._check(self._driver.cuMemcpyHtoD_v2(address, array.ctypes.data_as(ctypes.c_void_p),
                                                 ctypes.c_size_t(array.nbytes)))
        return address.value
