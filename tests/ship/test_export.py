"""An exported agent does what the agent did, in a process that knows neither networks nor methods."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms_table import BANDIT, METHODS
from test_agent import agent_of, live
from toys import SelfSeeded

from quickstudy.cli import main
from quickstudy.errors import CheckpointError
from quickstudy.ship.loading import load

PROGRAM = """
import json, sys
import numpy as np
import quickstudy

agent = quickstudy.load(sys.argv[1])
if agent.num_steps == 0:
    agent.begin_task(seed=3)
actions, rewards = [], json.loads(sys.argv[2])
for i, reward in enumerate(rewards):
    actions.append(int(agent.act(np.full(1, i % 3, np.float32))))
    agent.observe(reward, i % 3 == 2, False)
known = [name for name in sys.modules if name.split(".")[0] in ("equinox", "optax", "orbax", "tyro")]
training = ("quickstudy.nets", "quickstudy.algorithms", "quickstudy.train", "quickstudy.experiment")
known += [name for name in sys.modules if name.startswith(training)]
print(json.dumps([actions, known]))
"""
REWARDS = [0.0, 1.0, 2.0, 0.5, 0.0, 1.0, 1.0, 0.0, 3.0, 1.0, 1.0]


def act_out(agent, rewards):
    actions = []
    for i, reward in enumerate(rewards):
        actions.append(agent.act(np.full(1, i % 3, np.float32)))
        agent.observe(reward, i % 3 == 2, False)
    return actions


def test_another_process_gives_the_same_actions(tmp_path):
    method = next(m for m in METHODS if m.name == "rl2-gru")
    algorithm = method.build(BANDIT)
    params = algorithm.init(BANDIT.env.spec, key=jax.random.key(0)).params
    agent = agent_of(algorithm.learner, params, block_length=2)
    agent.export(tmp_path / "out")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out"), json.dumps(REWARDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    actions, known = json.loads(done.stdout)
    agent.begin_task(seed=3)
    assert actions == act_out(agent, REWARDS)
    assert known == []


def test_an_adapted_agent_is_exported_with_what_it_has_learned(tmp_path):
    method = METHODS[-1]
    algorithm = method.build(BANDIT)
    learner = SelfSeeded(algorithm.learner, seed=2)
    agent = agent_of(learner, algorithm.init(BANDIT.env.spec, key=jax.random.key(0)).params, block_length=2)
    agent.begin_task(seed=1)
    live(agent, 5)
    agent.export(tmp_path / "out")
    exported = load(tmp_path / "out")
    exported.save(tmp_path / "copy")
    copied = load(tmp_path / "copy")
    expected = act_out(agent, REWARDS)
    assert act_out(exported, REWARDS) == expected
    assert act_out(copied, REWARDS) == expected


def test_the_command_exports_what_was_saved(tmp_path, capsys):
    method = METHODS[0].build(BANDIT)
    agent = agent_of(method.learner, method.init(BANDIT.env.spec, key=jax.random.key(0)).params)
    agent.export(tmp_path / "one")
    main(["export", str(tmp_path / "one"), str(tmp_path / "two")])
    assert f"exported: {tmp_path / 'two'}" in capsys.readouterr().out.replace("\n", "")
    again = load(tmp_path / "two")
    again.begin_task(seed=3)
    agent.begin_task(seed=3)
    assert act_out(again, REWARDS) == act_out(agent, REWARDS)


def test_a_damaged_export(tmp_path):
    agent = agent_of(METHODS[-1].build(BANDIT).learner, jnp.zeros(2))
    agent.export(tmp_path / "out")
    (tmp_path / "out" / "act.stablehlo").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"holds a program that cannot be read .* export the agent again"):
        load(tmp_path / "out")
