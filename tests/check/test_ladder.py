"""The ladder finds what there is to adapt to, and says when there is nothing."""

import numpy as np
import pytest
from worlds import SignWorld, StaircaseWorld

from quickstudy.check.ladder import LadderOptions, Rungs, clearly_better, climb, rows, verdict
from quickstudy.cli import main
from quickstudy.errors import InvalidArgument
from quickstudy.host.family import HostFamily
from quickstudy.host.known_task import KnownTask

OPTIONS = LadderOptions(num_steps=12, num_tasks=16, num_experts=2, learning_rate=2e-2)


def rungs(random, multitask, known, expert):
    noise = np.tile([-0.1, 0.1], (2, 4))
    return Rungs(*(np.full((2, 8), value) + noise for value in (random, multitask, known, expert)))


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ((0, 1, 1, 0), r"does not beat random play \(0\)"),
        ((0, 1, 1, 1), "there is little to adapt to"),
        ((0, 1, 1, 2), "this budget too small to learn its use"),
        ((0, 1, 2, 2), "knowing the task is worth 1 an episode .* goes 50% of the way"),
    ],
)
def test_what_the_ladder_says(means, words):
    import re

    assert re.search(words, verdict(rungs(*means)))


def test_a_difference_must_be_clear():
    assert clearly_better(np.full((2, 4), 1.0), np.full((2, 4), 0.9))
    noise = np.tile([-5.0, 5.0], (2, 2))
    assert not clearly_better(1 + noise, noise)


def test_a_known_task_is_shown_and_standardised():
    known = KnownTask.of(StaircaseWorld())
    env = known.make(1.5)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    np.testing.assert_allclose(obs["task"], [0.0], atol=0.3)
    assert env.step(1)[1] == 1.5


@pytest.mark.slow
def test_a_world_in_which_the_task_decides_what_to_do():
    said = []
    found = climb(HostFamily(SignWorld()), OPTIONS, said.append)
    assert len(said) == 4
    assert found.expert.shape == (2, 16)
    assert found.expert.mean() > 3.5
    assert found.known.mean() > 3.5
    assert found.multitask.mean() < 3
    assert verdict(found).startswith("Worth adapting")
    assert rows(found)[0][0] == "random"


def test_the_command_prints_tables_and_a_verdict(capsys, monkeypatch):
    asked = []

    def climbed(family, options, say):
        say("nothing")
        asked.append((family, options))
        return rungs(0, 1, 2, 2)

    monkeypatch.setattr("quickstudy.check.ladder.climb", climbed)
    main(["check", "worlds:SignWorld", "--num-steps", "7", "--num-experts", "2"])
    assert asked == [(HostFamily(SignWorld()), LadderOptions(num_steps=7, num_experts=2))]
    out = " ".join(capsys.readouterr().out.split())
    assert "tasks differ" in out
    assert "one policy that sees the task" in out
    assert "verdict: the contract holds. Worth adapting" in out


def test_a_broken_contract_ends_the_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["check", "worlds:DeafWorld"])
    assert stopped.value.code == 1
    assert "verdict: mend this first: tasks differ" in " ".join(capsys.readouterr().out.split())


def test_a_sound_contract_alone(capsys):
    main(["check", "worlds:StaircaseWorld", "--no-ladder"])
    assert "verdict: the contract holds" in capsys.readouterr().out


def test_an_attribute_that_has_no_effect_is_found(capsys):
    """A cart-pole computes what it needs of its cart's mass when it is made."""
    with pytest.raises(SystemExit):
        main(["check", "--gym-id", "CartPole-v1", "--vary", "masscart=0.5:3.0"])
    assert "mend this first: tasks differ" in capsys.readouterr().out
    main(["check", "--gym-id", "CartPole-v1", "--vary=force_mag=5:15", "--family.world.max-steps", "20", "--no-ladder"])
    assert "verdict: the contract holds" in capsys.readouterr().out


def test_check_needs_a_family(capsys):
    with pytest.raises(SystemExit):
        main(["check"])
    assert "check needs a family" in capsys.readouterr().err


def test_a_compiled_family_is_not_checked(capsys):
    with pytest.raises(SystemExit):
        main(["check", "grid-navigation"])
    assert "is compiled" in capsys.readouterr().err


def test_budgets_must_be_positive():
    with pytest.raises(InvalidArgument, match="num_experts must be a whole number of at least 1"):
        LadderOptions(num_experts=0)
