import pytest
import triton
from device import Device
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


the_device = Device()


@pytest.fixture
def device():
    yield the_device
    the_device.reset()


@pytest.fixture(scope="session")
def compiled():
    """Compiles a kernel for sm_90a, once for each set of arguments; no GPU is needed for that."""
    known = {}

    def compile_kernel(kernel, signature, constants, **options):
        key = (kernel.__name__, *signature.items(), *constants.items(), *options.items())
        if key not in known:
            signature = {**signature, **dict.fromkeys(constants, "constexpr")}
            source = ASTSource(kernel, signature=signature, constexprs=constants)
            known[key] = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        return known[key]

    return compile_kernel
