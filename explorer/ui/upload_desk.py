"""Pictures that a browser brings: what its drop zone asks the server, and what is answered.

The page packs whatever was dropped into one zip, sends it to Gradio's own upload endpoint, and then tells `receive`
where it lies. Anyone can call these functions with anything: they check all of it, and answer in sentences.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import BoundedSemaphore

from gradio.utils import get_upload_folder

from explorer.data import uploads
from explorer.data.dataset import DataError
from explorer.data.door import MEGA
from explorer.data.receive import receive
from explorer.data.uploads import Upload
from explorer.host import upload_hours
from explorer.jobs.queue import is_secret
from explorer.jobs.store import hash_token
from explorer.ui.read import upload_folder_only
from explorer.ui.services import Services

PACKAGE = re.compile(r"pictures-[0-9a-f]{32}\.zip")
"""What the page calls the zips that it sends: nothing else that was uploaded is opened here, or removed."""
AT_ONCE = 2
PATIENCE = 120.0
"""Seconds to wait for others whose pictures are looked through."""
LEFT_SECONDS = 3600
"""After that a zip which nobody asked to be received is removed."""
MOST_CLASSES = 200
NO_PERSON = "This page does not say whose pictures these are: load it again."


def person_of(secret: object) -> str | None:
    """The hash by which the owner of a browser's secret is known; None where a stranger sent something else."""
    return hash_token(secret) if is_secret(secret) else None


class UploadDesk:
    """Answers for the drop zones of all pages. Each function gets one list, the browser's secret first."""

    def __init__(self, services: Services):
        self._services = services
        self._free = BoundedSemaphore(AT_ONCE)
        self._folder = Path(get_upload_folder())
        self._is_uploaded = upload_folder_only((self._folder,))
        self.tidy()

    def functions(self) -> list[Callable[[object], dict]]:
        """Functions that a page may call, by their names in its script: `brought`, `bring` and `remove`."""

        def brought(asked: object) -> dict:
            me, use = _list(asked, 2)
            person = person_of(me)
            self.tidy()
            return self._sets(person, use) if person else {"problem": NO_PERSON, "sets": []}

        def bring(asked: object) -> dict:
            return self.bring(*_list(asked, 4))

        def remove(asked: object) -> dict:
            me, use, id = _list(asked, 3)
            person = person_of(me)
            if not person:
                return {"problem": NO_PERSON, "sets": []}
            uploads.remove(person, id)
            self._forget()
            return self._sets(person, use)

        return [brought, bring, remove]

    def bring(self, me: object, file: object, name: object, use: object) -> dict:
        """An uploaded zip as a set of this person, chosen at once; or the sentence why not. The zip is gone then."""
        package = self._package(file)
        try:
            person = person_of(me)
            if not person or package is None or not isinstance(name, str):
                return {"problem": "What was sent is no package of pictures: drop them once more."}
            self.tidy()
            if not self._free.acquire(timeout=PATIENCE):
                return {"problem": "Many people bring pictures just now: try again in a minute."}
            try:
                upload = receive(person, package, name=name[:200] or "pictures", use=str(use))
            finally:
                self._free.release()
            return {**self._sets(person, use), "set": upload.id}
        except DataError as error:
            return {"problem": str(error)}
        except OSError:
            return {"problem": "The pictures could not be kept on this host: try again later."}
        finally:
            if package:
                _remove_package(package)

    def tidy(self, now: float | None = None) -> None:
        """Remove sets whose time is over, and zips that were sent and never received."""
        now = time.time() if now is None else now
        if uploads.expire(now):
            self._forget()
        for file in self._folder.glob("*/pictures-*.zip"):
            try:
                if PACKAGE.fullmatch(file.name) and now - file.stat().st_mtime > LEFT_SECONDS:
                    _remove_package(file)
            except OSError:
                continue  # somebody else removed it

    def _package(self, file: object) -> Path | None:
        """The zip that a page says it sent, if it is one."""
        if not isinstance(file, str) or not PACKAGE.fullmatch(Path(file).name) or not self._is_uploaded(file):
            return None
        return Path(file).resolve()

    def _sets(self, person: str, use: object) -> dict:
        limits, hours = uploads.limits(), upload_hours()
        own = [shown(upload) for upload in uploads.uploads_of(person) if use in upload.uses]
        bounds = {"bytes": limits.bytes, "files": limits.files, "pixels": limits.pixels, "hours": hours}
        return {"sets": own, "limits": {**bounds, "public": self._services.is_public}}

    def _forget(self) -> None:
        self._services.load_data.forget()
        self._services.load_dense.forget()


def shown(upload: Upload) -> dict:
    """What the drop zone draws of a set."""
    return {
        "id": upload.id,
        "name": upload.name,
        "pictures": upload.pictures,
        "megabytes": upload.bytes / MEGA,
        "classes": [list(row) for row in upload.classes[:MOST_CLASSES]],
        "more": max(0, len(upload.classes) - MOST_CLASSES),
        "masks": upload.layout == "masks",
        "warnings": list(upload.warnings),
        "notes": list(upload.notes),
    }


def _list(asked: object, n: int) -> list:
    """What a page sent, as n values; None for those that a stranger left out."""
    given = list(asked) if isinstance(asked, list) else []
    return (given + [None] * n)[:n]


def _remove_package(file: Path) -> None:
    file.unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()
