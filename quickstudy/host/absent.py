"""A world that is known by its spaces alone: what is left of a user's family where its agent is run."""

import dataclasses
from typing import Any

import numpy as np

from quickstudy.errors import InvalidArgument
from quickstudy.host.spaces import Layout


@dataclasses.dataclass(frozen=True)
class AbsentWorld:
    """Its layout is known, and nothing can be made of it."""

    layout: Layout
    horizon: int
    num_episodes: int

    def make(self) -> Any:
        """Refuses."""
        raise InvalidArgument("the environment of a loaded agent is yours to make: call act and observe in its loop")

    def sample_task(self, rng: np.random.Generator, split: str) -> Any:
        """Refuses."""
        del rng, split
        raise InvalidArgument("the tasks of a loaded agent are yours to choose")
