"""How the lab's packages get into an environment (labsupport/setup/installer.py). The whole: test_bootstrap.py."""

import os
from pathlib import Path

from labsupport.setup import installer


def test_what_other_environments_share_is_not_written_into(tmp_path):
    """The cache of uv holds the same file: written into, it would send every other environment to this checkout."""
    cached, site = tmp_path / "cache.pth", tmp_path / "lab" / ".venv" / "lib" / "site-packages"
    site.mkdir(parents=True)
    cached.write_text("elsewhere")
    os.link(cached, site / "labsupport.pth")
    installer.point_to(tmp_path / "lab", tmp_path / "lab" / ".venv")
    assert cached.read_text() == "elsewhere"
    assert Path(site, (site / "labsupport.pth").read_text().strip()).resolve() == (tmp_path / "lab").resolve()
