"""Tables of what scripts other than presets.py measured."""

from typing import Any

from cells import MISSING, duration, estimate, number, table

Stored = dict[str, Any]


def model_tasks_table(stored: Stored) -> str:
    """How well a code tells the physics, and how an agent fares after its actuator was reversed."""
    found = stored["presets"]
    known = lambda column: f"{column['name']} {column['value']:.2f} ({column['by_physics']:.2f})"
    probes = table(
        [
            "preset",
            "episodes",
            "R², mean over parameters [95 %]",
            "by parameter (what the equations of motion would let be known)",
        ],
        [
            [
                f"`{name}`",
                str(row["episodes"]),
                estimate(row["r_squared"]),
                ", ".join(map(known, row["by_parameter"])),
            ]
            for name, of_preset in found.items()
            for row in of_preset.get("probe", [])
        ],
    )
    flips = [(name, flip) for name, row in found.items() for flip in row.get("flip", [])]
    window = flips[0][1]["window"]
    rows = []
    for name, flip in flips:
        first = flip["flipped_at"] // window
        after = [f"{quality['value']:.2f}" for quality in flip["quality"][first : first + 4]]
        rows.append([f"`{name}`", flip["agent"], f"{flip['quality'][first - 1]['value']:.2f}", *after])
    header = ["preset", "agent", f"last {window} steps before", *(f"steps to {window * (i + 1)}" for i in range(4))]
    command = f"`{stored['command']}`, {stored['session']['started'][:10]}."
    return f"{probes}\n\n{table(header, rows)}\n\n{command}"


def planning_speed_table(stored: Stored) -> str:
    """Latency of one action by plans and horizon, and of the policy; speed of meta-training."""
    cells = lambda row: [f"{row['milliseconds']:.2f}", f"{row['MiB']:.1f}"]
    sizes = ("candidates", "horizon", "members")
    rows = [[*(str(row[size]) for size in sizes), *cells(row)] for row in stored["plans"]]
    rows.append(["the policy that was learned in models", MISSING, MISSING, *cells(stored["policy"])])
    training = [
        [f"`{name}`", f"{row['seconds_per_meta_update']:.2f}", f"{row['env_steps_per_second']:,.0f}"]
        for name, row in stored["meta_training"].items()
    ]
    latency = table(["plans", "steps of each", "models", "median ms", "memory, MiB"], rows)
    speed = table(["meta-training, one seed", "seconds a meta-update", "env steps/s"], training)
    session = stored["session"]
    return f"{latency}\n\n{speed}\n\n`{stored['command']}`, {session['cpus']} cores, {session['started'][:10]}."


def speed_table(stored: Stored) -> str:
    """Environment steps a second of RL² in every family, on one core and on all."""
    rows = [
        [
            f"`{family}`",
            f"{row['all_cores']['env_steps_per_second']:,.0f}",
            f"{row['one_core']['env_steps_per_second']:,.0f}",
            f"{row['all_cores_over_one_core']:.2f}",
            f"{row['one_seed_all_cores']['env_steps_per_second']:,.0f}",
            f"{row['cold_seconds_to_first_metric']:.1f} s / {row['warm_seconds_to_first_metric']:.1f} s",
            str(row["all_cores"]["programs_compiled_after_second_update"]),
            f"{row['all_cores']['peak_memory_gib']:.2f} GiB",
        ]
        for family, row in stored["families"].items()
    ]
    session = stored["session"]
    header = [
        "family",
        f"env steps/s, {session['cpus']} cores",
        "one core",
        "ratio",
        "one seed on all cores",
        "first metric, cold / warm",
        "compiled after the second update",
        "peak memory",
    ]
    return f"{table(header, rows)}\n\n`{stored['command']}`, {session['started'][:10]}."


def gradient_speed_table(stored: Stored) -> str:
    """Speed of a second-order meta-update, and how time and memory grow with inner updates and tasks."""
    speed = table(
        ["policy", "seconds a meta-update", "env steps/s", "first metric, cold / warm"],
        [
            [
                name,
                f"{row['seconds_per_meta_update']:.3f}",
                f"{row['env_steps_per_second']:,.0f}",
                f"{row['cold_seconds_to_first_metric']:.1f} s / {row['seconds_to_first_metric']:.1f} s",
            ]
            for name, row in stored["speed"].items()
        ],
    )
    scaling = table(
        ["inner updates", "tasks", "rematerialised", "seconds a meta-update", "peak memory"],
        [
            [
                str(row["updates"]),
                str(row["tasks"]),
                "yes" if row["remat"] else "no",
                f"{row['seconds_per_meta_update']:.3f}",
                f"{row['peak_memory_gib']:.2f} GiB",
            ]
            for row in stored["scaling"]
        ],
    )
    session = stored["session"]
    return f"{speed}\n\n{scaling}\n\n`{stored['command']}`, {session['cpus']} cores, {session['started'][:10]}."


def physics_table(stored: Stored, family: str) -> str:
    """What policies that know the physics earn in a family, and one that takes them for the default."""
    splits = stored["families"][family]
    cell = lambda row: f"{number(row['value'])} ± {row['standard_error']:.2g}"
    rows = [[name, cell(splits["test"][name]), cell(splits["ood"][name])] for name in splits["test"]]
    text = table(["first episode, ± standard error", "test", "ood"], rows)
    return f"{text}\n\n`{stored['command']}`, {stored['session']['started'][:10]}."


def mktn_speed_table(stored: Stored) -> str:
    """Latency of one action and of one update in a task, and speed of meta-training."""
    rows = [[f"`{name}`", f"{row['act']:.2f}", f"{row['update']:.2f}"] for name, row in stored["milliseconds"].items()]
    latency = table(["one task", "`act`, ms", "`update`, ms"], rows)
    training = stored["meta_training"]
    speed = f"Meta-training, one seed: {training['trials_per_second']:.0f} trials, "
    speed += f"{training['env_steps_per_second']:,.0f} env steps a second."
    return f"{latency}\n\n{speed} `{stored['command']}`, {stored['session']['started'][:10]}."


def demonstrations_table(stored: Stored) -> str:
    """Returns by episode after 0, 1, … demonstrations."""
    curves = stored["per_episode"]
    header = ["demonstrations", *(f"episode {i + 1}" for i in range(len(next(iter(curves.values())))))]
    text = table(header, [[count, *(estimate(value) for value in curve)] for count, curve in curves.items()])
    return f"{text}\n\n`{stored['command']}`, {stored['session']['started'][:10]}."


def steps_table(stored: Stored) -> str:
    """Returns of the episode that begins after so many steps in a task, and when the expert is reached."""
    curves = stored["methods"]
    marks = max((curve["marks"] for curve in curves.values()), key=len)
    known = {name: dict(zip(curve["marks"], curve["returns"], strict=True)) for name, curve in curves.items()}
    rows = [
        [
            f"`{name}`",
            *(estimate(known[name][mark]) if mark in known[name] else MISSING for mark in marks),
            MISSING if curve["reaches_expert_at"] is None else f"{curve['reaches_expert_at']:,}",
        ]
        for name, curve in curves.items()
    ]
    text = table(["method", *(f"after {mark:,} steps" for mark in marks), "95 % of the expert after"], rows)
    ends = next(iter(curves.values()))
    ends = f"Random: {number(ends['random'])}, expert: {number(ends['expert'])}."
    return f"{text}\n\n{ends} `{stored['command']}`, {stored['session']['started'][:10]}."


def default_physics_table(stored: Stored) -> str:
    """What learners from scratch earn at Gymnasium's parameters, seed by seed."""
    rows = [
        [f"`{name}`", f"`{row['method']}`", f"{row['steps']:,}", ", ".join(f"{x:.0f}" for x in row["returns"])]
        for name, row in stored["worlds"].items()
    ]
    text = table(["world", "method", "steps", "last 20 episodes, by seed"], rows)
    return f"{text}\n\n`{stored['command']}`, {stored['session']['started'][:10]}."


def success_table(stored: Stored) -> str:
    """Share of episodes that succeed, by episode and by training seed."""
    rows = [
        [
            f"{length} steps",
            f"episode {i + 1}",
            estimate(rate),
            ", ".join(f"{seed[i]:.2f}" for seed in found["by_seed"]),
        ]
        for length, found in stored["by_length"].items()
        for i, rate in enumerate(found["success"])
    ]
    text = table([f"`{stored['world']}`, {stored['tasks']} test tasks", "", "success [95 %]", "by training seed"], rows)
    return f"{text}\n\n`{stored['command']}`, {stored['session']['started'][:10]}."


def own_world_table(stored: Stored) -> str:
    """Returns by episode of RL², of a policy without memory and of experts, and RL²'s place between the last two."""
    seconds = stored["seconds"]
    spent = {name: [value for key, value in seconds.items() if key.split()[0] == name] for name in stored["episodes"]}
    rows = [
        [
            f"`{name}`",
            *(number(value) for value in episodes),
            f"{stored['steps'][name]:,}" if spent[name] else MISSING,
            duration(sum(spent[name])) if spent[name] else MISSING,
        ]
        for name, episodes in stored["episodes"].items()
    ]
    header = [f"{stored['num_tasks']} test tasks", "episode 1", "episode 2", "steps of training, each", "time, all"]
    share = estimate(stored["share_of_the_way"])
    return (
        f"{table(header, rows)}\n\nLast episode, from `multi-task` (0) to `expert` (1): RL² {share}, "
        f"{stored['num_seeds']} seeds. `{stored['command']}`, {stored['session']['started'][:10]}."
    )


def collection_speed_table(stored: Stored) -> str:
    """Environment steps a second, stepping alone and with a learner."""
    rows = [
        [num_envs, name, f"{speed:,.0f}", f"{found['ratio_to_stepped'][name]:.2f}"]
        for num_envs, found in stored["by_num_envs"].items()
        for name, speed in found["env_steps_per_second"].items()
    ]
    text = table(["half-cheetahs at once", "steps of", "env steps/s", "of stepping alone"], rows)
    session = stored["session"]
    return f"{text}\n\n`{stored['command']}`, {session['cpus']} cores, {session['started'][:10]}."
