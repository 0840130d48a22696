"""Robertson's reactions, stiff over eleven decades of time, with rates drawn over four decades each."""

import numpy as np

import cubie


def main(n_draws: int = 10_000) -> None:
    """Let cubie choose the method, and say how soon each draw has used up half of its first species."""
    reactions = cubie.create_ode_system(
        ["dA = -slow*A + back*B*C", "dB = slow*A - back*B*C - fast*B**2", "dC = fast*B**2"],
        states={"A": 1.0, "B": 0.0, "C": 0.0},
        parameters={"slow": 0.04, "fast": 3e7, "back": 1e4},
        name="robertson",
    )
    rng = np.random.default_rng(7)
    rates = {
        name: default * 10 ** rng.uniform(-2.0, 2.0, n_draws)
        for name, default in zip(reactions.parameters, reactions.parameter_defaults, strict=True)
    }
    solver = cubie.Solver(reactions, method="auto", atol=1e-12)
    solution = solver.solve((0.0, 1e11), parameters=rates, t_eval=np.logspace(-2, 11, 27))
    print(solution)
    half_gone = solution.t[np.argmax(solution["A"] < 0.5, axis=0)]
    print(f"half of A is gone by t = {np.median(half_gone):.3g}, for the middle draw")
    print(f"A + B + C stays 1 within {np.abs(solution.y.sum(axis=1) - 1).max():.1g}")


if __name__ == "__main__":
    main()
