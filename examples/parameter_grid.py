"""Every combination of two parameters and some initial values, folded back into a grid."""

import numpy as np

import cubie


def main(n: int = 40) -> None:
    """Find where the FitzHugh-Nagumo neuron fires on its own: a map over its current and its recovery."""
    neuron = cubie.create_ode_system(
        """
        v' = v - v**3/3 - w + current
        w' = 0.08*(v + 0.7 - recovery*w)
        """,
        states={"v": -1.0, "w": 0.0},
        parameters={"current": 0.0, "recovery": 0.8},
        name="fitzhugh-nagumo",
    )
    starts = [-1.0, 2.0]
    solution = cubie.solve_ivp(
        neuron,
        t_span=(0.0, 200.0),
        y0={"v": starts},
        parameters={"recovery": np.linspace(0.5, 1.1, n), "current": np.linspace(0.0, 1.5, n)},
        sweep="product",
        t_eval=np.linspace(100.0, 200.0, 201),
        save="v",
        rtol=1e-5,
    )
    solution.raise_for_status()

    # The axes of a product: states, then parameters, as the model declares them; the last one varies fastest.
    v = solution["v"].reshape(solution.t.size, len(starts), n, n)
    fires = np.ptp(v, axis=0) > 1.0
    for row in fires[0, :, ::2].T[::-2]:
        print("".join("#" if spot else "." for spot in row))
    print(f"current up, recovery to the right; # fires. {fires[0].mean():.0%} of the map, started at v = {starts[0]}")
    print(f"spots where the start decides: {np.count_nonzero(fires[0] != fires[1])}")


if __name__ == "__main__":
    main()
