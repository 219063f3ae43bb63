from pathlib import Path

import pytest

from tests.spec.spec_files import Specs


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return Specs(tmp_path)
