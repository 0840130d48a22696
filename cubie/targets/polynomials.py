"""The polynomials of vector mathematics: written by `python -m benchmarks.fit_polynomials`, which says how they were
found. Coefficients stand lowest first, for float32 and for float64.
"""

from typing import Final

from cubie.targets.vector_expressions import Polynomial

EXP2: Final = Polynomial(
    single=(  # to 2**-26.25
        0.6931471824645996,
        0.24022594094276428,
        0.055503662675619125,
        0.009625434875488281,
        0.0013387934304773808,
        0.0001333838008577004,
    ),
    double=(  # to 2**-55.06
        0.6931471805599453,
        0.2402265069591013,
        0.05550410866482008,
        0.009618129107593978,
        0.0013333558146775772,
        0.00015403530457307936,
        1.5252733492400236e-05,
        1.3215435177047547e-06,
        1.0178199721252828e-07,
        7.073802493204256e-09,
        4.434771211211903e-10,
    ),
)
"""(2**x - 1)/x for abs(x) < 1/2"""

LOG: Final = Polynomial(
    single=(  # to 2**-30.19
        0.6666677594184875,
        0.39977574348449707,
        0.29871195554733276,
    ),
    double=(  # to 2**-59.48
        0.6666666666666735,
        0.3999999999940939,
        0.28571428743673466,
        0.22222198430581241,
        0.18183572261988257,
        0.15313834736948123,
        0.1479823137213465,
    ),
)
"""(log((1 + s)/(1 - s)) - 2*s)/s**3 as a polynomial in s**2, for (1 + s)/(1 - s) from sqrt(1/2) to sqrt(2)"""
