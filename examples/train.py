"""Trains a small neural net in plain Python, so that there is something to measure on any machine.

    joulebook run --model net-8 --task moons --stage training -- python examples/train.py 8

Under `joulebook run` the scores go to that run; without it they are merely printed.
"""

from __future__ import annotations

import math
import random
import sys

import joulebook

POINTS = 400
EPOCHS = 400
STEP = 0.1
Point = tuple[float, float, int]


def moons(number: int, seed: int) -> list[Point]:
    """Return points of two half circles that lie within each other, with noise, and which of the two each belongs to."""
    dice = random.Random(seed)  # noqa: S311 - the same points every time, no secret
    points = []
    for index in range(number):
        kind = index % 2
        angle = dice.uniform(0, math.pi)
        x, y = (1 - math.cos(angle), 0.5 - math.sin(angle)) if kind else (math.cos(angle), math.sin(angle))
        points.append((x + dice.gauss(0, 0.1), y + dice.gauss(0, 0.1), kind))
    return points


class Net:
    """One hidden layer of tanh units and a logistic output."""

    def __init__(self, units: int) -> None:
        dice = random.Random(0)  # noqa: S311 - the same start every time, no secret
        self.hidden = [[dice.gauss(0, 1) for _ in range(3)] for _ in range(units)]
        self.output = [dice.gauss(0, 0.1) for _ in range(units + 1)]

    def answer(self, x: float, y: float) -> tuple[list[float], float]:
        """Return the hidden units' values and the probability of kind 1."""
        values = [math.tanh(a * x + b * y + c) for a, b, c in self.hidden]
        total = self.output[-1] + sum(weight * value for weight, value in zip(self.output, values, strict=False))
        return values, 1 / (1 + math.exp(-total))

    def learn(self, x: float, y: float, kind: int) -> None:
        """Take one step of gradient descent."""
        values, probability = self.answer(x, y)
        slope = STEP * (kind - probability)
        for unit, value in enumerate(values):
            inner = slope * self.output[unit] * (1 - value * value)
            self.output[unit] += slope * value
            a, b, c = self.hidden[unit]
            self.hidden[unit] = [a + inner * x, b + inner * y, c + inner]
        self.output[-1] += slope


def main(units: int) -> None:
    """Train on one set of points, score on another."""
    net = Net(units)
    for _ in range(EPOCHS):
        for x, y, kind in moons(POINTS, seed=1):
            net.learn(x, y, kind)
    right = sum((net.answer(x, y)[1] > 0.5) == bool(kind) for x, y, kind in moons(POINTS, seed=2))
    accuracy, parameters = right / POINTS, 4 * units + 1
    joulebook.log(accuracy=accuracy, split="test")
    joulebook.log(params=parameters, samples=POINTS)
    print(f"{units} units: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
