"""Meta-train RL² on grids with a hidden goal, watch it adapt to one it has not met, and measure how well it does so.

Usage: ``python examples/00_adapt_to_a_grid.py`` (about 1.5 million environment steps; ``--num-steps`` and
``--num-tasks`` change that).
"""

import argparse

import equinox as eqx
import jax
import numpy as np

from quickstudy import RL2, GraphCollector, GridNavigation, adapt, evaluate, meta_train, summarize

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--num-steps", type=int, default=100, help="meta-updates")
parser.add_argument("--num-tasks", type=int, default=256, help="tasks in a meta-update, and in the evaluation")
options = parser.parse_args()

# A family says where tasks come from, what an agent sees and does in them, how long a trial lasts (4 episodes of 15
# steps here), and what to measure against. A collector runs trials in it.
family = GridNavigation()
collector = GraphCollector(family.env)

# A meta-algorithm is its hyperparameters. Its learner is what acts in a task: a recurrent network, whose memory lives
# on from one episode of a task to the next.
method = RL2(width=64)


def show(step: int, _: object, metrics: dict[str, np.ndarray]) -> None:
    if step % 20 == 0:
        first, last = (float(metrics[f"return_{which}"].mean()) for which in ("first", "last"))
        print(f"meta-update {step}: return of the first episode {first:.2f}, of the last {last:.2f}")


# 1. Meta-train: fresh tasks of the train split in every meta-update.
trained = meta_train(
    method,
    collector,
    family.tasks("train"),
    family.budget,
    num_steps=options.num_steps,
    num_tasks=options.num_tasks,
    key=jax.random.key(0),
    on_step=show,
)

# 2. Adapt to one task of the test split. Parameters have a leading axis over training seeds; here is only one.
params = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, trained.meta.params)
task = family.tasks("test").sample(key=jax.random.key(1))
adapted = adapt(method.learner, params, collector, task, family.budget, key=jax.random.key(2))

rewards = adapted.trial.trajectory.reward[0, ..., 0]  # [K, B, T, N] has one task and one stream; a block is an episode
print(f"the goal is cell {int(task)}; return of each episode: {[round(float(r), 1) for r in rewards.sum(-1)]}")

# What came out acts, and remembers: `act` takes what a stream shows and its memory, for one step at a time.
now = jax.tree.map(lambda x: x[0], adapted.final.timestep)
action, memory = adapted.act(now, adapted.carry, key=jax.random.key(3))
print(f"first action of the next episode: {('stay', 'up', 'right', 'down', 'left')[int(action)]}")

# 3. Evaluate on many held-out tasks, beside the same agent not allowed to adapt and the family's reference policies.
result = evaluate(
    method.learner,
    trained.meta.params,
    collector,
    family.tasks("test"),
    family.budget,
    num_seeds=1,
    num_tasks=options.num_tasks,
    num_episodes=family.num_episodes,
    key=jax.random.key(4),
    yardsticks=family.yardsticks(),
)
summary = summarize(result)
for name in ("adapted", "unadapted"):
    print(f"{name:<30} {summary[name]['total']['mean']['value']:6.2f}")
for yardstick in summary["yardsticks"]:
    print(f"{yardstick['name']:<30} {yardstick['total']:6.2f}")
