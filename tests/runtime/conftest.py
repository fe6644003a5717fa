import pytest

import models


@pytest.fixture(scope="session")
def model_of(tmp_path_factory):
    """model_of(name): a model written to a folder, and that folder. Made once."""
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = (models.write(name, folder), folder)
        return made[name]

    return make
