"""The files that JupyterLab shows: the checkout's, and the front page, which is made when a browser asks for it."""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from traitlets import Unicode


class Contents(AsyncLargeFileManager):
    """Jupyter's own file manager, with the front page as one more file, which is read-only."""

    front_page = Unicode(help="Its path, such as work/home.md: beside the lessons that it links to.").tag(config=True)

    async def get(self, path: str, content: bool = True, *others: Any, **options: Any) -> dict[str, Any]:
        """The model of a file or folder, as Jupyter's contents API describes it."""
        if path.strip("/") == self.front_page:
            return self._model(await asyncio.to_thread(_front_page) if content else None)
        model = await super().get(path, content, *others, **options)
        if content and path.strip("/") == self.front_page.rpartition("/")[0]:
            listed = [each for each in model["content"] if each["path"] != self.front_page]
            model["content"] = [*listed, self._model(None)]
        return model

    def _model(self, text: str | None) -> dict[str, Any]:
        """The front page's model; without a text, only its description."""
        now = datetime.now(UTC)
        return {
            "name": self.front_page.rpartition("/")[2],
            "path": self.front_page,
            "type": "file",
            "mimetype": None if text is None else "text/markdown",
            "format": None if text is None else "text",
            "content": text,
            "size": None,
            "writable": False,
            "created": now,
            "last_modified": now,
            "hash": hashlib.sha256((text or "").encode()).hexdigest(),
            "hash_algorithm": "sha256",
        }


def _front_page() -> str:
    # Imported when a browser asks for the page, so that the server's start does not wait for it.
    from labsupport.commands.front_page import front_page
    from labsupport.course.copies import make_copies
    from labsupport.settings import Settings

    settings = Settings.from_environment()
    make_copies(settings.work)  # a link must open its lesson, also when the learner has moved a copy away
    return front_page(settings)
