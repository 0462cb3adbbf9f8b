"""Joulebook measures the energy of training and serving models and keeps it in books that balance.

    import joulebook
    with joulebook.track(model="resnet50", task="imagenet") as run:
        ...
        run.log(accuracy=0.761)
    print(run)

Measuring never raises into the job, needs no root, no network and no server.
"""

from __future__ import annotations

from joulebook.run import Run
from joulebook.tracking import Track, current, log, start, stop, track

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Run", "Track", "current", "load_ipython_extension", "log", "start", "stop", "track"]
__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the magic `%%track`: `%load_ext joulebook`."""
    from joulebook.notebook import register

    register(shell)
