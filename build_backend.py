"""flit, with the notebooks as data of the package: `labsupport/notebooks/` in a wheel, where there is no checkout."""

from pathlib import Path
from typing import Any

from flit_core import wheel
from flit_core.buildapi import *  # noqa: F403


class WithNotebooks(wheel.WheelBuilder):
    """Adds `notebooks/`, which lies beside the package in a checkout. An editable install is not built by this."""

    def copy_module(self: Any) -> None:
        """Add the package's files, and these."""
        super().copy_module()
        for path in sorted(Path("notebooks").glob("*.*")):
            self._add_file(path, f"labsupport/notebooks/{path.name}")


wheel.WheelBuilder = WithNotebooks
