"""A training loop in small steps that keeps one core busy, with a tracker on and off in turn.

training.py TRACKER BLOCKS SECONDS     TRACKER: joulebook, codecarbon, carbontracker, zeus or none

A block is four stretches of the same number of steps, about SECONDS each: off, on, on, off, so that a machine that grows slower by and by
weighs on both sides alike. Of each block one line of JSON: seconds of wall clock and of CPU of this process, off and on. Starting and
stopping the tracker is outside what is timed.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - after the number of its threads has been set

INPUTS, HIDDEN, CLASSES, BATCH, EXAMPLES = 64, 64, 10, 64, 4096
LEARNING_RATE = 0.05


class Training:
    """A perceptron with one hidden layer, trained by stochastic gradient descent on made-up digits."""

    def __init__(self) -> None:
        random = np.random.default_rng(7)
        self.examples = random.normal(size=(EXAMPLES, INPUTS))
        self.targets = np.eye(CLASSES)[(self.examples @ random.normal(size=(INPUTS, CLASSES))).argmax(axis=1)]
        self.first = random.normal(size=(INPUTS, HIDDEN)) / INPUTS**0.5
        self.second = random.normal(size=(HIDDEN, CLASSES)) / HIDDEN**0.5
        self.at = 0

    def step(self) -> None:
        """Take one batch forward and back."""
        batch = slice(self.at, self.at + BATCH)
        self.at = (self.at + BATCH) % EXAMPLES
        examples, targets = self.examples[batch], self.targets[batch]
        hidden = np.maximum(examples @ self.first, 0)
        scores = np.exp(hidden @ self.second)
        error = (scores / scores.sum(axis=1, keepdims=True) - targets) / BATCH
        self.second -= LEARNING_RATE * (hidden.T @ error)
        self.first -= LEARNING_RATE * (examples.T @ ((error @ self.second.T) * (hidden > 0)))


@contextmanager
def no_tracker() -> Iterator[None]:
    """Measure nothing: what comes out is the noise of the machine."""
    yield


@contextmanager
def by_joulebook() -> Iterator[None]:
    """Measure with Joulebook."""
    import joulebook

    with joulebook.track(model="bench", version="1", task="none"):
        yield


@contextmanager
def by_codecarbon() -> Iterator[None]:
    """Measure with codecarbon in offline mode, each second, writing its file."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", measure_power_secs=1, output_dir=".", log_level="critical", allow_multiple_runs=True
    )
    tracker.start()
    yield
    tracker.stop()


@contextmanager
def by_carbontracker() -> Iterator[None]:
    """Measure with carbontracker, each second, one epoch."""
    from carbontracker.tracker import CarbonTracker

    tracker = CarbonTracker(epochs=1, monitor_epochs=1, epochs_before_pred=0, update_interval=1, verbose=0)
    tracker.epoch_start()
    yield
    tracker.epoch_end()
    tracker.stop()


@contextmanager
def by_zeus() -> Iterator[None]:
    """Measure with Zeus: one window."""
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor()
    monitor.begin_window("bench", sync_execution=False)
    yield
    monitor.end_window("bench", sync_execution=False)


TRACKERS = {
    "none": no_tracker,
    "joulebook": by_joulebook,
    "codecarbon": by_codecarbon,
    "carbontracker": by_carbontracker,
    "zeus": by_zeus,
}


def steps_within(training: Training, seconds: float) -> int:
    """Return how many steps take about so long."""
    end, steps = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        training.step()
        steps += 1
    return steps


def timed(training: Training, steps: int) -> tuple[float, float]:
    """Return wall clock and CPU seconds of so many steps."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        training.step()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Run the blocks."""
    tracker, blocks, seconds = TRACKERS[sys.argv[1]], int(sys.argv[2]), float(sys.argv[3])
    training = Training()
    steps = steps_within(training, seconds)
    with tracker():  # what is loaded and asked but once is not the loop's
        timed(training, steps)
    for _ in range(blocks):
        taken = {"off": [0.0, 0.0], "on": [0.0, 0.0]}
        for side in ("off", "on", "on", "off"):
            if side == "on":
                with tracker():
                    wall, cpu = timed(training, steps)
            else:
                wall, cpu = timed(training, steps)
            taken[side][0] += wall
            taken[side][1] += cpu
        sys.stdout.write(json.dumps({"tracker": sys.argv[1], "steps": steps, **taken}) + "\n")
        sys.stdout.flush()


main()
