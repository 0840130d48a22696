"""Backward Euler as a corrector: explicit Euler predicts, and the correction is the error estimate.

Newton's iteration starts from the predicted state, as it does in every method whose earlier stages have rates; this row
differs from `backwards_euler` by its estimate, twice as large, which bounds the errors of both formulas.
"""

from typing import Final

from cubie.integrators.algorithms.butcher_tableau import ButcherTableau

BACKWARDS_EULER_PREDICT_CORRECT: Final = ButcherTableau(
    name="backwards-euler-predict-correct",
    order=1,
    order_hat=1,
    a=((), (0, 1)),
    b=(0, 1),
    b_hat=(1, 0),
    c=(0, 1),
    source="Hairer, Norsett & Wanner (1993), Solving ODEs I, Sec. III.1: the embedded formula is the predictor",
)
