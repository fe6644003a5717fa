"""DeepSeek's models in Hugging Face transformers, decoding through this library's paged latent cache.

>>> from flash_mla.integrations.transformers import patch, unpatch  # doctest: +SKIP
>>> patch(model)  # doctest: +SKIP
>>> model.generate(**inputs)  # doctest: +SKIP
"""

from flash_mla.integrations.transformers._cache import PagedLatentCache
from flash_mla.integrations.transformers._patch import patch, unpatch

__all__ = ["PagedLatentCache", "patch", "unpatch"]
