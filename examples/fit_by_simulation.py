"""Fit an epidemic without a likelihood: simulate draws from the prior, keep those that look like the data."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

import cubie


def epidemic(t: float, y: Sequence[float], p: Sequence[float]) -> list[float]:
    """Return the rates of susceptible, infected and recovered people, in parts of the population a day."""
    infections = p[0] * y[0] * y[1]
    recoveries = p[1] * y[1]
    return [-infections, infections - recoveries, recoveries]


def main(n_draws: int = 20_000) -> None:
    """Recover the two rates of an epidemic from fifteen noisy counts, in three rounds that reuse one kernel."""
    model = cubie.create_ode_system(
        epidemic,
        states={"susceptible": 0.99, "infected": 0.01, "recovered": 0.0},
        parameters={"contact": 0.5, "recovery": 0.2},
    )
    rng = np.random.default_rng(20)
    days = np.arange(4.0, 61.0, 4.0)
    solver = cubie.Solver(model, precision="float32", rtol=1e-5, atol=1e-7, save="infected")
    truth = solver.solve((0.0, 60.0), parameters={"contact": 0.45, "recovery": 0.15}, t_eval=days)
    counts = truth["infected"] + rng.normal(0.0, 0.005, (days.size, 1))

    prior = pd.DataFrame({"contact": rng.uniform(0.1, 1.0, n_draws), "recovery": rng.uniform(0.05, 0.5, n_draws)})
    for _ in range(3):
        solution = solver.solve((0.0, 60.0), parameters=prior, t_eval=days)
        distance = np.sqrt(np.mean((solution["infected"] - counts) ** 2, axis=0))
        kept = prior.iloc[np.argsort(distance)[: n_draws // 20]]
        spread = kept.std()
        print(
            f"contact {kept['contact'].mean():.3f} +- {spread['contact']:.3f}, "
            f"recovery {kept['recovery'].mean():.3f} +- {spread['recovery']:.3f}, "
            f"{n_draws / solution.timings['total']:,.0f} draws a second"
        )
        chosen = kept.sample(n_draws, replace=True, random_state=1)
        prior = (chosen + rng.normal(size=chosen.shape) * spread.to_numpy()).clip(lower=1e-3).reset_index(drop=True)
    print("The data were made with contact 0.450 and recovery 0.150.")


if __name__ == "__main__":
    main()
