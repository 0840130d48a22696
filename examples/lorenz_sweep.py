"""Sweep one parameter, find the runs that did not end well, and label what came out."""

import numpy as np

import cubie


def main(n_runs: int = 10_000) -> None:
    """Sweep rho of the Lorenz system; where rho is large, 500 steps do not reach the end."""
    lorenz = cubie.create_ode_system(
        ["dx = sigma*(y - x)", "dy = x*(rho - z) - y", "dz = x*y - beta*z"],
        states={"x": 1.0, "y": 0.0, "z": 0.0},
        parameters={"rho": 21.0},
        constants={"sigma": 10.0, "beta": 8 / 3},
        name="lorenz",
    )
    solution = cubie.solve_ivp(
        lorenz,
        t_span=(0.0, 10.0),
        parameters={"rho": np.linspace(0.0, 100.0, n_runs)},
        t_eval=np.linspace(0.0, 10.0, 101),
        max_steps=500,
    )
    print(solution)
    print(solution.message)

    last = solution.run(-1)
    print(f"The last run stopped at t = {last.t_final:.3f} and holds {last.t.size} of {solution.t.size} times.")

    good = solution["z"][:, solution.success]
    print(f"z at the end of the {good.shape[1]:,} other runs: {good[-1].min():.3f} to {good[-1].max():.3f}")

    z = solution.to_xarray().sel(variable="z", time=10.0)
    print(z.where(z.rho < 1.0, drop=True).mean().item(), "is the mean of z where the origin is stable")


if __name__ == "__main__":
    main()
