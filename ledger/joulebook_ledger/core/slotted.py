"""Small records for the measured path: what a dataclass gives, without the milliseconds that importing it costs.

`dataclasses`, `typing` and `collections` together cost more than all of `import joulebook` may, so records that the measured process
makes are classes with `__slots__` and this base.
"""

from __future__ import annotations


class Slotted:
    """Equal, hashed and shown by its slots. Not to be changed after creation."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        """Compare by type and content."""
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        """Hash the content."""
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        """Show the content as a call."""
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"
