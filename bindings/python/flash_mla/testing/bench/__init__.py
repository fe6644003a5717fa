"""MLA decode beside other implementations: ``python -m flash_mla.testing.bench --help``."""
